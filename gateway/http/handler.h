// What answers requests, and what stands before it.
#ifndef GATEWAY_HTTP_HANDLER_H_
#define GATEWAY_HTTP_HANDLER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "gateway/http/exchange.h"
#include "gateway/http/message.h"

namespace spotinference::http {

// Thread-safe. Called on an I/O thread with the whole request: answers then and there, or keeps the
// exchange and answers from elsewhere. What takes long must not happen here: it holds up other
// connections of the thread.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void Handle(std::shared_ptr<Exchange> exchange) = 0;
};

// How an answer ended.
struct Outcome {
  enum class End {
    kComplete,    // the client was sent all of it
    kAborted,     // broken off by the handler or by a stopping server
    kClientGone,  // the client left first, or took nothing for too long
  };
  int status = 0;           // 499 when there was none, mostly since the client left
  uint64_t body_bytes = 0;  // taken by the socket, without framing
  absl::Duration duration;  // from the request's first byte
  End end = End::kComplete;
};

// Sees one request before the handler and learns how it ended: keys, limits, the access log. One is
// made for each request (configuration is parsed once, in what makes them); all calls come from I/O
// threads, one at a time.
class Filter {
 public:
  virtual ~Filter() = default;

  // The head of the request has come, the body has not: who is refused here costs no more than a
  // head. A Response ends the matter; later filters and the handler do not see the request.
  virtual std::optional<Response> OnRequest(Request& request) = 0;

  // Every answer ends here, in reverse order of the filters; also one that an earlier filter gave,
  // or that the server gave to what it could not parse (then without OnRequest, and the request has
  // only what was understood).
  virtual void OnEnd(const Request& request, const Outcome& outcome) = 0;
};

using FilterFactory = std::function<std::unique_ptr<Filter>()>;

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_HANDLER_H_
