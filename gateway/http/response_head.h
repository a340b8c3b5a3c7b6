// The bytes of a response's head.
#ifndef GATEWAY_HTTP_RESPONSE_HEAD_H_
#define GATEWAY_HTTP_RESPONSE_HEAD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "gateway/http/message.h"

namespace spotinference::http {

struct ResponseFraming {
  std::optional<uint64_t> content_length;  // of a body known as a whole
  bool chunked = false;                    // neither: no body, or one that ends with the connection
  bool close = false;                      // this is the connection's last response
};

// Framing, date and, unless `headers` has it, x-request-id are added; framing fields in `headers`
// are left out. So is a field whose name is no token, and line breaks in a value become spaces: no
// value can forge a second field.
std::string ResponseHead(int status, const Headers& headers, const ResponseFraming& framing,
                         std::string_view request_id, absl::Time now);

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_RESPONSE_HEAD_H_
