// For tests: a server whose handler is a function, and a client that sends raw bytes and looks at
// what comes back.
#ifndef GATEWAY_HTTP_TEST_SERVER_H_
#define GATEWAY_HTTP_TEST_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/http/handler.h"
#include "gateway/http/server.h"

namespace spotinference::http {

class FunctionHandler : public Handler {
 public:
  using Function = std::function<void(std::shared_ptr<Exchange>)>;
  explicit FunctionHandler(Function function) : function_(std::move(function)) {}
  void Handle(std::shared_ptr<Exchange> exchange) override { function_(std::move(exchange)); }

 private:
  const Function function_;
};

// On a free port of 127.0.0.1, unless `options` say otherwise. Errors have the message as their
// body.
class TestServer {
 public:
  explicit TestServer(FunctionHandler::Function handler, ServerOptions options = {});
  int port() const { return server->port(); }

  FunctionHandler handler;
  std::unique_ptr<Server> server;
};

// Blocking. A read that gets nothing for 20 s counts as a broken connection, so that a failing test
// ends.
class RawClient {
 public:
  explicit RawClient(int port, int receive_buffer_bytes = 0);
  ~RawClient() { Close(); }

  // False if the server has closed.
  bool Send(std::string_view bytes);
  // No more sends, but reads.
  void EndSending();
  void Close();
  // Closes with a reset.
  void Reset();
  int fd() const { return fd_; }

  // Up to and including `end`, or what came before the connection ended.
  std::string ReadUntil(std::string_view end);
  // Everything until the server closes.
  std::string ReadAll();
  // True if the server closed cleanly, false if it reset the connection or has sent something.
  bool AtEnd();

  struct Answer {
    int status = 0;
    std::string head;
    std::string body;       // chunks put together
    bool complete = false;  // the body had its end: by length or by the last chunk
  };
  // `has_body` is false for the answer to a HEAD.
  Answer ReadAnswer(bool has_body = true);

 private:
  bool Receive();  // appends to in_

  int fd_;
  std::string in_;
};

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_TEST_SERVER_H_
