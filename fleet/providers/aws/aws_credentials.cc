#include "fleet/providers/aws/aws_credentials.h"

#include "absl/time/time.h"
#include "fleet/providers/aws/aws_chain.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kRenewBefore = absl::Minutes(5);

}  // namespace

absl::StatusOr<AwsKey> AwsCredentials::Get(CloudHttp& http) {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = clock_.Now();
  if (known_.has_value() && now + kRenewBefore < known_->expires) return known_->key;
  absl::StatusOr<AwsTimedKey> found = AwsChain(http, commands_, home_, now).Find();
  if (!found.ok()) {
    if (known_.has_value() && now < known_->expires) return known_->key;
    known_.reset();
    return found.status();
  }
  known_ = *std::move(found);
  return known_->key;
}

void AwsCredentials::Drop() {
  absl::MutexLock lock(&mutex_);
  known_.reset();
}

}  // namespace spotinference::fleet
