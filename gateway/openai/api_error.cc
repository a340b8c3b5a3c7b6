#include "gateway/openai/api_error.h"

#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "gateway/openai/json_text.h"

namespace spotinference::openai {
namespace {

struct Row {
  Reason reason;
  absl::StatusCode status;
  int http_status;
  absl::string_view type;
  absl::string_view code;
  bool worth_retrying = true;  // false only where the SDKs would retry by the status and should not
};

constexpr Row kRows[] = {
    {Reason::kInvalidRequest, absl::StatusCode::kInvalidArgument, 400, "invalid_request_error", ""},
    {Reason::kContextLength, absl::StatusCode::kOutOfRange, 400, "invalid_request_error",
     "context_length_exceeded"},
    {Reason::kInvalidApiKey, absl::StatusCode::kUnauthenticated, 401, "invalid_request_error",
     "invalid_api_key"},
    {Reason::kForbidden, absl::StatusCode::kPermissionDenied, 403, "permission_error", "forbidden"},
    {Reason::kModelNotFound, absl::StatusCode::kNotFound, 404, "invalid_request_error",
     "model_not_found"},
    {Reason::kUnknownUrl, absl::StatusCode::kNotFound, 404, "invalid_request_error", "unknown_url"},
    {Reason::kMachineNotFound, absl::StatusCode::kNotFound, 404, "invalid_request_error",
     "machine_not_found"},
    {Reason::kMethodNotAllowed, absl::StatusCode::kUnimplemented, 405, "invalid_request_error",
     "method_not_supported"},
    {Reason::kSlowClient, absl::StatusCode::kDeadlineExceeded, 408, "invalid_request_error",
     "request_timeout"},
    {Reason::kWrongState, absl::StatusCode::kFailedPrecondition, 409, "invalid_request_error",
     "wrong_state"},
    {Reason::kTooLarge, absl::StatusCode::kInvalidArgument, 413, "invalid_request_error",
     "request_too_large"},
    {Reason::kRateLimit, absl::StatusCode::kResourceExhausted, 429, "rate_limit_error",
     "rate_limit_exceeded"},
    {Reason::kQueueFull, absl::StatusCode::kResourceExhausted, 429, "rate_limit_error",
     "queue_full"},
    {Reason::kInternal, absl::StatusCode::kInternal, 500, "server_error", ""},
    {Reason::kEngineLost, absl::StatusCode::kAborted, 500, "server_error", "engine_lost"},
    {Reason::kPoison, absl::StatusCode::kAborted, 500, "server_error", "engine_crashed", false},
    {Reason::kNoCapacity, absl::StatusCode::kUnavailable, 503, "server_error", "no_capacity"},
    {Reason::kModelBackoff, absl::StatusCode::kUnavailable, 503, "server_error",
     "model_unavailable"},
    {Reason::kShuttingDown, absl::StatusCode::kUnavailable, 503, "server_error", "shutting_down"},
    {Reason::kWakeTimeout, absl::StatusCode::kDeadlineExceeded, 504, "server_error", "wake_timeout",
     false},
};

// A status that names no reason: gRPC's and the system's. What is missing here is a 500.
constexpr std::pair<absl::StatusCode, Reason> kByStatus[] = {
    {absl::StatusCode::kInvalidArgument, Reason::kInvalidRequest},
    {absl::StatusCode::kOutOfRange, Reason::kInvalidRequest},
    {absl::StatusCode::kResourceExhausted, Reason::kRateLimit},
    {absl::StatusCode::kUnavailable, Reason::kNoCapacity},
    {absl::StatusCode::kAborted, Reason::kEngineLost},
};

// Where a status carries what its code and message cannot.
constexpr absl::string_view kReasonUrl = "spotinference/reason";
constexpr absl::string_view kParamUrl = "spotinference/param";
constexpr absl::string_view kCodeUrl = "spotinference/code";
constexpr absl::string_view kRetryUrl = "spotinference/retry_after_ms";

std::string Payload(const absl::Status& status, absl::string_view url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  return payload ? std::string(*payload) : "";
}

const Row& RowOf(Reason reason) { return kRows[static_cast<int>(reason)]; }

const Row& RowOf(const absl::Status& status) {
  int reason;
  if (absl::SimpleAtoi(Payload(status, kReasonUrl), &reason)) return kRows[reason];
  for (const auto& [code, of_code] : kByStatus) {
    if (code == status.code()) return RowOf(of_code);
  }
  return RowOf(Reason::kInternal);
}

constexpr bool RowsAreInOrder() {
  int i = 0;
  for (const Row& row : kRows) {
    if (static_cast<int>(row.reason) != i++) return false;
  }
  return i == static_cast<int>(Reason::kWakeTimeout) + 1;
}
static_assert(RowsAreInOrder());

}  // namespace

absl::Status ReasonError(Reason reason, absl::string_view message, const ErrorDetails& details) {
  absl::Status status(RowOf(reason).status, message);
  status.SetPayload(kReasonUrl, absl::Cord(absl::StrCat(static_cast<int>(reason))));
  if (!details.param.empty()) status.SetPayload(kParamUrl, absl::Cord(details.param));
  if (details.retry_after > absl::ZeroDuration()) {
    status.SetPayload(kRetryUrl,
                      absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(details.retry_after))));
  }
  return status;
}

absl::Status RequestError(absl::string_view param, absl::string_view code,
                          absl::string_view message) {
  absl::Status status =
      ReasonError(Reason::kInvalidRequest, message, {.param = std::string(param)});
  if (!code.empty()) status.SetPayload(kCodeUrl, absl::Cord(code));
  return status;
}

ApiError ToApiError(const absl::Status& status) {
  const Row& row = RowOf(status);
  ApiError error{.http_status = row.http_status,
                 .message = std::string(status.message()),
                 .type = std::string(row.type),
                 .param = Payload(status, kParamUrl),
                 .code = std::string(row.code)};
  if (row.reason == Reason::kInternal)
    error.message = "The server had an error while processing your request.";
  if (std::string code = Payload(status, kCodeUrl); !code.empty()) error.code = std::move(code);
  int64_t retry_ms;
  if (absl::SimpleAtoi(Payload(status, kRetryUrl), &retry_ms)) {
    error.headers.emplace_back("retry-after", absl::StrCat((retry_ms + 999) / 1000));
    error.headers.emplace_back("retry-after-ms", absl::StrCat(retry_ms));
  }
  if (!row.worth_retrying) error.headers.emplace_back("x-should-retry", "false");
  if (row.http_status == 401) error.headers.emplace_back("www-authenticate", "Bearer");
  return error;
}

std::string ErrorBody(const ApiError& error) {
  std::string body = "{\"error\":{\"message\":";
  AppendJsonString(error.message, &body);
  body.append(",\"type\":");
  AppendJsonString(error.type, &body);
  body.append(",\"param\":");
  AppendJsonStringOrNull(error.param, &body);
  body.append(",\"code\":");
  AppendJsonStringOrNull(error.code, &body);
  body.append("}}");
  return body;
}

std::string ErrorEvent(const ApiError& error) {
  return absl::StrCat("data: ", ErrorBody(error), "\n\n");
}

}  // namespace spotinference::openai
