// An OAuth2 access token, kept for as long as it is good.
#ifndef FLEET_PROVIDERS_CLOUD_BEARER_TOKEN_H_
#define FLEET_PROVIDERS_CLOUD_BEARER_TOKEN_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/base/http_client.h"

namespace spotinference::fleet {

// Thread-safe.
class BearerToken {
 public:
  // `clock` outlives it.
  explicit BearerToken(const Clock& clock) : clock_(clock) {}

  // The token, a new one by `ask` if there is none that is good for five more minutes; the old one to its end while
  // nobody answers. The answer is OAuth 2's, of Google's generateAccessToken, or what `az account get-access-token`
  // writes. Errors: `ask`'s; UNAUTHENTICATED for an answer that refuses or has no token; UNAVAILABLE for any
  // other, since what is wrong with a token says nothing about what is asked for with it.
  absl::StatusOr<std::string> Get(absl::FunctionRef<absl::StatusOr<HttpResponse>()> ask);
  // It was refused.
  void Drop();

 private:
  const Clock& clock_;
  absl::Mutex mutex_;
  std::string token_ ABSL_GUARDED_BY(mutex_);
  absl::Duration good_until_ ABSL_GUARDED_BY(mutex_);
};

// The same, with a message that says first which place has the credentials.
absl::Status OfPlace(const absl::Status& status, absl::string_view place);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_BEARER_TOKEN_H_
