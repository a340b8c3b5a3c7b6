// The one place where an absl::Status becomes an HTTP status and an OpenAI error object. Pure;
// thread-safe.
//
//   return RequestError("temperature", "decimal_above_max_value", "Invalid 'temperature': …");
//   return ReasonError(Reason::kQueueFull, "256 requests already wait for …", {.retry_after =
//   absl::Seconds(5)}); … const ApiError error = ToApiError(status);
#ifndef GATEWAY_OPENAI_API_ERROR_H_
#define GATEWAY_OPENAI_API_ERROR_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference::openai {

// What our own code can say more exactly than a status code does. Each has a row in the table of
// api_error.cc.
enum class Reason {
  kInvalidRequest,    // 400
  kContextLength,     // 400: prompt and answer do not fit the model's context
  kInvalidApiKey,     // 401
  kForbidden,         // 403
  kModelNotFound,     // 404
  kUnknownUrl,        // 404
  kMachineNotFound,   // 404, for admins
  kMethodNotAllowed,  // 405
  kSlowClient,        // 408
  kWrongState,        // 409, for admins: the machine is in no state for the order
  kTooLarge,          // 413
  kRateLimit,         // 429
  kQueueFull,         // 429: too many requests are parked already
  kInternal,          // 500
  kEngineLost,        // 500: the engine died under the request
  kPoison,            // 500: every engine died under the request, which is not to be tried again
  kNoCapacity,        // 503: no machine to be had anywhere
  kModelBackoff,      // 503: the model cannot start; tried again later
  kShuttingDown,      // 503
  kWakeTimeout,       // 504: the wake, or this request's wait for it, passed its cap
};

struct ErrorDetails {
  std::string param;  // the field at fault; "": null
  absl::Duration retry_after = absl::ZeroDuration();
};

absl::Status ReasonError(Reason reason, absl::string_view message,
                         const ErrorDetails& details = {});

// A 400 that names the field `param` (a path such as "messages[0].role"; "": null). `code` is one
// of OpenAI's words for it ("" : null).
absl::Status RequestError(absl::string_view param, absl::string_view code,
                          absl::string_view message);

struct ApiError {
  int http_status;
  std::string message;
  std::string type;
  std::string param;  // "": null
  std::string code;   // "": null
  std::vector<std::pair<std::string, std::string>>
      headers;  // lower case: retry-after, retry-after-ms, …
};

// `status` is not OK. One that neither function above made is told by its canonical code: what gRPC
// or the file system said. A message of the classes internal, unknown and data loss stays here (it
// may name files or machines): the client gets a general one, and the caller logs the status.
ApiError ToApiError(const absl::Status& status);

// {"error":{"message":…,"type":…,"param":…,"code":…}}
std::string ErrorBody(const ApiError& error);

// The same as one SSE event, for a stream whose status is already sent.
std::string ErrorEvent(const ApiError& error);

}  // namespace spotinference::openai

#endif  // GATEWAY_OPENAI_API_ERROR_H_
