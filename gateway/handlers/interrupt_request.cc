#include "gateway/handlers/interrupt_request.h"

#include <boost/json.hpp>

#include "gateway/openai/api_error.h"

namespace spotinference {
namespace {

namespace json = boost::json;

constexpr size_t kLongestBodyBytes = 4096;
constexpr double kLongestNoticeSeconds = 3600;

absl::Status BadNotice() {
  return openai::RequestError("notice_seconds", "invalid_value",
                              "Invalid 'notice_seconds': expected a number from 0 to 3600.");
}

}  // namespace

absl::StatusOr<InterruptRequest> ParseInterruptRequest(absl::string_view body) {
  InterruptRequest request;
  if (body.empty()) return request;
  if (body.size() > kLongestBodyBytes) return openai::RequestError("", "", "The body is too long for this order.");
  json::error_code error;
  json::parse_options options;
  options.max_depth = 4;
  const json::value parsed = json::parse({body.data(), body.size()}, error, {}, options);
  if (error || !parsed.is_object()) {
    return openai::RequestError("", "", "The body is not a JSON object such as {\"notice_seconds\":30}.");
  }
  for (const auto& member : parsed.get_object()) {
    if (member.key() != "notice_seconds") {
      return openai::RequestError("", "unknown_parameter", "Unknown parameter: the body may have 'notice_seconds'.");
    }
    if (!member.value().is_number()) return BadNotice();
    const double seconds = member.value().to_number<double>();
    if (!(seconds >= 0 && seconds <= kLongestNoticeSeconds)) return BadNotice();
    request.notice = absl::Seconds(seconds);
  }
  return request;
}

}  // namespace spotinference
