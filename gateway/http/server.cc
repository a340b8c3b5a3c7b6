#include "gateway/http/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "boost/asio/basic_waitable_timer.hpp"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/posix/basic_stream_descriptor.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/strand.hpp"
#include "boost/system/system_error.hpp"
#include "engine/base/status.h"
#include "gateway/http/address.h"
#include "gateway/http/connection.h"
#include "gateway/http/transport.h"
#include "glog/logging.h"

namespace spotinference::http {
namespace {

namespace asio = boost::asio;
using SteadyClock = std::chrono::steady_clock;
using Strand = asio::strand<asio::io_context::executor_type>;

// When the process or the machine is out of file descriptors or memory, the client stays in the
// backlog and "readable" stays true: without a pause that would be a busy loop.
constexpr auto kAcceptPause = std::chrono::milliseconds(50);
constexpr int kAcceptsInARow = 64;
constexpr absl::Duration kLastBytes = absl::Seconds(1);

struct HostPort {
  std::string host;
  std::string port;
};

absl::StatusOr<HostPort> ParseListen(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  int port = -1;
  if (colon != listen.npos && absl::SimpleAtoi(listen.substr(colon + 1), &port) && port >= 0 &&
      port <= 65535) {
    std::string host = listen.substr(0, colon);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (!host.empty() && bracketed == (host.find(':') != host.npos))
      return HostPort{host, absl::StrCat(port)};
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", listen, "\" is no address to listen on; it looks like 127.0.0.1:8080 or [::1]:8080"));
}

// A listening, non-blocking socket.
absl::StatusOr<int> Listen(const std::string& listen) {
  ASSIGN_OR_RETURN(const HostPort address, ParseListen(listen));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &list);
      error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on ", listen, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  const addrinfo* found = list;
  // "localhost" commonly has both; clients that try one alone try this one.
  for (const addrinfo* other = found; other != nullptr && found->ai_family != AF_INET;
       other = other->ai_next) {
    if (other->ai_family == AF_INET) found = other;
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, SOMAXCONN) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return absl::UnavailableError(absl::StrCat("cannot listen on ", listen, ": ", strerror(error)));
  }
  return fd;
}

}  // namespace

class Server::Impl {
 public:
  Impl(int fd, std::unique_ptr<ConnectionContext> context)
      : context_(std::move(context)),
        work_(asio::make_work_guard(io_)),
        strand_(asio::make_strand(io_)),
        listener_(strand_, fd),
        accept_timer_(strand_) {
    context_->on_closed = [this](Connection* connection) { OnClosed(connection); };
  }

  void Run() {
    asio::post(strand_, [this] { AwaitClient(); });
    for (int i = 0; i < context_->options.threads; ++i) {
      threads_.emplace_back([this] {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
        io_.run();
      });
    }
  }

