// An HTTP/1.1 server.
//
//   Router router(error);
//   router.Add("GET", "/health", health);
//   ASSIGN_OR_RETURN(auto server, Server::Start({.listen = "127.0.0.1:0", .error = error},
//   router));
//   ...
//   server->Stop(absl::Seconds(30));
#ifndef GATEWAY_HTTP_SERVER_H_
#define GATEWAY_HTTP_SERVER_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/http/handler.h"
#include "gateway/http/server_options.h"

namespace spotinference::http {

// Thread-safe.
class Server {
 public:
  // Listens from now on. `handler` must outlive the server. InvalidArgument for an option that
  // makes no sense, Unavailable for an address that cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options, Handler& handler);

  // Stop(absl::ZeroDuration()).
  ~Server();

  int port() const;
  size_t connections() const;

  // Accepts nothing more, closes idle connections, and lets requests in progress go on for up to
  // `grace`. Then each exchange's OnShutdown callback runs, what is left unsaid is aborted or
  // answered 503, and clients get a second to take their last bytes. Returns when every connection
  // is closed; no handler, filter or callback runs after that. Not to be called from one of those.
  // Exchanges may outlive the server.
  void Stop(absl::Duration grace);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_SERVER_H_
