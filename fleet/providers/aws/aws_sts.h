// Keys of roles, from AWS's Security Token Service: https://docs.aws.amazon.com/STS/latest/APIReference/
#ifndef FLEET_PROVIDERS_AWS_AWS_STS_H_
#define FLEET_PROVIDERS_AWS_AWS_STS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fleet/providers/aws/aws_key.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {

struct AwsRole {
  std::string arn;
  std::string session_name;
  std::string external_id;     // "": none
  std::optional<int> seconds;  // that the key is good for; nullopt: an hour
};

struct AwsSts {
  std::string endpoint;
  std::string region;  // for which is signed
};

// UNAUTHENTICATED: it refuses. UNAVAILABLE: it says neither yes nor no.
absl::StatusOr<AwsTimedKey> AssumeRole(CloudHttp& http, const AwsSts& sts, const AwsRole& role, const AwsKey& by,
                                       absl::Time now);
absl::StatusOr<AwsTimedKey> AssumeRoleWithWebIdentity(CloudHttp& http, const AwsSts& sts, const AwsRole& role,
                                                      const std::string& token, absl::Time now);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_STS_H_
