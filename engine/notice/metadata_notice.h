// What a metadata service's answer says of its machine, by the service's clock.
#ifndef ENGINE_NOTICE_METADATA_NOTICE_H_
#define ENGINE_NOTICE_METADATA_NOTICE_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/http_client.h"
#include "engine/notice/notice.h"

namespace spotinference {

struct MetadataNotice {
  Notice::Kind kind = Notice::Kind::kStop;
  std::string reason;
  std::optional<absl::Time> at;  // by the service's clock
  absl::Duration left;           // where the service says no time
  std::string event_id;          // of an event that this machine may acknowledge; "": of none

  friend bool operator==(const MetadataNotice& a, const MetadataNotice& b) {
    return a.kind == b.kind && a.reason == b.reason && a.at == b.at &&
           a.left == b.left && a.event_id == b.event_id;
  }
};

// How long until `notice`, which came with `headers`; at least zero.
//
// The machine's clock may be minutes off, and the metadata service's is the one that counts the notice down: so what is
// left is counted from the Date of the same answer, and `machine_now` stands in only where there is none. Date is in
// whole seconds, cut off, so that up to one second more has passed: it counts as passed.
absl::Duration TimeLeft(const MetadataNotice& notice, const HttpHeaders& headers, absl::Time machine_now);

// "Mon, 11 Apr 2022 22:26:58 GMT" (RFC 9110, 5.6.7). nullopt: none.
std::optional<absl::Time> ParseHttpDate(absl::string_view text);

}  // namespace spotinference

#endif  // ENGINE_NOTICE_METADATA_NOTICE_H_
