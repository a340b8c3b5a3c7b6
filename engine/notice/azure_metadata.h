// Azure's Scheduled Events: what the platform is going to do to this machine, and the word that it may do so now.
// https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events
#ifndef ENGINE_NOTICE_AZURE_METADATA_H_
#define ENGINE_NOTICE_AZURE_METADATA_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/notice/metadata_notice.h"
#include "engine/notice/metadata_source.h"

namespace spotinference {

inline constexpr char kAzureMetadataUrl[] = "http://169.254.169.254";

// `machine`: this machine's name, as events have it; "": the service is asked for it.
MetadataService AzureMetadata(std::string base_url, std::string machine);

struct ScheduledEvent {
  std::string id;
  std::string type;                      // "Preempt", "Terminate", "Reboot", "Redeploy", "Freeze"
  std::vector<std::string> machines;     // that it will happen to
  bool started = false;
  std::optional<absl::Time> not_before;  // nullopt: at any moment, also where what is said is no date
};

struct ScheduledEvents {
  std::optional<int64_t> incarnation;  // grows with each change; documents of one incarnation are the same
  std::vector<ScheduledEvent> events;
};

// Events without a type or without machines are nobody's, and left out. INVALID_ARGUMENT: no document of events.
absl::StatusOr<ScheduledEvents> ParseScheduledEvents(absl::string_view json);

// The soonest of the events that take this machine away, or restart it, which is the same to an engine. A Freeze is
// none: the machine pauses for seconds and goes on. Events of other machines of the same set are in the document too.
std::optional<MetadataNotice> NoticeFor(absl::string_view machine, absl::Span<const ScheduledEvent> events);

}  // namespace spotinference

#endif  // ENGINE_NOTICE_AZURE_METADATA_H_
