#include "engine/notice/metadata_notice.h"

#include <algorithm>

namespace spotinference {

absl::Duration TimeLeft(const MetadataNotice& notice, const HttpHeaders& headers, absl::Time machine_now) {
  if (!notice.at.has_value()) return notice.left;
  absl::Time now = machine_now;
  if (const auto date = FindHeader(headers, "date")) {
    if (const std::optional<absl::Time> said = ParseHttpDate(*date)) now = *said + absl::Seconds(1);
  }
  return std::max(*notice.at - now, absl::ZeroDuration());
}

std::optional<absl::Time> ParseHttpDate(absl::string_view text) {
  absl::Time time;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, &time, nullptr)) return std::nullopt;
  // ParseTime takes the words "infinite-past" and "infinite-future" too.
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return std::nullopt;
  return time;
}

}  // namespace spotinference
