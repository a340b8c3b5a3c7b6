#include "gateway/http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/post.hpp"
#include "gateway/http/response_head.h"

namespace spotinference::http {
namespace {

using ErrorCode = const boost::system::error_code&;

constexpr size_t kReadBytes = 16 << 10;      // one TLS record
constexpr int kReadsInARow = 16;             // then other connections get their turn
constexpr size_t kPipelinedBytes = 8 << 10;  // read ahead during an answer
// Of a refused body, to keep the connection; a longer one ends it.
constexpr uint64_t kReadPastBytes = 64 << 10;
constexpr absl::Duration kLinger = absl::Seconds(5);
// In the kernel: a slow reader is felt here, not a socket buffer later.
constexpr int kUnsentBytes = 16 << 10;

void SetOption(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

void ConfigureSocket(int fd, const ServerOptions& options) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentBytes);
  // A client whose network went away says nothing; these notice, with and without bytes in flight.
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  const int64_t write_ms = absl::ToInt64Milliseconds(options.write_timeout);
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
            static_cast<int>(std::clamp<int64_t>(write_ms, 1000, 3600 * 1000)));
}

bool HasNoBody(int status) { return status / 100 == 1 || status == 204 || status == 304; }

}  // namespace

Connection::Connection(boost::asio::io_context& io, ConnectionContext& context, int fd,
                       const IpAddress& peer, AddressCounter::Lease lease)
    : context_(context),
      peer_(peer),
      lease_(std::move(lease)),
      strand_(boost::asio::make_strand(io)),
      socket_(strand_, fd),
      timer_(strand_),
      transport_(fd, context.tls.get()) {
  ConfigureSocket(fd, context.options);
}

void Connection::Start() { Post(&Connection::Handshake); }

void Connection::Drain() {
  boost::asio::post(strand_, [self = shared_from_this()] {
    if (self->phase_ == Phase::kIdle || self->phase_ == Phase::kHandshake) self->Close();
  });
}

void Connection::Expire() {
  boost::asio::post(strand_, [self = shared_from_this()] {
    if (self->phase_ != Phase::kAnswer) return self->Abandon();
    self->exchange_->Shutdown();
    // Whichever of these fits; the others are then without effect.
    self->exchange_->Reply(self->context_.options.error(503, "The server is stopping."));
    self->exchange_->Abort();
  });
}

void Connection::Kill() { Post(&Connection::Abandon); }

void Connection::Post(void (Connection::*step)()) {
  boost::asio::post(strand_, [self = shared_from_this(), step] { (self.get()->*step)(); });
}

// --- Waiting.

void Connection::Await(Transport::State wanted) {
  if (wanted == Transport::State::kWantRead) AwaitReadable();
  if (wanted == Transport::State::kWantWrite) AwaitWritable();
}

void Connection::AwaitReadable() {
  if (awaiting_readable_) return;
  awaiting_readable_ = true;
  socket_.async_wait(socket_.wait_read, [self = shared_from_this()](ErrorCode error) {
    self->awaiting_readable_ = false;
    if (!error && self->phase_ != Phase::kClosed) self->OnReadable();
  });
}

void Connection::OnReadable() {
  if (phase_ == Phase::kHandshake) return Handshake();
  ReadSome();
  // TLS may have had to read before it could write.
  if (!out_.empty() && !awaiting_writable_) {
    Flush();
    Answer();
  }
}

void Connection::AwaitWritable() {
  if (awaiting_writable_) return;
  awaiting_writable_ = true;
  socket_.async_wait(socket_.wait_write, [self = shared_from_this()](ErrorCode error) {
    self->awaiting_writable_ = false;
    if (!error && self->phase_ != Phase::kClosed) self->OnWritable();
  });
}

void Connection::OnWritable() {
  if (phase_ == Phase::kHandshake) return Handshake();
  Flush();
  Answer();
  // TLS may have had to write before it could read.
  if (!awaiting_readable_) ReadSome();
}

void Connection::SetDeadline(absl::Duration from_now) {
  // Beyond a year is never, and would overflow.
  if (from_now > absl::Hours(24 * 365)) return ClearDeadline();
  deadline_ = SteadyClock::now() + absl::ToChronoNanoseconds(from_now);
  // A timer that fires too early is armed again then; most deadlines only ever move away.
  if (deadline_ < timer_at_) ArmTimer();
}

