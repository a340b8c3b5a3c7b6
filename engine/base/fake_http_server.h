// An HTTP server on a loopback port whose answers a test dictates, broken ones too.
#ifndef ENGINE_BASE_FAKE_HTTP_SERVER_H_
#define ENGINE_BASE_FAKE_HTTP_SERVER_H_

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/http_client.h"

namespace spotinference {

struct FakeHttpRequest {
  std::string method, target;  // "GET", "/path?query"
  HttpHeaders headers;
  std::string body;
};

struct FakeHttpReply {
  int status = 200;
  HttpHeaders headers;  // beside content-length, which is the body's unless it is among these; an empty one: none
  std::string body;
  // After so many bytes of the body nothing comes any more, and the connection is closed, or hangs.
  std::optional<size_t> cut_after;
  bool hangs = false;
};

// A thread for each connection; connections are kept between requests.
class FakeHttpServer {
 public:
  // Runs on the connections' threads. It may wait, for something that ends before the server does.
  using Handler = std::function<FakeHttpReply(const FakeHttpRequest&)>;

  explicit FakeHttpServer(Handler handler, int port = 0);  // 0: a free one
  ~FakeHttpServer();  // closes what is open

  int port() const { return port_; }
  std::string url() const;  // "http://127.0.0.1:PORT"

 private:
  void Accept();
  void Serve(int connection);

  const Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::list<int> connections_ ABSL_GUARDED_BY(mutex_);
  std::list<std::thread> threads_;  // of the accepting thread, then of the destructor
  std::thread accepting_;
};

}  // namespace spotinference

#endif  // ENGINE_BASE_FAKE_HTTP_SERVER_H_
