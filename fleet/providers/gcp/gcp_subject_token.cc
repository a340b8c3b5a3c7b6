#include "fleet/providers/gcp/gcp_subject_token.h"

#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"
#include "fleet/providers/cloud/command.h"
#include "fleet/providers/gcp/gcp_aws_subject.h"

namespace spotinference::fleet {
namespace {

constexpr char kOfAws[] = "urn:ietf:params:aws:token-type:aws4_request";
constexpr size_t kLongest = 1 << 20;
constexpr int kDefaultMs = 30'000, kShortestMs = 5'000, kLongestMs = 120'000;

absl::Status Missing(absl::string_view what) { return absl::UnauthenticatedError(what); }

absl::StatusOr<std::string> FromFile(const std::string& path, const Json& format) {
  const auto text = ReadWholeFile(path, kLongest);
  if (!text.ok()) return Missing(absl::StrCat("credential_source.file: ", text.status().message()));
  const auto token = SubjectTokenIn(*text, format);
  if (!token.ok()) return Missing(absl::StrCat(path, ": ", token.status().message()));
  return token;
}

absl::StatusOr<std::string> FromUrl(const Json& source, CloudHttp& http) {
  HttpRequest request = {.url = source["url"].Text()};
  for (const std::string& name : source["headers"].Names())
    request.headers.emplace_back(name, source["headers"][name].Text());
  request.connect_timeout = absl::Seconds(5);
  request.timeout = absl::Seconds(20);
  const auto answer = http.Do(request);
  constexpr char kWhere[] = "credential_source.url";
  if (absl::IsInvalidArgument(answer.status())) return Missing(absl::StrCat(kWhere, ": ", answer.status().message()));
  RETURN_IF_ERROR(answer.status());
  if (answer->status >= 500 || answer->status == 429) return StatusOfHttp(*answer, kWhere);
  if (answer->status != 200) return Missing(absl::StrCat(kWhere, ": HTTP ", answer->status));
  const auto token = SubjectTokenIn(answer->body, source["format"]);
  if (!token.ok()) return Missing(absl::StrCat(kWhere, ": ", token.status().message()));
  return token;
}

// The name of the service account in the address that impersonates it; "": there is none.
std::string Impersonated(const Json& file) {
  const std::string url = file["service_account_impersonation_url"].Text();
  const size_t begin = url.rfind('/'), end = url.find(":generateAccessToken");
  return begin == url.npos || end == url.npos || begin > end ? "" : url.substr(begin + 1, end - begin - 1);
}

// nullopt: the program has to be asked.
absl::StatusOr<std::optional<std::string>> Kept(const std::string& path, absl::Time now) {
  const auto text = path.empty() ? absl::NotFoundError("") : ReadWholeFile(path, kLongest);
  const auto json = text.ok() ? Json::Parse(*text) : text.status();
  if (!json.ok()) return std::nullopt;
  const auto token = ExecutableTokenIn(*text, now);
  if (absl::IsInvalidArgument(token.status())) return Missing(absl::StrCat(path, ": ", token.status().message()));
  if (!token.ok() || !(*json)["expiration_time"]) return std::nullopt;
  return *token;
}

absl::StatusOr<std::string> FromExecutable(const Json& file, absl::Time now, Commands& commands) {
  const char* const allowed = std::getenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES");
  if (allowed == nullptr || absl::string_view(allowed) != "1") {
    return Missing(
        "credential_source.executable is run only where GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES is 1");
  }
  const Json executable = file["credential_source"]["executable"];
  const auto words = ShellWords(executable["command"].Text());
  if (!words.ok() || words->empty()) return Missing("credential_source.executable has no command");
  const int said = executable["timeout_millis"].Whole().value_or(0), limit = said == 0 ? kDefaultMs : said;
  if (limit < kShortestMs || limit > kLongestMs) return Missing("timeout_millis is none from 5000 to 120000");
  const std::string output_file = executable["output_file"].Text();
  ASSIGN_OR_RETURN(const std::optional<std::string> kept, Kept(output_file, now));
  if (kept.has_value()) return *kept;

  std::vector<std::string> arguments = {
      "env", absl::StrCat("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=", file["audience"].Text()),
      absl::StrCat("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=", file["subject_token_type"].Text()),
      absl::StrCat("GOOGLE_EXTERNAL_ACCOUNT_ID=", Impersonated(file)), "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0",
      "GOOGLE_EXTERNAL_ACCOUNT_REVOKE=0"};
  if (const std::string email = Impersonated(file); !email.empty())
    arguments.push_back(absl::StrCat("GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL=", email));
  if (!output_file.empty()) arguments.push_back(absl::StrCat("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=", output_file));
  arguments.insert(arguments.end(), words->begin(), words->end());
  std::string token;
  const absl::Status status =
      commands.Run(arguments, absl::Milliseconds(limit), [&](const std::string& output) -> absl::Status {
        absl::StatusOr<std::string> text = output;
        if (output.empty() && !output_file.empty()) text = ReadWholeFile(output_file, kLongest);
        auto found = text.ok() ? ExecutableTokenIn(*text, now) : text.status();
        if (!found.ok()) return Missing(found.status().message());
        token = *std::move(found);
        return absl::OkStatus();
      });
  if (status.ok()) return token;
  if (absl::IsCancelled(status)) return status;
  const std::string why = absl::StrCat("credential_source.executable: ", status.message());
  if (absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status)) return absl::UnavailableError(why);
  return Missing(why);
}

}  // namespace

