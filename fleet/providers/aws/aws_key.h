// What the places that AWS keys come from have in common.
#ifndef FLEET_PROVIDERS_AWS_AWS_KEY_H_
#define FLEET_PROVIDERS_AWS_AWS_KEY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/http_client.h"
#include "fleet/providers/aws/sigv4.h"

namespace spotinference::fleet {

struct AwsTimedKey {
  AwsKey key;
  absl::Time expires = absl::InfiniteFuture();
};

// A variable of the environment; `otherwise`, where there is none or an empty one.
std::string AwsEnvironment(const char* name, std::string otherwise = "");

// Of an answer that is no key: UNAUTHENTICATED, or UNAVAILABLE where the service may have one the next time.
absl::Status AwsRefusal(const HttpResponse& response, absl::string_view code, absl::string_view message);

// A time of an answer by our clock, where the answer's own is far from it.
absl::Time ByOurClock(absl::Time theirs, const HttpResponse& response, absl::Time now);

// By how far the answer's clock is ahead of a time; zero where it does not say, or it is not worth a word.
absl::Duration AwsSkew(const HttpResponse& response, absl::Time now);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_KEY_H_
