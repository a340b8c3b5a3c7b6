// What a metadata service says is outside bytes: any of them are a reading or an error.
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/notice/aws_metadata.h"
#include "engine/notice/azure_metadata.h"
#include "engine/notice/gcp_metadata.h"
#include "engine/notice/metadata_notice.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::Time now = absl::FromUnixSeconds(1767225600);
  const auto check = [&](const MetadataNotice& notice) {
    const absl::Duration left = TimeLeft(notice, {{"date", std::string(text)}}, now);
    if (left < absl::ZeroDuration() || left == absl::InfiniteDuration()) __builtin_trap();
  };
  if (const auto notice = ParseInstanceAction(text); notice.ok()) check(*notice);
  if (const auto notice = ParseRebalance(text); notice.ok()) check(*notice);
  if (const auto document = ParseScheduledEvents(text); document.ok()) {
    if (const auto notice = NoticeFor("machine_0", document->events)) check(*notice);
  }
  (void)ParsePreempted(text);
  return 0;
}
