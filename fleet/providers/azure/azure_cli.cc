#include "fleet/providers/azure/azure_cli.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "fleet/providers/cloud/command.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(20);  // it is written in Python, and asks Entra ID

}  // namespace

bool HasAzureCli() {
  const char* const path = std::getenv("PATH");
  for (const absl::string_view folder : absl::StrSplit(path == nullptr ? "" : path, ':', absl::SkipEmpty())) {
    if (access(absl::StrCat(folder, "/az").c_str(), X_OK) == 0) return true;
  }
  return false;
}

absl::StatusOr<HttpResponse> AskAzureCli(const std::string& tenant) {
  std::vector<std::string> arguments = {"az",   "account",    "get-access-token",             "--output",
                                        "json", "--resource", "https://management.azure.com/"};
  if (!tenant.empty()) arguments.insert(arguments.end(), {"--tenant", tenant});
  auto output = RunCommand(arguments, kLimit);
  if (absl::IsDeadlineExceeded(output.status()) || absl::IsResourceExhausted(output.status()))
    return absl::UnavailableError(output.status().message());
  if (!output.ok()) return absl::UnauthenticatedError(absl::StrCat(output.status().message(), "; expected `az login`"));
  const auto answer = Json::Parse(*output);
  if (!answer.ok() || (*answer)["accessToken"].Text().empty())
    return absl::UnauthenticatedError("it wrote no access token; expected `az login`");
  return HttpResponse{.status = 200, .body = *std::move(output)};
}

}  // namespace spotinference::fleet
