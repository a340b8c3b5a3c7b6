// HTTP as the clouds' interfaces are called: from many threads, with statuses that say what to do next.
#ifndef FLEET_PROVIDERS_CLOUD_HTTP_H_
#define FLEET_PROVIDERS_CLOUD_HTTP_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/http_client.h"

namespace spotinference::fleet {

// RFC 3986: all but letters, digits, '-', '.', '_' and '~'.
std::string UriEncode(absl::string_view text);

// A connection for each call that is under way, kept for the next. Thread-safe.
class CloudHttp {
 public:
  // As HttpClient::Do, but UNAVAILABLE for an answer that is too long: what was asked for may have been done. Nothing is
  // ever tried again here. What it sends are credentials: INVALID_ARGUMENT for an address without TLS that is neither
  // loopback nor a metadata service of the machine's own, and for one with a user in it.
  absl::StatusOr<HttpResponse> Do(const HttpRequest& request);

  void Cancel();  // every call, for ever

  // Of the latest answer that had one; InfinitePast(): none had.
  absl::Time LastDate() const;

  // Do, where all link-local addresses are the machine's, too: for what its environment names, never for an answer's.
  absl::StatusOr<HttpResponse> DoOnLink(const HttpRequest& request);

 private:
  absl::StatusOr<HttpResponse> Send(const HttpRequest& request);

  mutable absl::Mutex mutex_;
  absl::Time last_date_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<HttpClient>> idle_ ABSL_GUARDED_BY(mutex_);
  std::vector<HttpClient*> busy_ ABSL_GUARDED_BY(mutex_);
};

// What an HTTP status means where a cloud's own words do not say more (cloud_api.h has the codes). OK: 2xx. What is
// UNAVAILABLE carries the answer's retry-after.
absl::Status StatusOfHttp(const HttpResponse& response, absl::string_view message);

// Whether a URL out of an answer has the endpoint's host and a path below its own, so that what is sent there may be sent
// to it. The default port may be written, as Azure's prices have it.
bool IsBelow(absl::string_view url, absl::string_view endpoint);

// Of a header, "Sun, 29 Nov 2026 11:30:55 GMT"; nullopt: it is none.
std::optional<absl::Time> HttpDateIn(absl::string_view text);

// Of RFC 3339, in an answer; nullopt: it is none.
std::optional<absl::Time> TimeIn(absl::string_view text);

// nullopt: nobody said.
std::optional<absl::Duration> RetryAfter(const absl::Status& status);
// In whole seconds, none too few.
absl::Status WithRetryAfter(absl::Status status, absl::Duration wait);

// How long to wait after so many failures in a row, the last of which is `status`: from half a second to 30, and no
// less than it says itself.
absl::Duration BackOff(int failures, const absl::Status& status);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_HTTP_H_
