// HTTP/1.1 requests over libcurl: to metadata services, to whoever has weights.
//
//   HttpClient client;
//   ASSIGN_OR_RETURN(const HttpResponse response, client.Do({.url = "https://example.org/weights"}));
//   if (response.status != 200) …
//
// No proxy of the environment, no cookies, no .netrc, no compression, no scheme but http and https. Headers are never
// logged, and messages of errors leave out a URL's query and user.
#ifndef ENGINE_BASE_HTTP_CLIENT_H_
#define ENGINE_BASE_HTTP_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;  // in order

// The first value of a header, by name in any case; nullopt where there is none.
std::optional<absl::string_view> FindHeader(const HttpHeaders& headers, absl::string_view name);

struct HttpRange {
  int64_t first = 0;
  std::optional<int64_t> last;  // inclusive; without it: to the end
};

// The answer, of whatever status.
struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;  // unless it went to HttpRequest::on_body
};

struct HttpRequest {
  std::string method = "GET";  // GET, HEAD, PUT, POST, DELETE
  std::string url;             // absolute, http or https
  HttpHeaders headers;         // they go along on a redirect; to another host, all but Authorization and Cookie
  std::string body;            // of PUT, POST and DELETE
  std::optional<HttpRange> range;

  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration timeout = absl::Seconds(60);        // of everything; a long download wants InfiniteDuration
  absl::Duration stall_timeout = absl::Seconds(30);  // in whole seconds: with no byte for so long it has failed
  int64_t max_body_bytes = int64_t{1} << 20;
  int max_redirects = 0;           // from https only to https; 0: the 3xx is the answer
  bool environment_proxy = false;  // http_proxy, https_proxy, no_proxy
  std::string ca_file;             // PEM of the authorities to trust; "": the system's

  // On the calling thread. An error ends the exchange, and is what Do returns. `on_head` sees status and headers before
  // the first byte of the last answer's body, not those of redirects; `on_body` gets the body piece by piece.
  std::function<absl::Status(const HttpResponse& head)> on_head;
  std::function<absl::Status(absl::string_view piece)> on_body;
};

// Keeps its connection between requests. One thread at a time, but for Cancel.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Blocks until the answer is whole. INVALID_ARGUMENT: a method, URL, header or range that is none. UNAVAILABLE: no
  // connection, or it broke. DEADLINE_EXCEEDED: a time-out. RESOURCE_EXHAUSTED: more than max_body_bytes, or 256 KiB of
  // headers. FAILED_PRECONDITION: TLS does not trust the peer; too many redirects. CANCELLED. What the callbacks say.
  absl::StatusOr<HttpResponse> Do(const HttpRequest& request);

  // The request under way ends CANCELLED at once, and so does every later one. Any thread.
  void Cancel();

 private:
  struct Curl;
  const std::unique_ptr<Curl> curl_;
};

}  // namespace spotinference

#endif  // ENGINE_BASE_HTTP_CLIENT_H_
