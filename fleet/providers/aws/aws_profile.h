// The two files of AWS's tools, as botocore reads them, and so Python's configparser:
// https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
#ifndef FLEET_PROVIDERS_AWS_AWS_PROFILE_H_
#define FLEET_PROVIDERS_AWS_AWS_PROFILE_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::fleet {

using AwsSettings = std::map<std::string, std::string>;  // by name, in lower case
using AwsSections = std::map<std::string, AwsSettings>;

struct AwsProfiles {
  AwsSections config;        // profiles of the config file
  AwsSections credentials;   // sections of the credentials file, which are profiles
  AwsSections merged;        // of both; of a setting in both the credentials file's counts
  AwsSections sso_sessions;  // [sso-session NAME] of the config file
  AwsSections services;      // [services NAME] of it
};

// INVALID_ARGUMENT: one of the texts is no such file; the message has the line's number, and nothing of the line.
absl::StatusOr<AwsProfiles> ParseAwsProfiles(absl::string_view config, absl::string_view credentials);

// "": there is no such setting.
std::string SettingOf(const AwsSettings& settings, const std::string& name);

// Where the profile says that a service ("sts") is; "": it does not. INVALID_ARGUMENT: it names services that are not
// there.
absl::StatusOr<std::string> EndpointOf(const AwsProfiles& profiles, const AwsSettings& profile,
                                       const std::string& service);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_PROFILE_H_
