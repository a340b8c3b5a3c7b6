#include "fleet/providers/azure/azure_cli.h"

#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
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

absl::StatusOr<HttpResponse> AskAzureCli(const std::string& tenant, Commands& commands) {
  std::vector<std::string> arguments = {"az",   "account",    "get-access-token",             "--output",
                                        "json", "--resource", "https://management.azure.com/"};
  if (!tenant.empty()) arguments.insert(arguments.end(), {"--tenant", tenant});
  HttpResponse response = {.status = 200};
  const absl::Status status = commands.Run(arguments, kLimit, [&](const std::string& output) {
    const auto answer = Json::Parse(output);
    response.body = output;
    return answer.ok() && !(*answer)["accessToken"].Text().empty()
               ? absl::OkStatus()
               : absl::FailedPreconditionError("it wrote no access token");
  });
  if (status.ok()) return response;
  if (absl::IsCancelled(status)) return status;
  if (absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status))
    return absl::UnavailableError(status.message());
  return absl::UnauthenticatedError(absl::StrCat(status.message(), "; expected `az login`"));
}

}  // namespace spotinference::fleet
