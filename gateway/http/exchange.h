// One request being answered: the mailbox between a handler, which may answer from any thread and
// at any time, and the connection, which writes to the socket on an I/O thread. Knows nothing of
// sockets.
//
//   exchange->Reply({200, {{"content-type", "application/json"}}, body});        // whole, or
//   exchange->StartStream(200, {{"content-type", "text/event-stream"}});
//   if (!exchange->Write(event)) Pause();   // and go on when OnWritable's callback fires
//   exchange->Finish();
#ifndef GATEWAY_HTTP_EXCHANGE_H_
#define GATEWAY_HTTP_EXCHANGE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gateway/http/message.h"

namespace spotinference::http {

// A stream's buffer. Bytes count from Write until the socket has taken them.
struct StreamLimits {
  size_t high_bytes = 16 << 10;  // from here on Write asks for a pause
  size_t low_bytes = 4 << 10;    // down here the callback of OnWritable fires
  size_t max_bytes = 1 << 20;    // a producer that goes on to write past this loses its stream
};

// Thread-safe. Handlers hold it by shared_ptr; dropping the last copy unanswered makes a 500, in
// mid-stream an Abort.
//
// An answer has one end: Reply, Finish or Abort, whichever comes first; what comes after it, or
// after the client has gone, is dropped without harm. Callbacks run on an I/O thread with no lock
// held, must not block, and are destroyed when the answer is out; one that owns the exchange keeps
// it from counting as dropped, so let it hold a weak_ptr.
class Exchange {
 public:
  // --- The handler's side.

  Request& request() { return request_; }

  // The whole answer at once.
  void Reply(Response response);

  // Begins an answer of unknown length. Only one StartStream or Reply counts.
  void StartStream(int status, Headers headers);

  // Appends to the stream's body. Never blocks and never splits: all bytes are taken. False: pause,
  // either until OnWritable's callback fires, or for ever, because the answer is over.
  bool Write(std::string_view bytes);

  // The clean end of a stream.
  void Finish();

  // Breaks the connection after what was written so far, so that the client sees a broken body and
  // never a clean end. Before StartStream: no answer at all.
  void Abort();

  // Something that filters are to know at the end, as one of the request's captures. Nothing once the answer is over: to
  // be said before its end.
  void Note(std::string name, std::string value);

  size_t buffered_bytes() const;

  // `callback` fires each time that the buffer has drained after Write returned false. To be set
  // before the first Write.
  void OnWritable(std::function<void()> callback);

  // `callback` fires once if the answer is over without the handler's doing: the client has gone
  // away, also while nothing is being written, or the stream was lost at max_bytes; at once, on
  // this thread, if that has happened already.
  void OnClosed(std::function<void()> callback);

  // `callback` fires when a stopping server's grace is over. It may still write a last event, and
  // Abort or Finish, before it returns; what has no end by then is aborted, or answered 503 if it
  // has not started.
  void OnShutdown(std::function<void()> callback);

  // --- The connection's side.

  struct Sides {
    std::shared_ptr<Exchange> handler;
    std::shared_ptr<Exchange> connection;  // does not keep the exchange from counting as dropped
  };
  // `wake` is called, under a lock, when there is something to Take; it must only post. Destroyed
  // by Close.
  static Sides Create(Request request, const StreamLimits& limits, std::function<void()> wake);

  enum class End {
    kNone,     // more may come
    kClean,    // Reply or Finish
    kAborted,  // Abort
    kDropped,  // nobody holds the exchange and nothing was said
  };
  struct Output {
    bool starts = false;  // `status` and `headers` are set, once per exchange
    bool whole = false;   // `bytes` is the whole body
    int status = 0;
    Headers headers;
    std::string bytes;
    End end = End::kNone;  // after `bytes`
  };
  // What was said since the last Take. To be called again only after Written.
  Output Take();
  // The socket has accepted everything taken.
  void Written();

  // The answer has an end, whether it was taken or not.
  bool ended() const;
  // Runs OnShutdown's callback.
  void Shutdown();
  // Nothing more will be taken. Runs OnClosed's callback where it is due. May be called twice.
  void Close(bool client_gone);

 private:
  Exchange(Request request, const StreamLimits& limits, std::function<void()> wake);
  void SetEnd(End end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop();
  bool over() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return closed_ || end_ != End::kNone; }

  Request request_;
  const StreamLimits limits_;

  mutable absl::Mutex mutex_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;    // wake_ was called and Take has not followed
  bool started_ ABSL_GUARDED_BY(mutex_) = false;  // by Reply or StartStream
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;   // Write said false; OnWritable is due
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;     // OnClosed is due
  End end_ ABSL_GUARDED_BY(mutex_) = End::kNone;
  Output output_ ABSL_GUARDED_BY(mutex_);
  size_t taken_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void()> on_writable_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_closed_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_shutdown_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_EXCHANGE_H_
