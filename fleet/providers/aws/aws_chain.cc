#include "fleet/providers/aws/aws_chain.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"
#include "fleet/providers/aws/aws_machine.h"
#include "fleet/providers/aws/aws_sso.h"
#include "fleet/providers/cloud/command.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {
namespace {

constexpr size_t kLongestFile = 1 << 20;
constexpr size_t kLongestToken = 64 << 10;
constexpr size_t kMostProfiles = 16;  // one after the other
constexpr absl::Duration kProcessLimit = absl::Minutes(1);
constexpr char kHasExpired[] = "the key that it gives has expired";

absl::Status Wrong(absl::string_view what) { return absl::UnauthenticatedError(what); }

// "": there is no such file.
absl::StatusOr<std::string> ReadFile(const char* variable, absl::string_view usual) {
  std::string path = AwsEnvironment(variable, std::string(usual));
  if (absl::StartsWith(path, "~/")) path = absl::StrCat(AwsEnvironment("HOME"), path.substr(1));
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return "";
  return ReadWholeFile(path, kLongestFile);
}

// Of a key that is one of two settings or variables; the other has to be there, too.
absl::Status Half(absl::string_view missing) { return Wrong(absl::StrCat(missing, " is missing")); }

// What a status says of the key, and not of what is asked for with it.
absl::Status OfPlace(const absl::Status& status, const std::string& place) {
  absl::StatusCode code = absl::StatusCode::kUnauthenticated;
  if (absl::IsCancelled(status)) code = absl::StatusCode::kCancelled;
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status)) {
    code = absl::StatusCode::kUnavailable;
  }
  absl::Status told(code, absl::StrCat("no AWS key from ", place, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { told.SetPayload(url, payload); });
  return told;
}

}  // namespace

absl::StatusOr<AwsTimedKey> AwsChain::Find() {
  absl::StatusOr<AwsTimedKey> key = Search();
  return key.ok() ? key : OfPlace(key.status(), place_);
}

absl::Status AwsChain::ReadProfiles() {
  place_ = "~/.aws";
  ASSIGN_OR_RETURN(const std::string config, ReadFile("AWS_CONFIG_FILE", "~/.aws/config"));
  ASSIGN_OR_RETURN(const std::string credentials, ReadFile("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"));
  ASSIGN_OR_RETURN(profiles_, ParseAwsProfiles(config, credentials));
  const std::string named = AwsEnvironment("AWS_DEFAULT_PROFILE", AwsEnvironment("AWS_PROFILE"));
  own_ = named.empty() ? "default" : named;
  if (!named.empty() && profiles_.merged.count(named) == 0) {
    return Wrong(absl::StrCat("the environment names the profile '", named, "', which is in neither file"));
  }
  return absl::OkStatus();
}

absl::StatusOr<AwsTimedKey> AwsChain::Search() {
  RETURN_IF_ERROR(ReadProfiles());
  ASSIGN_OR_RETURN(std::optional<AwsTimedKey> key, BeforeTheMachine());
  if (!key.has_value()) {
    ASSIGN_OR_RETURN(key, FromContainer());
  }
  if (key.has_value()) {
    if (key->expires <= now_) return Wrong(kHasExpired);
    return *std::move(key);
  }
  // Also one that has expired: AWS accepts it while it cannot renew it.
  ASSIGN_OR_RETURN(key, FromInstance());
  if (key.has_value()) return *std::move(key);
  place_ = "anywhere";
  return Wrong(
      "neither in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, nor in the profile of ~/.aws/config and "
      "~/.aws/credentials, no web identity, and this is neither a container nor an EC2 instance with a role");
}

AwsChain::Found AwsChain::BeforeTheMachine() {
  ASSIGN_OR_RETURN(std::optional<AwsTimedKey> key, FromEnvironment());
  if (key.has_value()) return key;
  if (AssumesRole(own_)) {
    visited_ = {own_};
    return FromRole(own_);
  }
  return FromProfile(own_, /*is_own=*/true);
}

