// JSON answers with the headers that every answer of this API carries. x-request-id is the
// server's own doing.
#ifndef GATEWAY_FILTERS_REPLY_H_
#define GATEWAY_FILTERS_REPLY_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/http/message.h"

namespace spotinference {

// openai-version, and openai-processing-ms: the time from the request's arrival to the answer's
// head.
void AddOpenAiHeaders(absl::Duration processing, http::Headers& headers);

http::Response JsonReply(int status, std::string body, absl::Duration processing);

// `status`, which is not OK, as gateway/openai/api_error.h tells it.
http::Response ErrorReply(const absl::Status& status, absl::Duration processing);

// For http::ServerOptions::error and http::Router: errors of HTTP itself, which come as a status
// number.
http::Response HttpErrorReply(int status, std::string_view message);

}  // namespace spotinference

#endif  // GATEWAY_FILTERS_REPLY_H_