void Connection::ClearDeadline() { deadline_ = SteadyClock::time_point::max(); }

void Connection::ArmTimer() {
  timer_at_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this()](ErrorCode error) {
    if (error || self->phase_ == Phase::kClosed) return;
    self->timer_at_ = SteadyClock::time_point::max();
    if (self->deadline_ <= SteadyClock::now()) {
      self->OnDeadline();
    } else if (self->deadline_ != SteadyClock::time_point::max()) {
      self->ArmTimer();
    }
  });
}

void Connection::OnDeadline() {
  const ServerOptions& options = context_.options;
  ClearDeadline();
  if (phase_ == Phase::kHead) {
    return Refuse(408, absl::StrCat("The request's head took longer than ",
                                    absl::FormatDuration(options.head_timeout), "."));
  }
  if (phase_ == Phase::kBody) {
    const absl::Duration allowed =
        options.body_timeout +
        absl::Seconds(parser_->body_bytes() / std::max<size_t>(1, options.body_bytes_per_second));
    const absl::Duration left = allowed - absl::FromChrono(SteadyClock::now() - body_began_);
    if (left > absl::ZeroDuration()) return SetDeadline(left);
    return Refuse(408,
                  absl::StrCat("Of the request's body, ", parser_->body_bytes(), " bytes came in ",
                               absl::FormatDuration(allowed), "; that is too slow."));
  }
  Abandon();
}

// --- Reading.

void Connection::Handshake() {
  if (phase_ != Phase::kHandshake) return;
  if (context_.draining) return Close();
  if (deadline_ == SteadyClock::time_point::max()) SetDeadline(context_.options.head_timeout);
  const Transport::State state = transport_.Handshake();
  if (state == Transport::State::kClosed) return Close();
  if (state != Transport::State::kOk) return Await(state);
  if (lease_.count() > context_.options.connections_per_address) {
    BeginRequest();
    Refuse(429, absl::StrCat("There are more than ", context_.options.connections_per_address,
                             " connections from ", peer_.ToString(), "."));
    return;
  }
  NextRequest();
}

void Connection::ReadSome() {
  thread_local char buffer[kReadBytes];
  for (int i = 0; i < kReadsInARow; ++i) {
    if (phase_ == Phase::kClosed || read_ended_ || awaiting_readable_) return;
    if (phase_ == Phase::kLinger) return DiscardSome();
    if (phase_ == Phase::kAnswer && in_.size() >= kPipelinedBytes) return;  // NextRequest goes on
    const Transport::Result result = transport_.Read(buffer, sizeof buffer);
    if (result.state == Transport::State::kClosed) return ReadEnded();
    if (result.state != Transport::State::kOk) return Await(result.state);
    in_.append(buffer, result.bytes);
    ParseInput();
  }
  Post(&Connection::ReadSome);
}

void Connection::ReadEnded() {
  read_ended_ = true;
  // A client may close its side once it has asked, and still read an answer that is already on its
  // way.
  if (phase_ != Phase::kAnswer || !exchange_->ended()) Abandon();
}

void Connection::DiscardSome() {
  for (int i = 0; i < kReadsInARow; ++i) {
    const Transport::State state = transport_.Discard();
    if (state == Transport::State::kClosed) return Close();
    if (state != Transport::State::kOk) return Await(state);
  }
  Post(&Connection::ReadSome);
}

// --- The request.

void Connection::ParseInput() {
  if (phase_ == Phase::kIdle) {
    // Empty lines before a request are to be ignored (RFC 9112, section 2.2).
    in_.erase(0, in_.find_first_not_of("\r\n"));
    if (in_.empty()) return;
    BeginRequest();
    phase_ = Phase::kHead;
    SetDeadline(context_.options.head_timeout);
  }
  while (phase_ == Phase::kHead || phase_ == Phase::kBody) {
    std::string_view rest = in_;
    const std::optional<ParseError> error = parser_->Advance(rest);
    in_.erase(0, in_.size() - rest.size());
    if (error) return Refuse(error->status, error->message);
    if (phase_ == Phase::kHead && parser_->head_done()) {
      if (!OnHead()) return;
    } else if (phase_ == Phase::kBody && parser_->done()) {
      return OnRequest();
    } else {
      return;  // needs more
    }
  }
}