AwsChain::Found AwsChain::FromEnvironment() {
  place_ = "the environment";
  AwsTimedKey found = {{.id = AwsEnvironment("AWS_ACCESS_KEY_ID"),
                        .secret = AwsEnvironment("AWS_SECRET_ACCESS_KEY"),
                        .session_token = AwsEnvironment("AWS_SECURITY_TOKEN", AwsEnvironment("AWS_SESSION_TOKEN"))}};
  if (found.key.id.empty()) return std::nullopt;
  if (found.key.secret.empty()) return Half("AWS_SECRET_ACCESS_KEY");
  if (const std::string expires = AwsEnvironment("AWS_CREDENTIAL_EXPIRATION"); !expires.empty()) {
    const auto time = TimeIn(expires);
    if (!time.has_value()) return Wrong("AWS_CREDENTIAL_EXPIRATION is no time");
    found.expires = *time;
  }
  return found;
}

AwsChain::Found AwsChain::FromProfile(const std::string& name, bool is_own) {
  const AwsSettings& profile = Profile(name);
  place_ = absl::StrCat("profile '", name, "'");
  const std::string place = place_;
  ASSIGN_OR_RETURN(std::optional<AwsTimedKey> key, FromWebIdentity(profile, is_own));
  if (key.has_value()) return key;
  ASSIGN_OR_RETURN(key, FromSso(profile));
  if (key.has_value()) return key;
  place_ = place + " of the credentials file";
  ASSIGN_OR_RETURN(key, FromSettings(profiles_.credentials, name));
  if (key.has_value()) return key;
  place_ = place;
  if (profile.count("login_session") != 0) return Wrong("sessions of `aws login` are not understood");
  ASSIGN_OR_RETURN(key, FromProcess(profile));
  if (key.has_value()) return key;
  place_ = place + " of the config file";
  return FromSettings(profiles_.config, name);
}

AwsChain::Found AwsChain::FromWebIdentity(const AwsSettings& profile, bool is_own) {
  const auto setting = [&](const char* variable, const char* name) {
    return is_own ? AwsEnvironment(variable, SettingOf(profile, name)) : SettingOf(profile, name);
  };
  const std::string file = setting("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file");
  const AwsRole role = {.arn = setting("AWS_ROLE_ARN", "role_arn"),
                        .session_name = SessionName(setting("AWS_ROLE_SESSION_NAME", "role_session_name"))};
  if (file.empty()) return std::nullopt;
  const bool is_environments = is_own && !AwsEnvironment("AWS_WEB_IDENTITY_TOKEN_FILE").empty();
  place_ = is_environments ? "AWS_WEB_IDENTITY_TOKEN_FILE" : absl::StrCat(place_, ", web identity");
  if (role.arn.empty()) return Wrong("neither AWS_ROLE_ARN nor role_arn says for which role");
  ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(file, kLongestToken));
  ASSIGN_OR_RETURN(const AwsSts sts, Sts());
  ASSIGN_OR_RETURN(const AwsTimedKey key, AssumeRoleWithWebIdentity(
                                              http_, sts, role, std::string(absl::StripAsciiWhitespace(text)), now_));
  return key;
}

AwsChain::Found AwsChain::FromSso(const AwsSettings& profile) {
  if (profile.count("sso_account_id") == 0 && profile.count("sso_role_name") == 0) return std::nullopt;
  absl::StrAppend(&place_, ", SSO");
  const std::string session_name = SettingOf(profile, "sso_session");
  AwsSettings settings = profile;
  if (!session_name.empty()) {
    const auto session = profiles_.sso_sessions.find(session_name);
    if (session == profiles_.sso_sessions.end()) return Wrong(absl::StrCat("no [sso-session ", session_name, "]"));
    for (const auto& [name, value] : session->second) {
      if (!settings.emplace(name, value).second && settings[name] != value) {
        return Wrong(absl::StrCat(name, " is another one in the profile than in its sso-session"));
      }
    }
    for (const char* name : {"sso_start_url", "sso_region"}) {  // the profile's own do not make up for these
      if (SettingOf(session->second, name).empty()) return Half(name);
    }
  }
  for (const char* name : {"sso_start_url", "sso_region", "sso_account_id", "sso_role_name"}) {
    if (SettingOf(settings, name).empty()) return Half(name);
  }
  AwsSso sso = {.session = session_name,
                .start_url = settings["sso_start_url"],
                .region = settings["sso_region"],
                .account = settings["sso_account_id"],
                .role = settings["sso_role_name"]};
  ASSIGN_OR_RETURN(sso.portal, Endpoint("sso", "portal.sso", sso.region));
  ASSIGN_OR_RETURN(sso.oidc, Endpoint("sso_oidc", "oidc", sso.region));
  ASSIGN_OR_RETURN(const AwsTimedKey key, SsoKey(http_, sso, now_));
  return key;
}

// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
AwsChain::Found AwsChain::FromProcess(const AwsSettings& profile) {
  const std::string line = SettingOf(profile, "credential_process");
  if (line.empty()) return std::nullopt;
  absl::StrAppend(&place_, ", credential_process");
  ASSIGN_OR_RETURN(const std::vector<std::string> words, ShellWords(line));
  std::string output;
  RETURN_IF_ERROR(commands_.Run(words, kProcessLimit, [&](const std::string& written) {
    output = written;
    return absl::OkStatus();
  }));
  const auto json = Json::Parse(output);
  if (!json.ok()) return Wrong("what it wrote is no JSON");
  if ((*json)["Version"].Text() != "1") return Wrong("what it wrote is not of version 1");
  AwsTimedKey found = {{.id = (*json)["AccessKeyId"].Text(),
                        .secret = (*json)["SecretAccessKey"].Text(),
                        .session_token = (*json)["SessionToken"].Text()}};
  if (found.key.id.empty() || found.key.secret.empty()) return Half("AccessKeyId or SecretAccessKey");
  if (const std::string expires = (*json)["Expiration"].Text(); !expires.empty()) {
    const auto time = TimeIn(expires);
    if (!time.has_value()) return Wrong("its Expiration is no time");
    found.expires = *time;
  }
  return found;
}

AwsChain::Found AwsChain::FromSettings(const AwsSections& file, const std::string& name) {
  const auto section = file.find(name);
  if (section == file.end() || section->second.count("aws_access_key_id") == 0) return std::nullopt;
  const AwsSettings& settings = section->second;
  const bool has_old_token = settings.count("aws_security_token") != 0;
  const AwsKey key = {.id = SettingOf(settings, "aws_access_key_id"),
                      .secret = SettingOf(settings, "aws_secret_access_key"),
                      .session_token = SettingOf(settings, has_old_token ? "aws_security_token" : "aws_session_token")};
  if (key.id.empty()) return Half("aws_access_key_id");
  if (key.secret.empty()) return Half("aws_secret_access_key");
  return AwsTimedKey{key};
}

AwsChain::Found AwsChain::FromContainer() {
  const std::string url = ContainerKeyUrl();
  if (url.empty()) return std::nullopt;
  place_ = "the container's service";
  ASSIGN_OR_RETURN(const AwsTimedKey key, ContainerKey(http_, url, now_));
  return key;
}

AwsChain::Found AwsChain::FromInstance() {
  place_ = "the EC2 instance's role";
  return InstanceKey(http_, now_);
}

// One with a token file has a web identity's role.
bool AwsChain::AssumesRole(const std::string& profile) const {
  const AwsSettings& settings = Profile(profile);
  return settings.count("role_arn") != 0 && settings.count("web_identity_token_file") == 0;
}

absl::StatusOr<AwsTimedKey> AwsChain::FromRole(const std::string& profile) {
  const AwsSettings& settings = Profile(profile);
  const std::string place = absl::StrCat("profile '", profile, "', a role");
  place_ = place;
  // Nobody is there who could be asked for its code.
  if (settings.count("mfa_serial") != 0) return Wrong("mfa_serial is not understood");
  ASSIGN_OR_RETURN(const AwsTimedKey source, SourceOf(profile));
  if (source.expires <= now_) return Wrong(kHasExpired);
  place_ = place;
  AwsRole role = {.arn = SettingOf(settings, "role_arn"),
                  .session_name = SessionName(SettingOf(settings, "role_session_name")),
                  .external_id = SettingOf(settings, "external_id")};
  if (int seconds; absl::SimpleAtoi(SettingOf(settings, "duration_seconds"), &seconds)) role.seconds = seconds;
  ASSIGN_OR_RETURN(const AwsSts sts, Sts());
  return AssumeRole(http_, sts, role, source.key, now_);
}

