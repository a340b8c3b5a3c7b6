// Sends each request to the handler of its method and path.
#ifndef GATEWAY_HTTP_ROUTER_H_
#define GATEWAY_HTTP_ROUTER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/http/handler.h"

namespace spotinference::http {

// A path with captures: "/v1/models/{id}", "/machines/{id}:kill". A capture matches one character
// or more, '/' included, up to the next place where the literal text after it fits.
class PathPattern {
 public:
  // CHECKs that `pattern` starts with '/' and that every '{' has its '}' and a name, with text
  // between two captures.
  explicit PathPattern(std::string_view pattern);

  using Captures = std::vector<std::pair<std::string, std::string>>;
  std::optional<Captures> Match(std::string_view path) const;
  // The more literal bytes, the more specific.
  size_t literal_bytes() const { return literal_bytes_; }

 private:
  struct Piece {
    std::string name;     // of the capture; empty for the first piece
    std::string literal;  // what follows the capture; of the first piece, the path's start
  };
  std::vector<Piece> pieces_;
  size_t literal_bytes_ = 0;
};

// Add every route first; then thread-safe. Of the routes that fit, the most specific one with the
// request's method answers; a HEAD goes to the route of GET (the server leaves out the body). No
// such path is a 404, another method a 405 with `allow`.
class Router : public Handler {
 public:
  explicit Router(ErrorResponse error) : error_(std::move(error)) {}

  // `handler` must outlive the router.
  void Add(std::string_view method, std::string_view pattern, Handler& handler);

  void Handle(std::shared_ptr<Exchange> exchange) override;

 private:
  struct Route {
    std::string method;
    PathPattern pattern;
    Handler* handler;
  };
  std::vector<Route> routes_;  // the most specific first
  ErrorResponse error_;
};

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_ROUTER_H_
