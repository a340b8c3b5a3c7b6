// For credentials_test: whose the token is that the environment's credentials get, and what the emulated cloud's API
// says to it.
//
// whose_token gcp|azure URL   "WHOSE STATUS", or "error CODE MESSAGE"
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/clock.h"
#include "fleet/providers/azure/azure_credentials.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/gcp/gcp_credentials.h"

namespace spotinference::fleet {
namespace {

int Run(const std::string& cloud, const std::string& url) {
  CloudHttp http;
  GcpCredentials google(RealClock());
  AzureCredentials azure(RealClock(), kAzureLogin);
  const auto token = cloud == "gcp" ? google.Get(http) : azure.Get(http);
  if (!token.ok()) {
    std::cout << "error " << absl::StatusCodeToString(token.status().code()) << " " << token.status().message() << "\n";
    return 0;
  }
  // An emulated one says whose it is; no other is printed.
  const std::vector<std::string> parts = absl::StrSplit(*token, '.');
  std::string whose;
  if (parts.size() < 3 || !absl::WebSafeBase64Unescape(parts[1], &whose)) whose = "?";
  const std::string path = cloud == "gcp" ? "/compute/v1/projects/p"
                                          : "/subscriptions/s/providers/Microsoft.Compute/virtualMachines?"
                                            "api-version=2024-07-01";
  const auto answer = http.Do({.url = url + path, .headers = {{"Authorization", absl::StrCat("Bearer ", *token)}}});
  std::cout << whose << " " << (answer.ok() ? answer->status : 0) << "\n";
  return 0;
}

}  // namespace
}  // namespace spotinference::fleet

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return spotinference::fleet::Run(argv[1], argv[2]);
}