  int port() {
    sockaddr_in6 address = {};  // both families have the port in the same place
    socklen_t size = sizeof address;
    getsockname(listener_.native_handle(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin6_port);
  }

  size_t connections() {
    absl::MutexLock lock(&mutex_);
    return connections_.size();
  }

  void Stop(absl::Duration grace) {
    absl::MutexLock stopping(&stop_mutex_);
    if (threads_.empty()) return;
    absl::Notification deaf;
    asio::post(strand_, [this, &deaf] {
      boost::system::error_code ignored;
      accept_timer_.cancel(ignored);
      listener_.close(ignored);
      deaf.Notify();
    });
    deaf.WaitForNotification();
    context_->draining = true;
    Each(&Connection::Drain);
    if (!AwaitNone(grace)) {
      Each(&Connection::Expire);
      if (!AwaitNone(kLastBytes)) {
        Each(&Connection::Kill);
        AwaitNone(absl::InfiniteDuration());
      }
    }
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void AwaitClient() {
    if (!listener_.is_open()) return;
    listener_.async_wait(listener_.wait_read, [this](boost::system::error_code error) {
      if (!error) AcceptSome();
    });
  }

  void AcceptSome() {
    for (int i = 0; i < kAcceptsInARow; ++i) {
      {
        absl::MutexLock lock(&mutex_);
        full_ = connections_.size() >= context_->options.connections;
        if (full_) return;  // OnClosed goes on
      }
      sockaddr_storage address = {};
      socklen_t size = sizeof address;
      const int fd = accept4(listener_.native_handle(), reinterpret_cast<sockaddr*>(&address),
                             &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        Begin(fd, IpAddress::FromSocket(reinterpret_cast<const sockaddr&>(address)));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        return Pause(errno);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        break;
      }  // Anything else is the fate of that one client.
    }
    AwaitClient();
  }

  void Pause(int error) {
    LOG_EVERY_N(WARNING, 100) << "cannot accept a connection: " << strerror(error)
                              << "; trying again";
    accept_timer_.expires_after(kAcceptPause);
    accept_timer_.async_wait([this](boost::system::error_code cancelled) {
      if (!cancelled) AwaitClient();
    });
  }

  void Begin(int fd, const IpAddress& peer) {
    const bool trusted =
        std::any_of(context_->trusted_proxies.begin(), context_->trusted_proxies.end(),
                    [&](const IpNetwork& network) { return network.Contains(peer); });
    AddressCounter::Lease lease;
    if (!trusted) lease = context_->addresses.Take(peer);
    if (lease.count() > 2 * context_->options.connections_per_address) {
      close(fd);
      return;
    }
    std::shared_ptr<Connection> connection;
    try {
      connection = std::make_shared<Connection>(io_, *context_, fd, peer, std::move(lease));
    } catch (const boost::system::system_error& error) {  // epoll's own limits
      LOG_EVERY_N(WARNING, 100) << "cannot watch a connection: " << error.what();
      close(fd);
      return;
    }
    {
      absl::MutexLock lock(&mutex_);
      connections_.insert(connection);
    }
    connection->Start();
  }

  void OnClosed(Connection* connection) {
    absl::MutexLock lock(&mutex_);
    connections_.erase(connections_.find(connection));
    if (std::exchange(full_, false)) asio::post(strand_, [this] { AwaitClient(); });
  }

  void Each(void (Connection::*step)()) {
    absl::MutexLock lock(&mutex_);
    for (const auto& connection : connections_) (connection.get()->*step)();
  }

  bool AwaitNone(absl::Duration limit) {
    absl::MutexLock lock(&mutex_);
    const auto none = [this]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return connections_.empty(); };
    return mutex_.AwaitWithTimeout(absl::Condition(&none), limit);
  }

  // The context and the sets outlive the queue, whose handlers may hold connections.
  std::unique_ptr<ConnectionContext> context_;
  absl::Mutex mutex_;
  absl::flat_hash_set<std::shared_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  bool full_ ABSL_GUARDED_BY(mutex_) = false;  // nobody awaits a client

  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  Strand strand_;
  asio::posix::basic_stream_descriptor<Strand> listener_;
  asio::basic_waitable_timer<SteadyClock, asio::wait_traits<SteadyClock>, Strand> accept_timer_;

  absl::Mutex stop_mutex_;
  std::vector<std::thread> threads_;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options, Handler& handler) {
  CHECK(options.error != nullptr) << "ServerOptions::error is required";
  if (options.threads < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", options.threads, "; at least 1 is needed"));
  }
  auto context = std::make_unique<ConnectionContext>();
  context->handler = &handler;
  for (const std::string& proxy : options.trusted_proxies) {
    ASSIGN_OR_RETURN(const IpNetwork network, IpNetwork::Parse(proxy));
    context->trusted_proxies.push_back(network);
  }
  if (options.tls) {
    ASSIGN_OR_RETURN(context->tls, NewTlsContext(options.tls->cert_file, options.tls->key_file));
  }
  ASSIGN_OR_RETURN(const int fd, Listen(options.listen));
  context->options = std::move(options);
  std::unique_ptr<Server> server(new Server(std::make_unique<Impl>(fd, std::move(context))));
  server->impl_->Run();
  return server;
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { Stop(absl::ZeroDuration()); }
int Server::port() const { return impl_->port(); }
size_t Server::connections() const { return impl_->connections(); }
void Server::Stop(absl::Duration grace) { impl_->Stop(grace); }

}  // namespace spotinference::http
