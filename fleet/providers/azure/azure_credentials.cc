#include "fleet/providers/azure/azure_credentials.h"

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

constexpr char kIdentity[] =
    "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
constexpr char kScope[] = "https://management.azure.com/.default";
constexpr char kNowhere[] =
    "no Azure credentials: not in AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, and this is no machine "
    "with a managed identity";

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

absl::StatusOr<std::string> AzureCredentials::Get(CloudHttp& http) {
  return token_.Get([&] { return Ask(http); });
}

absl::StatusOr<HttpResponse> AzureCredentials::Ask(CloudHttp& http) const {
  const std::string tenant = Environment("AZURE_TENANT_ID"), client = Environment("AZURE_CLIENT_ID"),
                    secret = Environment("AZURE_CLIENT_SECRET");
  HttpRequest request;
  if (tenant.empty() || client.empty() || secret.empty()) {
    std::string service = Environment("AZURE_POD_IDENTITY_AUTHORITY_HOST");
    if (service.empty()) service = "http://169.254.169.254";
    if (absl::EndsWith(service, "/")) service.pop_back();
    request = {.url = service + kIdentity, .headers = {{"Metadata", "true"}}};
    if (!client.empty()) absl::StrAppend(&request.url, "&client_id=", UriEncode(client));
    request.connect_timeout = absl::Seconds(1);
    request.timeout = absl::Seconds(5);
    auto answer = http.Do(request);
    if (!answer.ok()) return absl::UnauthenticatedError(kNowhere);
    return answer;
  }
  request = {.method = "POST", .url = absl::StrCat(login_, "/", UriEncode(tenant), "/oauth2/v2.0/token")};
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request.body = absl::StrCat("grant_type=client_credentials&client_id=", UriEncode(client),
                              "&client_secret=", UriEncode(secret), "&scope=", UriEncode(kScope));
  request.timeout = absl::Seconds(20);
  return http.Do(request);
}

}  // namespace spotinference::fleet
