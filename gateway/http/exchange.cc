#include "gateway/http/exchange.h"

#include <utility>

namespace spotinference::http {

Exchange::Sides Exchange::Create(Request request, const StreamLimits& limits,
                                 std::function<void()> wake) {
  std::shared_ptr<Exchange> exchange(new Exchange(std::move(request), limits, std::move(wake)));
  // A second owner group over the same object: its last copy means that no handler is left.
  std::shared_ptr<Exchange> handler(exchange.get(), [exchange](Exchange*) { exchange->Drop(); });
  return {std::move(handler), std::move(exchange)};
}

Exchange::Exchange(Request request, const StreamLimits& limits, std::function<void()> wake)
    : request_(std::move(request)), limits_(limits), wake_(std::move(wake)) {}

void Exchange::Reply(Response response) {
  absl::MutexLock lock(&mutex_);
  if (started_ || over()) return;
  started_ = true;
  output_.starts = true;
  output_.whole = true;
  output_.status = response.status;
  output_.headers = std::move(response.headers);
  output_.bytes = std::move(response.body);
  SetEnd(End::kClean);
}

void Exchange::StartStream(int status, Headers headers) {
  absl::MutexLock lock(&mutex_);
  if (started_ || over()) return;
  started_ = true;
  output_.starts = true;
  output_.status = status;
  output_.headers = std::move(headers);
  Wake();
}

bool Exchange::Write(std::string_view bytes) {
  absl::MutexLock lock(&mutex_);
  if (!started_ || over()) return false;
  if (output_.bytes.size() + taken_bytes_ >= limits_.max_bytes) {
    output_.bytes.clear();
    lost_ = true;
    SetEnd(End::kAborted);
    return false;
  }
  output_.bytes.append(bytes);
  const size_t buffered = output_.bytes.size() + taken_bytes_;
  if (!bytes.empty()) Wake();
  if (buffered >= limits_.high_bytes) paused_ = true;
  return !paused_;
}

void Exchange::Finish() {
  absl::MutexLock lock(&mutex_);
  if (started_ && !over()) SetEnd(End::kClean);
}

void Exchange::Abort() {
  absl::MutexLock lock(&mutex_);
  if (!over()) SetEnd(End::kAborted);
}

void Exchange::Drop() {
  absl::MutexLock lock(&mutex_);
  if (!over()) SetEnd(started_ ? End::kAborted : End::kDropped);
}

void Exchange::Note(std::string name, std::string value) {
  absl::MutexLock lock(&mutex_);
  if (!over()) request_.captures.emplace_back(std::move(name), std::move(value));
}

size_t Exchange::buffered_bytes() const {
  absl::MutexLock lock(&mutex_);
  return output_.bytes.size() + taken_bytes_;
}

void Exchange::OnWritable(std::function<void()> callback) {
  absl::MutexLock lock(&mutex_);
  if (!over()) on_writable_.swap(callback);  // the old one is destroyed without the lock
}

void Exchange::OnClosed(std::function<void()> callback) {
  {
    absl::MutexLock lock(&mutex_);
    if (!over()) {
      on_closed_.swap(callback);
      return;
    }
    if (!lost_) return;
  }
  callback();
}

void Exchange::OnShutdown(std::function<void()> callback) {
  absl::MutexLock lock(&mutex_);
  if (!over()) on_shutdown_.swap(callback);  // the old one is destroyed without the lock
}

Exchange::Output Exchange::Take() {
  absl::MutexLock lock(&mutex_);
  woken_ = false;
  Output taken = std::exchange(output_, Output());
  taken.end = end_;
  taken_bytes_ = taken.bytes.size();
  return taken;
}

void Exchange::Written() {
  std::function<void()> callback;
  {
    absl::MutexLock lock(&mutex_);
    taken_bytes_ = 0;
    if (!paused_ || over() || output_.bytes.size() > limits_.low_bytes) return;
    paused_ = false;
    callback = on_writable_;
  }
  if (callback) callback();
}

bool Exchange::ended() const {
  absl::MutexLock lock(&mutex_);
  return over();
}

void Exchange::Shutdown() {
  std::function<void()> callback;
  {
    absl::MutexLock lock(&mutex_);
    callback = std::exchange(on_shutdown_, nullptr);
  }
  if (callback) callback();
}

void Exchange::Close(bool client_gone) {
  std::function<void()> wake, on_writable, on_closed, on_shutdown;  // destroyed without the lock
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) return;
    lost_ |= client_gone && end_ == End::kNone;
    closed_ = true;
    output_ = Output();
    taken_bytes_ = 0;
    wake.swap(wake_);
    on_writable.swap(on_writable_);
    on_closed.swap(on_closed_);
    on_shutdown.swap(on_shutdown_);
    if (!lost_) on_closed = nullptr;
  }
  if (on_closed) on_closed();
}

void Exchange::Wake() {
  if (woken_ || !wake_) return;
  woken_ = true;
  wake_();
}

void Exchange::SetEnd(End end) {
  end_ = end;
  Wake();
}

}  // namespace spotinference::http