void Connection::BeginRequest() {
  parser_ = std::make_unique<RequestParser>(context_.options.request);
  Request& request = parser_->request();
  request.id = NewRequestId();
  request.peer = peer_.ToString();
  request.received = context_.options.clock->Now();
  began_ = context_.options.clock->Elapsed();
}

bool Connection::OnHead() {
  Request& request = parser_->request();
  const IpAddress client =
      ClientAddress(peer_, request.headers.GetAll("x-forwarded-for"), context_.trusted_proxies);
  if (client != peer_) {
    request.peer = client.ToString();
    request_lease_ = context_.addresses.Take(client);
    if (request_lease_.count() > context_.options.connections_per_address) {
      Refuse(429, absl::StrCat("There are more than ", context_.options.connections_per_address,
                               " requests from ", request.peer, " in progress."));
      return false;
    }
  }
  MakeFilters();
  for (const std::unique_ptr<Filter>& filter : filters_) {
    early_ = filter->OnRequest(request);
    if (early_) break;
  }
  keep_alive_ = parser_->keep_alive();
  phase_ = Phase::kBody;
  if (parser_->done()) return true;
  body_began_ = SteadyClock::now();
  SetDeadline(context_.options.body_timeout);
  const bool client_waits = parser_->expects_continue() && in_.empty();
  if (early_) {
    if (client_waits || parser_->content_length().value_or(kReadPastBytes + 1) > kReadPastBytes) {
      keep_alive_ = false;
      OnRequest();
      return false;
    }
    parser_->DiscardBody();
  } else if (client_waits) {
    out_.append("HTTP/1.1 100 Continue\r\n\r\n");
    Flush();
  }
  return true;
}

void Connection::OnRequest() {
  std::shared_ptr<Exchange> exchange = BeginExchange();
  if (early_) {
    exchange->Reply(*std::exchange(early_, std::nullopt));
  } else {
    context_.handler->Handle(std::move(exchange));
  }
}

void Connection::Refuse(int status, std::string_view message) {
  if (filters_.empty()) MakeFilters();
  std::shared_ptr<Exchange> exchange = BeginExchange();
  keep_alive_ = false;
  Response response = context_.options.error(status, message);
  if (status == 429) {
    response.headers.Set("retry-after", "1");
    response.headers.Set("retry-after-ms", "1000");
  }
  exchange->Reply(std::move(response));
}

void Connection::MakeFilters() {
  for (const FilterFactory& factory : context_.options.filters) filters_.push_back(factory());
}

std::shared_ptr<Exchange> Connection::BeginExchange() {
  http_1_1_ = !parser_->head_done() || parser_->http_1_1();
  Exchange::Sides sides =
      Exchange::Create(std::move(parser_->request()), context_.options.stream,
                       [self = shared_from_this()] { self->Post(&Connection::Answer); });
  head_only_ = sides.connection->request().method == "HEAD";
  parser_.reset();
  if (in_.empty()) in_ = std::string();  // gives the memory back
  exchange_ = std::move(sides.connection);
  phase_ = Phase::kAnswer;
  ClearDeadline();
  return std::move(sides.handler);
}

// --- The answer.

void Connection::Answer() {
  while (phase_ == Phase::kAnswer && out_.empty()) {
    if (end_ != Exchange::End::kNone) return Conclude();
    Exchange::Output output = exchange_->Take();
    if (!output.starts && output.bytes.empty() && output.end == Exchange::End::kNone) return;
    Frame(std::move(output));
    Flush();
  }
}

