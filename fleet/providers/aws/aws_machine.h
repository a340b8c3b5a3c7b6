// Keys of what this runs on: a container of ECS or EKS, an EC2 instance.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
#ifndef FLEET_PROVIDERS_AWS_AWS_MACHINE_H_
#define FLEET_PROVIDERS_AWS_AWS_MACHINE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fleet/providers/aws/aws_key.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {

// Of the environment; "": this is no such container.
std::string ContainerKeyUrl();

// UNAUTHENTICATED: it refuses, or the environment says something that cannot be. UNAVAILABLE: it does not say.
absl::StatusOr<AwsTimedKey> ContainerKey(CloudHttp& http, const std::string& url, absl::Time now);

// Of the instance's role; nullopt: this is no instance, or has none, or AWS_EC2_METADATA_DISABLED says so. UNAVAILABLE:
// it does not say.
absl::StatusOr<std::optional<AwsTimedKey>> InstanceKey(CloudHttp& http, absl::Time now);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_MACHINE_H_
