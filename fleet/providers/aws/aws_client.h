// Signed requests to AWS services, and what their errors mean.
#ifndef FLEET_PROVIDERS_AWS_AWS_CLIENT_H_
#define FLEET_PROVIDERS_AWS_AWS_CLIENT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/clock.h"
#include "fleet/providers/aws/aws_credentials.h"
#include "fleet/providers/aws/xml.h"
#include "fleet/providers/cloud/held_calls.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {

using AwsParameters = std::vector<std::pair<std::string, std::string>>;

// Thread-safe.
class AwsClient {
 public:
  explicit AwsClient(const Clock& clock, AwsHome home = {})
      : clock_(clock), credentials_(clock, std::move(home)), held_(clock) {}

  // An action of a Query API: of ec2 or sts. Errors as in cloud_api.h.
  absl::StatusOr<Xml> Query(const std::string& endpoint, const AwsScope& scope, const std::string& action,
                            const AwsParameters& parameters);
  // A call of a JSON 1.1 service; `target`: X-Amz-Target.
  absl::StatusOr<Json> Call(const std::string& endpoint, const AwsScope& scope, const std::string& target,
                            const std::string& body);

  absl::Time LastDate() const { return http_.LastDate(); }

  void Cancel() {
    http_.Cancel();
    credentials_.Cancel();
  }

 private:
  // The body of the answer to `call`, unless that is held; with the next key where this one has expired.
  absl::StatusOr<std::string> Post(const std::string& endpoint, const AwsScope& scope, const HttpHeaders& headers,
                                   const std::string& body, const std::string& call);
  absl::StatusOr<std::string> PostNow(const std::string& endpoint, const AwsScope& scope, const HttpHeaders& headers,
                                      const std::string& body, const std::string& call);
  absl::StatusOr<HttpResponse> PostOnce(const std::string& endpoint, const AwsScope& scope, const HttpHeaders& headers,
                                        const std::string& body);
  // AWS's clock, by its answer. Whether the request was signed for another time.
  bool NoteSkew(const HttpResponse& response, absl::Time signed_at);

  const Clock& clock_;
  AwsCredentials credentials_;
  CloudHttp http_;
  HeldCalls held_;  // by region and action
  absl::Mutex mutex_;
  absl::Duration skew_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();  // AWS's clock, against ours
};

// Of an error's code.
absl::Status AwsError(const HttpResponse& response, const std::string& code, const std::string& message);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_CLIENT_H_