absl::StatusOr<std::string> SubjectToken(const Json& file, const Clock& clock, Commands& commands, CloudHttp& http) {
  const Json source = file["credential_source"];
  if (file["subject_token_type"].Text() == kOfAws) return AwsSubjectToken(file, clock.Now(), http);
  if (source["environment_id"]) return Missing("environment_id, and subject_token_type is not AWS's");
  if (source["executable"]) return FromExecutable(file, clock.Now(), commands);
  if (source["file"] && !source["url"]) return FromFile(source["file"].Text(), source["format"]);
  if (source["url"] && !source["file"]) return FromUrl(source, http);
  return Missing("credential_source has neither a file nor a url nor an executable, or several; those of a certificate "
                 "are not understood");
}

absl::StatusOr<std::string> SubjectTokenIn(absl::string_view text, const Json& format) {
  const std::string type = format["type"].Text(), field = format["subject_token_field_name"].Text();
  std::string token;
  if (type.empty() || type == "text") {
    token = std::string(absl::StripAsciiWhitespace(text));
  } else if (type != "json" || field.empty()) {
    return Missing("format is neither text nor json with a subject_token_field_name");
  } else {
    const auto json = Json::Parse(text);
    if (!json.ok()) return Missing("is no JSON");
    token = (*json)[field].Text();
  }
  if (token.empty()) return Missing("has no token");
  return token;
}

absl::StatusOr<std::string> ExecutableTokenIn(absl::string_view text, absl::Time now) {
  const auto answer = Json::Parse(text);
  if (!answer.ok()) return absl::InvalidArgumentError("its answer is no JSON");
  for (const char* const field : {"version", "success"}) {
    if (!(*answer)[field]) return absl::InvalidArgumentError(absl::StrCat("its answer has no ", field));
  }
  if ((*answer)["version"].Number().value_or(2) > 1) return Missing("its answer has a version that is not known");
  if (!(*answer)["success"].IsTrue()) {
    const std::string code = (*answer)["code"].Text(), message = (*answer)["message"].Text();
    if (code.empty() || message.empty()) return absl::InvalidArgumentError("its answer has no code or no message");
    return Missing(absl::StrCat("it says ", code.substr(0, 50), ": ", message.substr(0, 200)));
  }
  const auto expires = (*answer)["expiration_time"].Number();
  if ((*answer)["expiration_time"] && absl::UnixEpoch() + absl::Seconds(expires.value_or(0)) < now)
    return Missing("the token that it has is over");
  const std::string type = (*answer)["token_type"].Text();
  if (type.empty()) return absl::InvalidArgumentError("its answer has no token_type");
  const bool is_saml = type == "urn:ietf:params:oauth:token-type:saml2";
  if (!is_saml && type != "urn:ietf:params:oauth:token-type:jwt" &&
      type != "urn:ietf:params:oauth:token-type:id_token") {
    return Missing("its token's type is not known");
  }
  std::string token = (*answer)[is_saml ? "saml_response" : "id_token"].Text();
  if (token.empty()) return Missing("its answer has no token");
  return token;
}

}  // namespace spotinference::fleet
