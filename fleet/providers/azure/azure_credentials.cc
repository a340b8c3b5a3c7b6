#include "fleet/providers/azure/azure_credentials.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"
#include "fleet/providers/azure/azure_assertion.h"
#include "fleet/providers/azure/azure_cli.h"

namespace spotinference::fleet {
namespace {

constexpr char kIdentity[] =
    "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
constexpr char kOfApp[] = "?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
constexpr char kScope[] = "https://management.azure.com/.default";
constexpr char kNowhere[] =
    "no Azure credentials: not in AZURE_TENANT_ID, AZURE_CLIENT_ID and one of AZURE_CLIENT_SECRET, "
    "AZURE_CLIENT_CERTIFICATE_PATH and AZURE_FEDERATED_TOKEN_FILE, this is no machine with a managed identity, and no "
    "`az` is in PATH";
constexpr size_t kLongest = 1 << 20;  // of a file

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The public login may be a sovereign cloud's instead, with or without its scheme.
std::string LoginOf(const std::string& login) {
  std::string host = Environment("AZURE_AUTHORITY_HOST");
  if (login != kAzureLogin || host.empty()) return login;
  while (absl::EndsWith(host, "/")) host.pop_back();
  return absl::StrContains(host, "://") ? host : absl::StrCat("https://", host);
}

struct Client {
  std::string token_url, id;
};

// `proof`: form fields that show that one is the client.
absl::StatusOr<HttpResponse> AskAs(const Client& client, const std::string& proof, CloudHttp& http) {
  HttpRequest request = {.method = "POST", .url = client.token_url};
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request.body = absl::StrCat("grant_type=client_credentials&client_id=", UriEncode(client.id), "&", proof,
                              "&scope=", UriEncode(kScope));
  request.timeout = absl::Seconds(20);
  absl::StatusOr<HttpResponse> answer = http.Do(request);
  if (absl::IsInvalidArgument(answer.status())) {
    return absl::UnauthenticatedError(absl::StrCat("login or AZURE_AUTHORITY_HOST: ", answer.status().message()));
  }
  return answer;
}

std::string AssertionProof(absl::string_view assertion) {
  return absl::StrCat("client_assertion_type=", UriEncode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                      "&client_assertion=", UriEncode(assertion));
}

absl::StatusOr<HttpResponse> AskByCertificate(const Client& client, const std::string& path, absl::Time now,
                                              CloudHttp& http) {
  const auto pem = ReadWholeFile(path, kLongest);
  const auto assertion = pem.ok() ? AzureAssertion(client.id, client.token_url, *pem,
                                                   Environment("AZURE_CLIENT_CERTIFICATE_PASSWORD"), now)
                                  : pem.status();
  if (!assertion.ok()) return absl::UnauthenticatedError(assertion.status().message());
  return AskAs(client, AssertionProof(*assertion), http);
}

// Kubernetes writes the file anew before its token ends.
absl::StatusOr<HttpResponse> AskByTokenFile(const Client& client, const std::string& path, CloudHttp& http) {
  const auto token = ReadWholeFile(path, kLongest);
  if (!token.ok()) return absl::UnauthenticatedError(token.status().message());
  const absl::string_view assertion = absl::StripAsciiWhitespace(*token);
  if (assertion.empty()) return absl::UnauthenticatedError("the file has no token");
  return AskAs(client, AssertionProof(assertion), http);
}

absl::StatusOr<HttpResponse> AskApp(const std::string& endpoint, const std::string& client, CloudHttp& http) {
  const std::string header = Environment("IDENTITY_HEADER");
  if (header.empty() || !Environment("IDENTITY_SERVER_THUMBPRINT").empty()) {
    return absl::UnauthenticatedError(
        "without IDENTITY_HEADER (Azure Arc), or with IDENTITY_SERVER_THUMBPRINT (Service Fabric), not understood");
  }
  HttpRequest request = {.url = endpoint + kOfApp, .headers = {{"X-IDENTITY-HEADER", header}}};
  if (!client.empty()) absl::StrAppend(&request.url, "&client_id=", UriEncode(client));
  request.connect_timeout = absl::Seconds(5);
  request.timeout = absl::Seconds(20);
  absl::StatusOr<HttpResponse> answer = http.DoOnLink(request);
  if (absl::IsInvalidArgument(answer.status())) return absl::UnauthenticatedError(answer.status().message());
  return answer;
}

absl::StatusOr<HttpResponse> AskMachine(const std::string& client, CloudHttp& http) {
  std::string service = Environment("AZURE_POD_IDENTITY_AUTHORITY_HOST");
  if (service.empty()) service = "http://169.254.169.254";
  if (absl::EndsWith(service, "/")) service.pop_back();
  HttpRequest request = {.url = service + kIdentity, .headers = {{"Metadata", "true"}}};
  if (!client.empty()) absl::StrAppend(&request.url, "&client_id=", UriEncode(client));
  request.connect_timeout = absl::Seconds(1);
  request.timeout = absl::Seconds(5);
  return http.Do(request);
}

}  // namespace

absl::StatusOr<std::string> AzureCredentials::Get(CloudHttp& http) {
  std::string place;
  auto token = token_.Get([&] { return Ask(http, place); });
  if (token.ok() || place.empty()) return token;
  return OfPlace(token.status(), place);
}

absl::StatusOr<HttpResponse> AzureCredentials::Ask(CloudHttp& http, std::string& place) {
  const std::string tenant = Environment("AZURE_TENANT_ID"), id = Environment("AZURE_CLIENT_ID");
  if (!tenant.empty() && !id.empty()) {
    const Client client = {absl::StrCat(LoginOf(login_), "/", UriEncode(tenant), "/oauth2/v2.0/token"), id};
    place = "AZURE_CLIENT_SECRET";
    if (const std::string secret = Environment("AZURE_CLIENT_SECRET"); !secret.empty())
      return AskAs(client, absl::StrCat("client_secret=", UriEncode(secret)), http);
    place = "AZURE_CLIENT_CERTIFICATE_PATH";
    if (const std::string path = Environment("AZURE_CLIENT_CERTIFICATE_PATH"); !path.empty())
      return AskByCertificate(client, path, clock_.Now(), http);
    place = "AZURE_FEDERATED_TOKEN_FILE";
    if (const std::string path = Environment("AZURE_FEDERATED_TOKEN_FILE"); !path.empty())
      return AskByTokenFile(client, path, http);
  }
  place = "IDENTITY_ENDPOINT";
  if (const std::string endpoint = Environment("IDENTITY_ENDPOINT"); !endpoint.empty())
    return AskApp(endpoint, id, http);
  place = "the machine's managed identity";
  absl::StatusOr<HttpResponse> answer = AskMachine(id, http);
  if (answer.ok() && answer->status != 400) return answer;  // 400: the machine has no such identity
  if (HasAzureCli()) {
    place = "az";
    return AskAzureCli(tenant, commands_);
  }
  if (answer.ok()) return answer;
  place.clear();
  return absl::UnauthenticatedError(kNowhere);
}

}  // namespace spotinference::fleet
