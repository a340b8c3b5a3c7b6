#include "fleet/providers/emulator/aws_identity_service.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/emulator/aws_signer.h"
#include "fleet/providers/emulator/reply.h"

namespace spotinference::fleet {
namespace {

using Fields = std::map<std::string, std::string>;

constexpr absl::Duration kGoodFor = absl::Seconds(3599);
constexpr int kSsoSeconds = 28800;
constexpr char kPortal[] = "/federation/credentials";
constexpr char kTask[] = "/v2/credentials/task";  // of ECS
constexpr char kPod[] = "/v1/credentials";        // of EKS

struct Given {
  std::string id, token;
  absl::Time expires;
};

Given NewKey(CloudModel& model, const std::string& end, absl::Duration good_for = kGoodFor) {
  return {.id = kEmulatedAwsRoleKey + end,
          .token = model.NewToken(kEmulatedAwsToken + end, good_for),
          .expires = model.Now() + good_for};
}

std::string Account(const CloudModel::Habits& habits) {
  return absl::StrFormat("%012d", 123456789011 + habits.account);
}

// As a key can have it.
std::string Upper(absl::string_view name) {
  std::string upper;
  for (const char c : name) {
    if (absl::ascii_isalnum(c)) upper += absl::ascii_toupper(c);
  }
  return upper;
}

std::string Element(absl::string_view name, absl::string_view text) {
  return absl::StrCat("<", name, ">", XmlText(text), "</", name, ">");
}

FakeHttpReply StsError(int status, absl::string_view code) {
  return XmlReply(status, absl::StrCat("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>",
                                       Element("Type", "Sender"), Element("Code", code), Element("Message", "emulated"),
                                       "</Error>", Element("RequestId", "emulated"), "</ErrorResponse>"));
}

FakeHttpReply StsReply(absl::string_view action, absl::string_view result) {
  return XmlReply(200,
                  absl::StrCat("<", action, "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><", action,
                               "Result>", result, "</", action, "Result><ResponseMetadata>",
                               Element("RequestId", "emulated"), "</ResponseMetadata></", action, "Response>"));
}

FakeHttpReply GetCallerIdentity(CloudModel& model) {
  const std::string account = Account(model.habits());
  return StsReply("GetCallerIdentity",
                  absl::StrCat(Element("Arn", absl::StrCat("arn:aws:iam::", account, ":user/emulated")),
                               Element("UserId", kEmulatedAwsKey), Element("Account", account)));
}

bool IsSessionName(absl::string_view name) {
  const auto is_good = [](char c) { return absl::ascii_isalnum(c) || absl::StrContains("_+=,.@-", c); };
  return name.size() >= 2 && name.size() <= 64 && std::all_of(name.begin(), name.end(), is_good);
}

// The last two of the token service's actions. `by`: the end of the key of who asks, if anybody signs.
FakeHttpReply AssumeRole(CloudModel& model, Fields fields, const std::string& action, absl::string_view by) {
  const std::string& arn = fields["RoleArn"];
  const size_t seconds = NumberOr(fields["DurationSeconds"], 3600);
  const std::string name = arn.substr(arn.rfind('/') + 1);
  const bool is_web = action == "AssumeRoleWithWebIdentity";
  if (!absl::StartsWith(arn, "arn:aws:iam::") || !absl::StrContains(arn, ":role/") ||
      !IsSessionName(fields["RoleSessionName"]) || seconds < 900 || seconds > 43200) {
    return StsError(400, "ValidationError");
  }
  if (is_web && fields["WebIdentityToken"] == "expired") return StsError(400, "ExpiredTokenException");
  if (is_web && fields["WebIdentityToken"] != kEmulatedWebIdentity) return StsError(400, "InvalidIdentityToken");
  if (name == "refused" || (name == "partner" && fields["ExternalId"] != "emulated")) {
    return StsError(403, "AccessDenied");
  }
  const std::string end = is_web ? "WEB" + Upper(name) : absl::StrCat("ROLE", Upper(name), "BY", by);
  const Given key = NewKey(model, end, absl::Seconds(seconds) - absl::Seconds(1));
  const std::string role = absl::StrCat("arn:aws:sts::", Account(model.habits()), ":assumed-role/", name, "/");
  return StsReply(
      action, absl::StrCat("<Credentials>", Element("AccessKeyId", key.id),
                           Element("SecretAccessKey", kEmulatedAwsSecret), Element("SessionToken", key.token),
                           Element("Expiration", Timestamp(key.expires)), "</Credentials><AssumedRoleUser>",
                           Element("AssumedRoleId", absl::StrCat("AROAEMULATED:", fields["RoleSessionName"])),
                           Element("Arn", role + fields["RoleSessionName"]), "</AssumedRoleUser>"));
}

FakeHttpReply AnswerSts(CloudModel& model, const FakeHttpRequest& request) {
  const Fields fields = ServiceRequest(request).query;
  const std::string action = fields.at("Action");
  if (action == "AssumeRoleWithWebIdentity") return AssumeRole(model, fields, action, "");
  const AwsSigner signer = AwsSignerOf(model, request);
  if (signer.region.empty()) return StsError(403, "InvalidClientTokenId");
  if (signer.has_expired) return StsError(403, "ExpiredToken");
  if (signer.is_late) return StsError(403, "SignatureDoesNotMatch");
  if (!model.IsReachable(signer.region)) return StsError(503, "ServiceUnavailable");
  if (action == "GetCallerIdentity") return GetCallerIdentity(model);
  return AssumeRole(model, fields, action, absl::string_view(signer.key).substr(std::strlen(kEmulatedAwsKey)));
}

FakeHttpReply RestError(int status, const std::string& type, const std::string& body) {
  FakeHttpReply reply = JsonReply(status, body);
  reply.headers.emplace_back("x-amzn-ErrorType", type);
  return reply;
}

FakeHttpReply GetRoleCredentials(CloudModel& model, const FakeHttpRequest& request) {
  Fields fields = ServiceRequest(request).query;
  const std::string token(FindHeader(request.headers, "x-amz-sso_bearer_token").value_or(""));
  constexpr char kMessage[] = R"({"message":"emulated"})";
  if (token != kEmulatedSsoToken && !model.IsGood(token)) return RestError(401, "UnauthorizedException", kMessage);
  if (fields["account_id"] != Account(model.habits()) || fields["role_name"] == "refused") {
    return RestError(403, "ForbiddenException", kMessage);
  }
  const Given key = NewKey(model, "SSO" + Upper(fields["role_name"]));
  return JsonReply(200, absl::StrCat(R"({"roleCredentials":{"accessKeyId":")", key.id, R"(","secretAccessKey":")",
                                     kEmulatedAwsSecret, R"(","sessionToken":")", key.token, R"(","expiration":)",
                                     absl::ToUnixMillis(key.expires), "}}"));
}