// Puts `output` as HTTP into out_: all that was written since the last time is one chunk.
void Connection::Frame(Exchange::Output output) {
  if (output.end == Exchange::End::kDropped) {
    Response response = context_.options.error(500, "The request was dropped without an answer.");
    output = {.starts = true,
              .whole = true,
              .status = response.status,
              .headers = std::move(response.headers),
              .bytes = std::move(response.body),
              .end = Exchange::End::kClean};
  }
  end_ = output.end;
  if (output.starts) {
    status_ = output.status;
    if (context_.draining) keep_alive_ = false;
    head_only_ |= HasNoBody(status_);
    ResponseFraming framing;
    if (output.whole) {
      if (!HasNoBody(status_)) framing.content_length = output.bytes.size();
    } else if (!head_only_) {
      (http_1_1_ ? chunked_ : until_close_) = true;
    }
    framing.chunked = chunked_;
    framing.close = !keep_alive_;
    out_ = ResponseHead(status_, output.headers, framing, exchange_->request().id,
                        context_.options.clock->Now());
  }
  if (head_only_) return;
  taken_bytes_ = output.bytes.size();
  if (!output.bytes.empty()) {
    if (chunked_) absl::StrAppend(&out_, absl::Hex(output.bytes.size()), "\r\n");
    out_ += output.bytes;
    if (chunked_) out_ += "\r\n";
  }
  if (chunked_ && end_ == Exchange::End::kClean) out_ += "0\r\n\r\n";
}

void Connection::Flush() {
  bool progress = false;
  while (out_begin_ < out_.size()) {
    const Transport::Result result = transport_.Write(std::string_view(out_).substr(out_begin_));
    if (result.state == Transport::State::kClosed) return Abandon();
    if (result.state != Transport::State::kOk) {
      if (phase_ == Phase::kAnswer && (progress || deadline_ == SteadyClock::time_point::max())) {
        SetDeadline(context_.options.write_timeout);
      }
      return Await(result.state);
    }
    out_begin_ += result.bytes;
    progress = true;
  }
  out_.clear();
  out_begin_ = 0;
  if (phase_ != Phase::kAnswer) return;
  ClearDeadline();
  body_bytes_ += std::exchange(taken_bytes_, 0);
  exchange_->Written();
}

void Connection::Conclude() {
  const bool clean = end_ == Exchange::End::kClean;
  EndExchange(clean ? Outcome::End::kComplete : Outcome::End::kAborted);
  if (clean && keep_alive_ && !context_.draining && !read_ended_) {
    NextRequest();
  } else {
    Linger(clean);
  }
}

void Connection::EndExchange(Outcome::End end) {
  // First of all, since this is what stops the work for a client that has gone.
  exchange_->Close(end == Outcome::End::kClientGone);
  Outcome outcome;
  outcome.status = status_ != 0 ? status_ : 499;
  outcome.body_bytes = body_bytes_;
  outcome.duration = context_.options.clock->Elapsed() - began_;
  outcome.end = end;
  for (auto filter = filters_.rbegin(); filter != filters_.rend(); ++filter) {
    (*filter)->OnEnd(exchange_->request(), outcome);
  }
  filters_.clear();
  exchange_.reset();
  request_lease_.Release();
}

void Connection::NextRequest() {
  phase_ = Phase::kIdle;
  status_ = 0;
  end_ = Exchange::End::kNone;
  body_bytes_ = 0;
  chunked_ = false;
  out_ = std::string();  // gives the memory back
  SetDeadline(context_.options.idle_timeout);
  ParseInput();
  ReadSome();
}

// Closing a socket that has unread input resets the connection, and the client may lose an answer
// it has not read yet. So this closes the sending side alone and waits for the client to close the
// other.
void Connection::Linger(bool clean) {
  if (!clean && until_close_ && !transport_.secure()) {
    transport_.ResetOnClose();  // a plain end would look complete
    return Close();
  }
  phase_ = Phase::kLinger;
  transport_.EndWrites(clean);
  if (read_ended_) return Close();
  SetDeadline(kLinger);
  ReadSome();
}

// The client has gone or must go, whatever the phase.
void Connection::Abandon() {
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kBody) BeginExchange();  // for the filters, which have seen the request
  if (phase_ == Phase::kAnswer) EndExchange(Outcome::End::kClientGone);
  Close();
}

void Connection::Close() {
  phase_ = Phase::kClosed;
  boost::system::error_code ignored;
  timer_.cancel(ignored);
  socket_.close(ignored);
  lease_.Release();
  context_.on_closed(this);
}

}  // namespace spotinference::http
