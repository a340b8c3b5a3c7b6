// One accepted connection: a state machine driven by "readable", "writable", "deadline" and "the
// exchange has output". Private to the server, since it brings Asio in.
//
// It waits for readiness instead of leaving a read pending, so that it needs no buffer while it
// waits: an idle connection has none. During an answer it keeps reading, a little ahead, to notice
// that the client has gone. A client that only closes its sending side while it waits for an answer
// counts as gone too: the two look alike.
#ifndef GATEWAY_HTTP_CONNECTION_H_
#define GATEWAY_HTTP_CONNECTION_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "boost/asio/basic_waitable_timer.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/posix/basic_stream_descriptor.hpp"
#include "boost/asio/strand.hpp"
#include "gateway/http/address.h"
#include "gateway/http/exchange.h"
#include "gateway/http/handler.h"
#include "gateway/http/request_parser.h"
#include "gateway/http/server_options.h"
#include "gateway/http/transport.h"

namespace spotinference::http {

class Connection;

// What the connections of a server share. Outlives them.
struct ConnectionContext {
  ServerOptions options;
  Handler* handler = nullptr;
  std::shared_ptr<SSL_CTX> tls;  // null: plain TCP
  std::vector<IpNetwork> trusted_proxies;
  AddressCounter addresses;
  std::atomic<bool> draining = false;          // no connection begins another request
  std::function<void(Connection*)> on_closed;  // called once for each, last of all
};

// Everything but the constructor, Start, Drain, Expire and Kill runs on the connection's strand;
// those may be called anywhere.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Owns `fd` (a connected, non-blocking socket) from now on. `lease` is empty for a trusted proxy.
  Connection(boost::asio::io_context& io, ConnectionContext& context, int fd, const IpAddress& peer,
             AddressCounter::Lease lease);

  void Start();
  // The server stops: ends now if no request has begun, else with the answer.
  void Drain();
  // The grace is over: lets the handler say a last word, then breaks off.
  void Expire();
  void Kill();

 private:
  using Strand = boost::asio::strand<boost::asio::io_context::executor_type>;
  using SteadyClock = std::chrono::steady_clock;
  using Timer =
      boost::asio::basic_waitable_timer<SteadyClock, boost::asio::wait_traits<SteadyClock>, Strand>;
  enum class Phase {
    kHandshake,
    kIdle,    // no byte of the next request is here
    kHead,    // the parser has begun
    kBody,    // the head is whole and the filters have seen it
    kAnswer,  // exchange_ is set
    kLinger,  // all was said; lets the client read it before the socket is closed
    kClosed,
  };

  void Post(void (Connection::*step)());
  void AwaitReadable();
  void AwaitWritable();
  void Await(Transport::State wanted);
  void OnReadable();
  void OnWritable();

  void Handshake();
  void ReadSome();
  void ReadEnded();
  void DiscardSome();

  void ParseInput();
  void BeginRequest();
  bool OnHead();
  void OnRequest();
  void Refuse(int status, std::string_view message);
  void MakeFilters();
  std::shared_ptr<Exchange> BeginExchange();

  void Answer();
  void Frame(Exchange::Output output);
  void Flush();
  void Conclude();
  void EndExchange(Outcome::End end);
  void NextRequest();
  void Linger(bool clean);
  void Abandon();
  void Close();

  void SetDeadline(absl::Duration from_now);
  void ClearDeadline();
  void ArmTimer();
  void OnDeadline();

  ConnectionContext& context_;
  const IpAddress peer_;
  AddressCounter::Lease lease_;
  Strand strand_;
  boost::asio::posix::basic_stream_descriptor<Strand> socket_;
  Timer timer_;
  Transport transport_;
  Phase phase_ = Phase::kHandshake;
  bool awaiting_readable_ = false;
  bool awaiting_writable_ = false;
  bool read_ended_ = false;  // the client sends nothing more

  SteadyClock::time_point deadline_ = SteadyClock::time_point::max();
  SteadyClock::time_point timer_at_ = SteadyClock::time_point::max();  // max: not armed

  std::string in_;  // received, not parsed
  std::unique_ptr<RequestParser> parser_;
  absl::Duration began_;  // by the options' clock
  SteadyClock::time_point body_began_;
  std::optional<Response> early_;        // a filter's answer, while a short body is read past
  AddressCounter::Lease request_lease_;  // of a client behind a trusted proxy
  std::vector<std::unique_ptr<Filter>> filters_;

  std::shared_ptr<Exchange> exchange_;
  bool keep_alive_ = false;
  bool http_1_1_ = true;
  bool head_only_ = false;  // the answer has no body whatever the handler says
  bool chunked_ = false;
  bool until_close_ = false;  // the body ends with the connection
  int status_ = 0;            // 0: nothing was said yet
  Exchange::End end_ = Exchange::End::kNone;
  uint64_t body_bytes_ = 0;
  size_t taken_bytes_ = 0;  // of body in out_
  std::string out_;
  size_t out_begin_ = 0;  // what the socket has of out_
};

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_CONNECTION_H_
