// Keys from AWS's usual places, in their usual order: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with
// AWS_SESSION_TOKEN), the profile AWS_PROFILE ("default") of AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), the role
// of the EC2 instance that this runs on, whose metadata service is at AWS_EC2_METADATA_SERVICE_ENDPOINT or
// http://169.254.169.254. Not SSO, not web identity, not credential_process.
// "IMDS credential provider", https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
#ifndef FLEET_PROVIDERS_AWS_AWS_CREDENTIALS_H_
#define FLEET_PROVIDERS_AWS_AWS_CREDENTIALS_H_

#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "fleet/providers/aws/sigv4.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {

// Thread-safe. What expires is renewed five minutes before, and never given once it has expired.
class AwsCredentials {
 public:
  // `clock` outlives it.
  explicit AwsCredentials(const Clock& clock) : clock_(clock) {}

  // UNAUTHENTICATED: none of the places has one. UNAVAILABLE: the one that may does not say.
  absl::StatusOr<AwsKey> Get(CloudHttp& http);
  // The service says that the key it was given has expired.
  void Drop();

 private:
  struct Known {
    AwsKey key;
    absl::Time expires = absl::InfiniteFuture();
  };

  absl::StatusOr<Known> Find(CloudHttp& http) const;
  absl::StatusOr<Known> FromInstance(CloudHttp& http) const;

  const Clock& clock_;
  absl::Mutex mutex_;
  std::optional<Known> known_ ABSL_GUARDED_BY(mutex_);
};

// Of a credentials file's text, the profile. NOT_FOUND: there is none, or not whole.
absl::StatusOr<AwsKey> ParseAwsProfile(absl::string_view text, absl::string_view profile);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_CREDENTIALS_H_