absl::StatusOr<AwsTimedKey> AwsChain::SourceOf(const std::string& profile) {
  const std::string source = SettingOf(Profile(profile), "source_profile");
  const std::string named = SettingOf(Profile(profile), "credential_source");
  if (source.empty() && named.empty()) return Half("source_profile or credential_source");
  if (!source.empty() && !named.empty()) return Wrong("it has both source_profile and credential_source");
  if (!named.empty()) {
    ASSIGN_OR_RETURN(std::optional<AwsTimedKey> key, Named(named));
    if (!key.has_value()) return Wrong(absl::StrCat("there is none, which profile '", profile, "' wants"));
    return *std::move(key);
  }
  RETURN_IF_ERROR(CheckSource(profile, source));
  visited_.push_back(source);
  const AwsSettings& settings = Profile(source);
  const bool has_key = settings.count("aws_access_key_id") != 0 || settings.count("aws_secret_access_key") != 0;
  if (!has_key && AssumesRole(source)) return FromRole(source);
  ASSIGN_OR_RETURN(std::optional<AwsTimedKey> key, FromProfile(source, /*is_own=*/false));
  if (!key.has_value()) return Wrong(absl::StrCat("there is none, which profile '", profile, "' wants"));
  return *std::move(key);
}

AwsChain::Found AwsChain::Named(const std::string& credential_source) {
  if (credential_source == "Environment") return FromEnvironment();
  if (credential_source == "EcsContainer") return FromContainer();
  if (credential_source == "Ec2InstanceMetadata") return FromInstance();
  return Wrong(absl::StrCat("there is no credential_source '", credential_source, "'"));
}

absl::Status AwsChain::CheckSource(const std::string& profile, const std::string& source) const {
  if (profiles_.merged.count(source) == 0) return Wrong(absl::StrCat("there is no source_profile '", source, "'"));
  if (visited_.size() >= kMostProfiles) {
    return Wrong(absl::StrCat("it is the last of ", kMostProfiles, " profiles, each the source of the one before"));
  }
  if (std::find(visited_.begin(), visited_.end(), source) == visited_.end()) return absl::OkStatus();
  // It may be its own source, by a key of its own.
  const AwsSettings& settings = Profile(source);
  const bool has_key = settings.count("aws_access_key_id") != 0 || settings.count("aws_secret_access_key") != 0;
  if (source == profile && has_key) return absl::OkStatus();
  return Wrong(absl::StrCat("its source_profile '", source, "' leads back to itself"));
}

const AwsSettings& AwsChain::Profile(const std::string& name) const {
  static const AwsSettings& none = *new AwsSettings;
  const auto profile = profiles_.merged.find(name);
  return profile == profiles_.merged.end() ? none : profile->second;
}

std::string AwsChain::SessionName(const std::string& given) const {
  return given.empty() ? absl::StrCat("spotinference-", absl::ToUnixSeconds(now_)) : given;
}

absl::StatusOr<AwsSts> AwsChain::Sts() const {
  const std::string of_profile = SettingOf(Profile(own_), "region");
  AwsSts sts;
  sts.region = AwsEnvironment("AWS_REGION",
                              AwsEnvironment("AWS_DEFAULT_REGION", of_profile.empty() ? home_.region : of_profile));
  ASSIGN_OR_RETURN(sts.endpoint, Endpoint("sts", "sts", sts.region, home_.sts_endpoint));
  return sts;
}

// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
absl::StatusOr<std::string> AwsChain::Endpoint(const std::string& service, absl::string_view host,
                                               absl::string_view region, const std::string& otherwise) const {
  const AwsSettings& profile = Profile(own_);
  const std::string ignores = AwsEnvironment("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
                                             SettingOf(profile, "ignore_configured_endpoint_urls"));
  std::string endpoint;
  if (!absl::EqualsIgnoreCase(ignores, "true")) {
    endpoint = AwsEnvironment(absl::StrCat("AWS_ENDPOINT_URL_", absl::AsciiStrToUpper(service)).c_str(),
                              AwsEnvironment("AWS_ENDPOINT_URL"));
    if (endpoint.empty()) {
      ASSIGN_OR_RETURN(endpoint, EndpointOf(profiles_, profile, service));
    }
  }
  if (endpoint.empty()) endpoint = otherwise;
  while (absl::EndsWith(endpoint, "/")) endpoint.pop_back();
  if (!endpoint.empty()) return endpoint;
  if (region.empty() || region.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != absl::string_view::npos) {
    return Wrong(absl::StrCat("'", region, "' is no region"));
  }
  return absl::StrCat("https://", host, ".", region, ".amazonaws.com");
}

}  // namespace spotinference::fleet
