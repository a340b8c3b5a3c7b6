#include "gateway/filters/reply.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/openai/api_error.h"

namespace spotinference {
namespace {

using openai::ApiError;
using openai::Reason;

// HTTP's own errors that mean one of ours; the others keep their number and a general type.
constexpr std::pair<int, Reason> kReasons[] = {
    {400, Reason::kInvalidRequest}, {404, Reason::kUnknownUrl},   {405, Reason::kMethodNotAllowed},
    {408, Reason::kSlowClient},     {413, Reason::kTooLarge},     {429, Reason::kRateLimit},
    {500, Reason::kInternal},       {503, Reason::kShuttingDown},
};

ApiError ErrorOf(int status, absl::string_view message) {
  for (const auto& [number, reason] : kReasons) {
    if (number == status) return openai::ToApiError(openai::ReasonError(reason, message));
  }
  return {.http_status = status,
          .message = std::string(message),
          .type = status < 500 ? "invalid_request_error" : "server_error"};
}

http::Response Reply(const ApiError& error, absl::Duration processing) {
  http::Response response = JsonReply(error.http_status, openai::ErrorBody(error), processing);
  for (const auto& [name, value] : error.headers) response.headers.Add(name, value);
  return response;
}

}  // namespace

void AddOpenAiHeaders(absl::Duration processing, http::Headers& headers) {
  const int64_t ms = std::max<int64_t>(0, absl::ToInt64Milliseconds(processing));
  headers.Set("openai-processing-ms", absl::StrCat(ms));
  headers.Set("openai-version", "2020-10-01");
}

http::Response JsonReply(int status, std::string body, absl::Duration processing) {
  http::Response response{status, {{"content-type", "application/json"}}, std::move(body)};
  AddOpenAiHeaders(processing, response.headers);
  return response;
}

http::Response ErrorReply(const absl::Status& status, absl::Duration processing) {
  return Reply(openai::ToApiError(status), processing);
}

http::Response HttpErrorReply(int status, std::string_view message) {
  return Reply(ErrorOf(status, {message.data(), message.size()}), absl::ZeroDuration());
}

}  // namespace spotinference
