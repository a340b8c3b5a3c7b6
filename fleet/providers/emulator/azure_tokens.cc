#include "fleet/providers/emulator/azure_tokens.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/emulator/azure_service.h"
#include "fleet/providers/emulator/reply.h"

namespace spotinference::fleet {
namespace {

constexpr char kToken[] = "/oauth2/v2.0/token", kConfiguration[] = "/v2.0/.well-known/openid-configuration";
constexpr char kApp[] = "/msi/token";
constexpr int kGoodFor = 3599;  // seconds

FakeHttpReply Refusal(int status, absl::string_view error, absl::string_view why) {
  return JsonReply(status, absl::StrCat(R"({"error":")", error, R"(","error_description":)", JsonString(why),
                                        R"(,"correlation_id":"emulated"})"));
}

std::string Field(const ServiceRequest& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? "" : found->second;
}

std::string TokenOf(CloudModel& model, absl::string_view whose) {
  return model.NewToken(absl::StrCat(kEmulatedAzureToken, ".", absl::WebSafeBase64Escape(whose)),
                        absl::Seconds(kGoodFor));
}

FakeHttpReply Configuration(const ServiceRequest& request) {
  const std::string host(FindHeader(request.http.headers, "host").value_or(""));
  const std::string tenant = absl::StrCat("https://", host, "/", request.parts[0]);
  return JsonReply(200, absl::StrCat(R"({"token_endpoint":")", tenant, kToken, R"(","issuer":")", tenant,
                                     R"(/v2.0","authorization_endpoint":")", tenant, R"(/oauth2/v2.0/authorize"})"));
}

// "": the assertion shows that it is the client. Else Entra's words against it.
std::string WrongWith(const TrustedKeys& keys, const ServiceRequest& request, const std::string& client,
                      absl::Time now) {
  if (Field(request, "client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    return "AADSTS70002: client_assertion_type";
  const auto assertion = keys.Check(Field(request, "client_assertion"), now);
  if (absl::IsDeadlineExceeded(assertion.status()))
    return "AADSTS700024: Client assertion is not within its valid time range.";
  if (absl::IsInvalidArgument(assertion.status())) return "AADSTS50027: JWT token is invalid or malformed.";
  if (!assertion.ok()) return "AADSTS700027: The certificate used to sign the client assertion is not registered.";
  const Json& claims = assertion->claims;
  const std::string audience = claims["aud"].Text();
  if (assertion->issuer != client) {
    if (audience != "api://AzureADTokenExchange")
      return "AADSTS700212: No matching federated identity record found for audience";
    return claims["sub"].Text().empty() ? "AADSTS700213: No matching federated identity record found for subject" : "";
  }
  const std::string here =
      absl::StrCat("://", FindHeader(request.http.headers, "host").value_or(""), request.path);
  if (audience != "http" + here && audience != "https" + here)
    return "AADSTS700023: Client assertion audience claim does not match Realm issuer.";
  if (claims["sub"].Text() != client)
    return "AADSTS700021: Client assertion application identifier doesn't match 'client_id'";
  if (claims["jti"].Text().empty()) return "AADSTS50027: JWT token is invalid: jti";
  if (!assertion->header["x5t"] && !assertion->header["x5t#S256"]) return "AADSTS5002730: Invalid JWT token: x5t";
  return "";
}

FakeHttpReply ClientToken(CloudModel& model, const TrustedKeys& keys, const ServiceRequest& request) {
  for (const char* const name : {"grant_type", "client_id", "scope"}) {
    if (Field(request, name).empty())
      return Refusal(400, "invalid_request", absl::StrCat("AADSTS900144: The request body must contain: ", name));
  }
  if (Field(request, "grant_type") != "client_credentials")
    return Refusal(400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type");
  if (!absl::EndsWith(Field(request, "scope"), "/.default"))
    return Refusal(400, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid.");
  const std::string client = Field(request, "client_id"), secret = Field(request, "client_secret");
  if (!Field(request, "client_assertion").empty()) {
    const std::string wrong = WrongWith(keys, request, client, model.Now());
    if (!wrong.empty()) return Refusal(401, "invalid_client", wrong);
  } else if (secret.empty()) {
    return Refusal(401, "invalid_client", "AADSTS7000218: The request body must have a client's secret or assertion");
  } else if (secret != "emulated") {
    return Refusal(401, "invalid_client", "AADSTS7000215: invalid client secret");
  }
  return JsonReply(200, absl::StrCat(R"({"token_type":"Bearer","expires_in":)", kGoodFor, R"(,"ext_expires_in":)",
                                     kGoodFor, R"(,"access_token":")",
                                     TokenOf(model, absl::StrCat(client, "@", request.parts[0])), "\"}"));
}

// "How to use managed identities for App Service and Azure Functions", "REST endpoint reference".
FakeHttpReply AppToken(CloudModel& model, const ServiceRequest& request) {
  const auto refuse = [](int status, absl::string_view why) {
    return JsonReply(status, absl::StrCat(R"({"statusCode":)", status, R"(,"message":)", JsonString(why), "}"));
  };
  if (FindHeader(request.http.headers, "x-identity-header") != "emulated") return refuse(401, "Unauthorized");
  if (Field(request, "api-version") != "2019-08-01") return refuse(400, "api-version");
  const std::string client = Field(request, "client_id"), resource = Field(request, "resource");
  if (resource.empty()) return refuse(400, "resource");
  if (client == "nobody") return refuse(400, "No User Assigned or Delegated Managed Identity found");
  const int64_t until = absl::ToUnixSeconds(model.Now()) + kGoodFor;
  return JsonReply(200, absl::StrCat(R"({"access_token":")", TokenOf(model, absl::StrCat("identity:", client)),
                                     R"(","expires_on":")", until, R"(","resource":)", JsonString(resource),
                                     R"(,"token_type":"Bearer","client_id":)", JsonString(client), "}"));
}

}  // namespace

bool IsAzureTokens(absl::string_view target) {
  return absl::EndsWith(target, kToken) || absl::EndsWith(target, kConfiguration) ||
         absl::StartsWith(target, absl::StrCat(kApp, "?"));
}

FakeHttpReply AnswerAzureTokens(CloudModel& model, const TrustedKeys& keys, const FakeHttpRequest& http) {
  const ServiceRequest request(http);
  if (request.path == kApp) return AppToken(model, request);
  if (request.parts.size() < 3) return {.status = 404};
  return absl::EndsWith(request.path, kToken) ? ClientToken(model, keys, request) : Configuration(request);
}

}  // namespace spotinference::fleet