FakeHttpReply CreateToken(CloudModel& model, const FakeHttpRequest& request) {
  const auto body = Json::Parse(request.body);
  if (!body.ok() || (*body)["clientId"].Text() != "emulated" || (*body)["clientSecret"].Text() != "emulated") {
    return RestError(401, "InvalidClientException", R"({"error":"invalid_client","error_description":"emulated"})");
  }
  if ((*body)["grantType"].Text() != "refresh_token" || (*body)["refreshToken"].Text() != kEmulatedSsoRefresh) {
    return RestError(400, "InvalidGrantException", R"({"error":"invalid_grant","error_description":"emulated"})");
  }
  return JsonReply(200, absl::StrCat(R"({"accessToken":")", model.NewToken("aoa", absl::Seconds(kSsoSeconds)),
                                     R"(","tokenType":"Bearer","expiresIn":)", kSsoSeconds, R"(,"refreshToken":")",
                                     kEmulatedSsoRefresh, "\"}"));
}

FakeHttpReply ContainerCredentials(CloudModel& model, const FakeHttpRequest& request) {
  const bool is_pod = request.target == kPod;
  if (is_pod && FindHeader(request.headers, "authorization") != kEmulatedPodToken) {
    return JsonReply(401, R"({"code":"InvalidToken","message":"emulated"})");
  }
  const Given key = NewKey(model, is_pod ? "POD" : "TASK");
  return JsonReply(200,
                   absl::StrCat(R"({"AccessKeyId":")", key.id, R"(","SecretAccessKey":")", kEmulatedAwsSecret,
                                R"(","Token":")", key.token, R"(","Expiration":")", Timestamp(key.expires), "\"}"));
}

bool IsSts(const FakeHttpRequest& request) {
  if (request.method != "POST" || request.target != "/") return false;
  const Fields fields = ServiceRequest(request).query;
  const auto action = fields.find("Action");
  return action != fields.end() &&
         (action->second == "GetCallerIdentity" || absl::StartsWith(action->second, "AssumeRole"));
}

bool IsPortal(const FakeHttpRequest& request) {
  return request.target.substr(0, request.target.find('?')) == kPortal;
}

// Google's has the same path, and asks by a form.
bool IsOidc(const FakeHttpRequest& request) {
  return request.target == "/token" &&
         absl::StrContains(FindHeader(request.headers, "content-type").value_or(""), "json");
}

}  // namespace

bool IsAwsIdentityRequest(const FakeHttpRequest& request) {
  return IsSts(request) || IsPortal(request) || IsOidc(request) || request.target == kTask || request.target == kPod;
}

FakeHttpReply AnswerAwsIdentity(CloudModel& model, const FakeHttpRequest& request) {
  model.Advance();
  if (IsSts(request)) return AnswerSts(model, request);
  if (IsPortal(request)) return GetRoleCredentials(model, request);
  if (IsOidc(request)) return CreateToken(model, request);
  return ContainerCredentials(model, request);
}

}  // namespace spotinference::fleet
