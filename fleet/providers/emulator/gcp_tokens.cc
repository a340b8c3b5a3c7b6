#include "fleet/providers/emulator/gcp_tokens.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"
#include "fleet/providers/aws/sigv4.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/emulator/ec2_service.h"
#include "fleet/providers/emulator/gcp_service.h"
#include "fleet/providers/emulator/reply.h"
#include "gateway/http/target.h"

namespace spotinference::fleet {
namespace {

constexpr char kAccounts[] = "/v1/projects/-/serviceAccounts/", kVerb[] = ":generateAccessToken";
constexpr char kAccessToken[] = "urn:ietf:params:oauth:token-type:access_token";
constexpr char kGoogle[] = "https://oauth2.googleapis.com/token";

FakeHttpReply Refusal(absl::string_view error, absl::string_view why) {
  return JsonReply(400, absl::StrCat(R"({"error":")", error, R"(","error_description":)", JsonString(why), "}"));
}

FakeHttpReply ApiError(int code, absl::string_view status, absl::string_view message) {
  return JsonReply(code, absl::StrCat(R"({"error":{"code":)", code, R"(,"message":)", JsonString(message),
                                      R"(,"status":")", status, R"("}})"));
}

std::string TokenOf(CloudModel& model, absl::string_view whose, absl::Duration good_for = absl::Seconds(3599)) {
  return model.NewToken(absl::StrCat(kEmulatedGcpToken, ".", absl::WebSafeBase64Escape(whose)), good_for);
}

FakeHttpReply Granted(CloudModel& model, absl::string_view whose, absl::string_view more = "") {
  return JsonReply(200, absl::StrCat(R"({"access_token":")", TokenOf(model, whose),
                                     R"(","expires_in":3599,"token_type":"Bearer")", more, "}"));
}

std::string Field(const ServiceRequest& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? "" : found->second;
}

std::string Decoded(absl::string_view text) {
  const auto fields = http::ParseQuery(absl::StrCat("v=", text));
  return fields.empty() ? "" : fields[0].second;
}

// "CLIENT:SECRET" of Basic authentication; "": there is none.
std::string ClientOf(const FakeHttpRequest& request) {
  absl::string_view header = FindHeader(request.headers, "authorization").value_or("");
  std::string client;
  if (!absl::ConsumePrefix(&header, "Basic ") || !absl::Base64Unescape(header, &client)) return "";
  return client;
}

FakeHttpReply OauthToken(CloudModel& model, const TrustedKeys& keys, const ServiceRequest& request) {
  if (Field(request, "grant_type") == "refresh_token") {
    if (Field(request, "refresh_token") != "emulated") return Refusal("invalid_grant", "Bad Request");
    return Granted(model, absl::StrCat("user:", Field(request, "client_id")));
  }
  if (Field(request, "grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer")
    return Refusal("unsupported_grant_type", "Invalid grant_type");
  const std::string jwt = Field(request, "assertion");
  const auto assertion = keys.Check(jwt, model.Now());
  const std::vector<std::string> parts = absl::StrSplit(jwt, '.');
  std::string text;
  if (absl::IsInvalidArgument(assertion.status()) || parts.size() != 3 ||
      !absl::WebSafeBase64Unescape(parts[1], &text)) {
    return Refusal("invalid_grant", "no JWT");
  }
  if (!assertion.ok() && !absl::IsNotFound(assertion.status()))
    return Refusal("invalid_grant", absl::StrCat("Invalid JWT: ", assertion.status().message()));
  const auto claims = Json::Parse(text);
  const std::string here = absl::StrCat("http://", FindHeader(request.http.headers, "host").value_or(""), "/token");
  const std::string audience = (*claims)["aud"].Text();
  if (audience != here && audience != kGoogle) return Refusal("invalid_grant", "Invalid JWT: aud");
  if ((*claims)["scope"].Text().empty()) return Refusal("invalid_scope", "Invalid OAuth scope");
  if ((*claims)["exp"].Number().value_or(0) - (*claims)["iat"].Number().value_or(0) > 3600)
    return Refusal("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)");
  return Granted(model, (*claims)["iss"].Text());
}

// Of the request to AWS that Google would send, the key's id; "": no known one has signed it for `audience`.
std::string AwsKeyOf(const std::string& subject_token, const std::string& audience) {
  const auto signed_request = Json::Parse(Decoded(subject_token));
  if (!signed_request.ok() || (*signed_request)["method"].Text() != "POST") return "";
  std::map<std::string, std::string> headers, fields;
  for (const Json& header : (*signed_request)["headers"].Items())
    headers[absl::AsciiStrToLower(header["key"].Text())] = header["value"].Text();
  absl::string_view signature = headers["authorization"];
  absl::ConsumePrefix(&signature, "AWS4-HMAC-SHA256 ");
  for (absl::string_view part : absl::StrSplit(signature, ',')) {
    fields.insert(absl::StrSplit(absl::StripAsciiWhitespace(part), absl::MaxSplits('=', 1)));
  }
  const std::vector<std::string> scope = absl::StrSplit(fields["Credential"], '/');
  if (scope.size() != 5 || scope[0] != kEmulatedAwsKey || scope[3] != "sts") return "";
  const std::string host = absl::StrCat("sts.", scope[2], ".amazonaws.com");
  const std::string url = (*signed_request)["url"].Text();
  const std::string query = "Action=GetCallerIdentity&Version=2011-06-15";
  if (headers["host"] != host || headers["x-goog-cloud-target-resource"] != audience ||
      (url != absl::StrCat("https://", host, "?", query) && url != absl::StrCat("https://", host, "/?", query))) {
    return "";
  }
  HttpHeaders signed_headers;
  for (const absl::string_view name : absl::StrSplit(fields["SignedHeaders"], ';'))
    signed_headers.emplace_back(std::string(name), headers[std::string(name)]);
  const AwsKey key = {.id = scope[0], .secret = kEmulatedAwsSecret};
  const std::string good =
      SignatureV4("POST", "/", query, signed_headers, "", key, {scope[2], scope[3]}, headers["x-amz-date"]);
  return good == fields["Signature"] ? scope[0] : "";
}

FakeHttpReply Exchange(CloudModel& model, const TrustedKeys& keys, const ServiceRequest& request) {
  for (const char* const name :
       {"grant_type", "audience", "scope", "requested_token_type", "subject_token", "subject_token_type"}) {
    if (Field(request, name).empty()) return Refusal("invalid_request", absl::StrCat("Missing parameter: ", name));
  }
  if (Field(request, "grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange")
    return Refusal("unsupported_grant_type", "Invalid grant_type");
  if (Field(request, "requested_token_type") != kAccessToken) return Refusal("invalid_request", "requested_token_type");
  const std::string audience = Field(request, "audience"), type = Field(request, "subject_token_type");
  if (!absl::StartsWith(audience, "//iam.googleapis.com/"))
    return Refusal("invalid_target", "The target service indicated by the \"audience\" parameters is invalid");
  const auto options = Json::Parse(Decoded(Field(request, "options")));
  if (absl::StrContains(audience, "/workforcePools/") && ClientOf(request.http).empty() &&
      (!options.ok() || (*options)["userProject"].Text().empty())) {
    return Refusal("invalid_request", "userProject");
  }
  const std::string more = absl::StrCat(R"(,"issued_token_type":")", kAccessToken, "\"");
  if (type == "urn:ietf:params:aws:token-type:aws4_request") {
    const std::string key = AwsKeyOf(Field(request, "subject_token"), audience);
    if (key.empty()) return Refusal("invalid_grant", "AWS: the signature is none of a known key's");
    return Granted(model, absl::StrCat("aws:", key), more);
  }
  if (type != "urn:ietf:params:oauth:token-type:jwt" && type != "urn:ietf:params:oauth:token-type:id_token")
    return Refusal("invalid_request", "Invalid subject_token_type");
  const auto subject = keys.Check(Field(request, "subject_token"), model.Now());
  if (!subject.ok()) return Refusal("invalid_grant", absl::StrCat("The given credential ", subject.status().message()));
  const std::string for_whom = subject->claims["aud"].Text();
  if (for_whom != audience && for_whom != absl::StrCat("https:", audience))
    return Refusal("invalid_grant", "The audience in ID Token does not match the expected audience.");
  return Granted(model, absl::StrCat("subject:", subject->claims["sub"].Text()), more);
}

FakeHttpReply WorkforceToken(CloudModel& model, const ServiceRequest& request) {
  const std::vector<std::string> client = absl::StrSplit(ClientOf(request.http), ':');
  if (client.size() != 2) return JsonReply(401, R"({"error":"invalid_client","error_description":"no client"})");
  if (Field(request, "grant_type") != "refresh_token" || Field(request, "refresh_token") != "emulated")
    return Refusal("invalid_grant", "The refresh token is none");
  return Granted(model, absl::StrCat("workforce:", client[0]));
}

FakeHttpReply GenerateAccessToken(CloudModel& model, const ServiceRequest& request) {
  if (!model.IsGood(BearerTokenOf(request.http)))
    return ApiError(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
  absl::string_view email = request.path;
  absl::ConsumePrefix(&email, kAccounts);
  absl::ConsumeSuffix(&email, kVerb);
  if (!absl::EndsWith(email, ".iam.gserviceaccount.com"))
    return ApiError(404, "NOT_FOUND", "Not found; Gaia id not found for email");
  if (absl::StartsWith(email, "forbidden@"))
    return ApiError(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource");
  const auto body = Json::Parse(request.http.body);
  if (!body.ok() || (*body)["scope"].Items().empty())
    return ApiError(400, "INVALID_ARGUMENT", "Request contains an invalid argument.");
  for (const Json& delegate : (*body)["delegates"].Items()) {
    if (!absl::StartsWith(delegate.Text(), "projects/-/serviceAccounts/"))
      return ApiError(400, "INVALID_ARGUMENT", "Invalid delegate");
  }
  const std::string lifetime = (*body)["lifetime"].Text();
  const size_t seconds = absl::EndsWith(lifetime, "s") ? NumberOr(lifetime.substr(0, lifetime.size() - 1), 0) : 0;
  if (!lifetime.empty() && (seconds == 0 || seconds > 3600))
    return ApiError(400, "INVALID_ARGUMENT", "Invalid lifetime");
  const absl::Duration good_for = absl::Seconds(lifetime.empty() ? 3600 : seconds);
  return JsonReply(200, absl::StrCat(R"({"accessToken":")", TokenOf(model, email, good_for), R"(","expireTime":")",
                                     Timestamp(model.Now() + good_for), R"("})"));
}

}  // namespace

bool IsGcpTokens(absl::string_view target) {
  return target == "/token" || target == "/v1/token" || target == "/v1/oauthtoken" ||
         (absl::StartsWith(target, kAccounts) && absl::EndsWith(target, kVerb));
}

FakeHttpReply AnswerGcpTokens(CloudModel& model, const TrustedKeys& keys, const FakeHttpRequest& http) {
  const ServiceRequest request(http);
  if (http.method != "POST") return ApiError(404, "NOT_FOUND", "Not Found");
  if (request.path == "/token") return OauthToken(model, keys, request);
  if (request.path == "/v1/token") return Exchange(model, keys, request);
  if (request.path == "/v1/oauthtoken") return WorkforceToken(model, request);
  return GenerateAccessToken(model, request);
}

}  // namespace spotinference::fleet
