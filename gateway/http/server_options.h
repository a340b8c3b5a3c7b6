// Everything that a server is told at its start.
#ifndef GATEWAY_HTTP_SERVER_OPTIONS_H_
#define GATEWAY_HTTP_SERVER_OPTIONS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "gateway/http/exchange.h"
#include "gateway/http/handler.h"
#include "gateway/http/message.h"
#include "gateway/http/request_parser.h"

namespace spotinference::http {

struct TlsFiles {
  std::string cert_file;  // PEM, the chain with the leaf first
  std::string key_file;   // PEM
};

struct ServerOptions {
  std::string listen = "127.0.0.1:8080";  // HOST:PORT or [IPV6]:PORT; port 0: any
  std::optional<TlsFiles> tls;
  int threads = 2;

  ErrorResponse error;                 // required
  std::vector<FilterFactory> filters;  // the first one sees a request first

  RequestLimits request;
  StreamLimits stream;
  size_t connections = 8192;  // at the limit, new ones wait in the kernel's backlog
  // Past it: 429; past twice as many: closed without a word.
  int connections_per_address = 2048;
  // CIDR: their X-Forwarded-For is believed. Of such clients, requests in progress count instead of
  // connections.
  std::vector<std::string> trusted_proxies;

  // For a TLS handshake, and from the first to the last byte of a head; else 408.
  absl::Duration head_timeout = absl::Seconds(10);
  // For the body, plus a second for each `body_bytes_per_second` that came; else 408.
  absl::Duration body_timeout = absl::Seconds(20);
  size_t body_bytes_per_second = 4096;
  // Between requests; then closed.
  absl::Duration idle_timeout = absl::Seconds(75);
  // For a client that has bytes waiting and takes none; then closed.
  absl::Duration write_timeout = absl::Seconds(60);

  // For the date header, Request::received and Outcome::duration; time-outs are the kernel's.
  const Clock* clock = &RealClock();
};

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_SERVER_OPTIONS_H_
