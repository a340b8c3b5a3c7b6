// Keys from AWS's usual places, in botocore's order (create_credential_resolver); one that is named and broken ends the
// search:
//   1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CREDENTIAL_EXPIRATION;
//   2. the profile (AWS_DEFAULT_PROFILE, AWS_PROFILE, "default") that assumes a role: role_arn with source_profile or
//      credential_source;
//   3. web identity: AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME, or the profile's;
//   4. the profile's SSO; its key in the credentials file; its credential_process; its key in the config file;
//   5. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, AWS_CONTAINER_CREDENTIALS_FULL_URI;
//   6. the role of the EC2 instance.
// Profiles are in ~/.aws/config (AWS_CONFIG_FILE) and ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE).
// https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
#ifndef FLEET_PROVIDERS_AWS_AWS_CREDENTIALS_H_
#define FLEET_PROVIDERS_AWS_AWS_CREDENTIALS_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/clock.h"
#include "fleet/providers/aws/aws_key.h"
#include "fleet/providers/aws/sigv4.h"
#include "fleet/providers/cloud/command.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {

// The Security Token Service where the environment and the profile do not say.
struct AwsHome {
  std::string region = "us-east-1";
  std::string sts_endpoint;  // "": the region's
};

// Thread-safe. What expires is renewed five minutes before, and never given once it has expired; but where the
// instance's metadata service has no newer key, AWS goes on to accept the one that it gives.
class AwsCredentials {
 public:
  // `clock` outlives it.
  explicit AwsCredentials(const Clock& clock, AwsHome home = {})
      : clock_(clock), home_(std::move(home)), commands_(clock) {}

  // UNAUTHENTICATED: none of the places has one, or the first that should has none. UNAVAILABLE: the one that may does
  // not say. CANCELLED. The message names the place.
  absl::StatusOr<AwsKey> Get(CloudHttp& http);
  // The service says that the key it was given has expired.
  void Drop();
  void Cancel() { commands_.Cancel(); }  // of programs that are asked; CloudHttp has its own

 private:
  const Clock& clock_;
  const AwsHome home_;
  Commands commands_;
  absl::Mutex mutex_;
  std::optional<AwsTimedKey> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_CREDENTIALS_H_
