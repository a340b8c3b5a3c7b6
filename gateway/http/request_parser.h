// Bytes of an HTTP/1.1 or 1.0 request in, a Request or an error for the client out. Knows nothing
// of sockets or time.
#ifndef GATEWAY_HTTP_REQUEST_PARSER_H_
#define GATEWAY_HTTP_REQUEST_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/http/message.h"

namespace spotinference::http {

struct RequestLimits {
  size_t target_bytes = 8 << 10;  // past it: 414
  size_t head_bytes = 64 << 10;   // past it: 431; also for a chunk's head and for the trailer
  size_t head_fields = 256;       // past it: 431
  size_t body_bytes = 32 << 20;   // past it: 413, at once if content-length tells
};

struct ParseError {
  int status;
  std::string message;  // for the client
};

// One request. What two parties could read in two ways is refused (RFC 9112, sections 5 and 6):
// content-length together with transfer-encoding, differing lengths, codings other than chunked,
// several hosts. Trailers are checked and dropped.
class RequestParser {
 public:
  explicit RequestParser(const RequestLimits& limits);
  ~RequestParser();

  // Takes what it can from the front of `input`; the rest must come again, with more behind it.
  // Stops once behind the head, and at the end of the request. After an error the parser and the
  // connection are of no more use.
  std::optional<ParseError> Advance(std::string_view& input);

  bool head_done() const;
  bool done() const;

  // Method, path, query, headers once head_done(), or what was understood before an error; body
  // once done().
  Request& request();

  // From here on body bytes are counted, and dropped.
  void DiscardBody();
  uint64_t body_bytes() const;

  // Once head_done().
  std::optional<uint64_t> content_length() const;
  bool http_1_1() const;
  bool keep_alive() const;  // never for HTTP/1.0
  bool expects_continue() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_REQUEST_PARSER_H_
