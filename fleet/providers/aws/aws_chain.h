// One search for a key, through all places of aws_credentials.h.
#ifndef FLEET_PROVIDERS_AWS_AWS_CHAIN_H_
#define FLEET_PROVIDERS_AWS_AWS_CHAIN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/providers/aws/aws_credentials.h"
#include "fleet/providers/aws/aws_key.h"
#include "fleet/providers/aws/aws_profile.h"
#include "fleet/providers/aws/aws_sts.h"
#include "fleet/providers/cloud/command.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {

class AwsChain {
 public:
  // `http`, `commands` and `home` outlive it.
  AwsChain(CloudHttp& http, Commands& commands, const AwsHome& home, absl::Time now)
      : http_(http), commands_(commands), home_(home), now_(now) {}

  // As AwsCredentials::Get. Once.
  absl::StatusOr<AwsTimedKey> Find();

 private:
  // nullopt: this place has none and is not named, so that the next one is asked.
  using Found = absl::StatusOr<std::optional<AwsTimedKey>>;

  absl::Status ReadProfiles();
  absl::StatusOr<AwsTimedKey> Search();
  Found BeforeTheMachine();  // all places but the last two

  Found FromEnvironment();
  // Of a profile. `is_own`: it is the environment's, whose web identity counts before the profile's.
  Found FromProfile(const std::string& name, bool is_own);
  Found FromWebIdentity(const AwsSettings& profile, bool is_own);
  Found FromSso(const AwsSettings& profile);
  Found FromProcess(const AwsSettings& profile);
  // A key that one of the files has itself.
  Found FromSettings(const AwsSections& file, const std::string& name);
  Found FromContainer();
  Found FromInstance();

  bool AssumesRole(const std::string& profile) const;
  absl::StatusOr<AwsTimedKey> FromRole(const std::string& profile);
  absl::StatusOr<AwsTimedKey> SourceOf(const std::string& profile);
  Found Named(const std::string& credential_source);
  absl::Status CheckSource(const std::string& profile, const std::string& source) const;

  const AwsSettings& Profile(const std::string& name) const;  // of both files
  std::string SessionName(const std::string& given) const;
  absl::StatusOr<AwsSts> Sts() const;
  // Of a service that gives keys ("sts"), without a '/' at its end: as the environment or profile says; `otherwise`;
  // https://`host`.REGION.amazonaws.com.
  absl::StatusOr<std::string> Endpoint(const std::string& service, absl::string_view host, absl::string_view region,
                                       const std::string& otherwise = "") const;

  CloudHttp& http_;
  Commands& commands_;
  const AwsHome& home_;
  const absl::Time now_;
  AwsProfiles profiles_;
  std::string own_;                   // the profile
  std::vector<std::string> visited_;  // profiles on the way to a key
  std::string place_;                 // where it is looked for, in words
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_CHAIN_H_
