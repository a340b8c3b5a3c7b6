// An HTTP request as handlers see it, and the response they give back. Plain values; no socket in
// sight.
#ifndef GATEWAY_HTTP_MESSAGE_H_
#define GATEWAY_HTTP_MESSAGE_H_

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace spotinference::http {

// Header fields in the order they came. Names compare without case; a name may occur more than
// once.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  Headers() = default;
  Headers(std::initializer_list<Field> fields) : fields_(fields) {}

  // The first value of `name`. Valid until the next change.
  std::optional<std::string_view> Get(std::string_view name) const;
  std::vector<std::string_view> GetAll(std::string_view name) const;
  bool Has(std::string_view name) const { return Get(name).has_value(); }

  void Add(std::string_view name, std::string_view value);
  // Replaces every field called `name` by one.
  void Set(std::string_view name, std::string_view value);
  void Remove(std::string_view name);

  std::vector<Field>::const_iterator begin() const { return fields_.begin(); }
  std::vector<Field>::const_iterator end() const { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

// Belongs to the handler once it is called, which may move the body away; the rest stays as it is,
// since filters read it at the end.
struct Request {
  // The first value of `name` in the query, decoded.
  std::optional<std::string> QueryParameter(std::string_view name) const;
  // What the route's `{name}` matched; empty when the route has no such capture.
  std::string_view Capture(std::string_view name) const;

  std::string method;  // as sent; methods are case-sensitive
  std::string path;    // percent-decoded; UTF-8 without control characters, starts with '/'
  std::string query;   // what follows '?', as sent
  Headers headers;     // without trailers
  std::string body;    // chunked coding removed
  std::string id;      // made by the server: "req_" and 24 hex digits, unpredictable
  std::string peer;    // the client's address, no port: the socket's or a trusted proxy's word
  absl::Time received;
  std::string principal;  // who asks; set by a filter that knows, else empty
  std::vector<std::pair<std::string, std::string>> captures;  // set by the router, and Exchange::Note
};

// The server adds content-length or transfer-encoding, connection, date and x-request-id.
struct Response {
  int status = 200;
  Headers headers;
  std::string body;
};

// Makes the response for an error that ends outside every handler (malformed request, limit, no
// such route), so that the caller decides what its body looks like. Called from any thread.
using ErrorResponse = std::function<Response(int status, std::string_view message)>;

// 24 hex digits from the kernel's random source behind "req_".
std::string NewRequestId();

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_MESSAGE_H_
