// A NoticeSource that asks a metadata service over and over.
#ifndef ENGINE_NOTICE_METADATA_SOURCE_H_
#define ENGINE_NOTICE_METADATA_SOURCE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/base/http_client.h"
#include "engine/notice/metadata_notice.h"
#include "engine/notice/notice_source.h"

namespace spotinference {

// One answer of the service.
struct MetadataReading {
  std::optional<MetadataNotice> notice;
  HttpHeaders headers;  // of the answer that the notice came with
};

// A cloud's part. Called on the source's thread.
struct MetadataService {
  std::string name;  // of the notices' source

  // Asks once, or until something changes. An error tells nothing about the machine: what stood, stands.
  std::function<absl::StatusOr<MetadataReading>(HttpClient& client)> read;

  // Tells the service that the event may begin. Called again after an error. nullptr: it does not want to know.
  std::function<absl::Status(HttpClient& client, const std::string& event_id)> acknowledge;

  // From the end of a reading to the beginning of the next; zero: `read` itself waits for a change.
  absl::Duration interval;
  // The same after an error: doubled with each in a row, from `retry` to `max_retry`.
  absl::Duration retry, max_retry;
};

// From the end of a reading to the beginning of the next. `failures`: in a row, with that one; 0: it was none.
absl::Duration PauseAfter(const MetadataService& service, int failures);

// What was so before the last change may come out of a service's cache once more: it is believed when the next reading
// says it too. `clock` outlives it.
std::unique_ptr<NoticeSource> NewMetadataSource(MetadataService service, const Clock& clock);

}  // namespace spotinference

#endif  // ENGINE_NOTICE_METADATA_SOURCE_H_
