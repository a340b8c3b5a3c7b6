// Whoever says what will become of this machine: a cloud's metadata service, a signal.
#ifndef ENGINE_NOTICE_NOTICE_SOURCE_H_
#define ENGINE_NOTICE_NOTICE_SOURCE_H_

#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "engine/notice/notice.h"

namespace spotinference {

// Thread-safe. Its destructor ends the watch; on return no call to the listener is under way.
class NoticeSource {
 public:
  virtual ~NoticeSource() = default;

  virtual const std::string& name() const = 0;  // of its notices' `source`

  // Begins to watch; once. `changed` runs on a thread of the source's, one call at a time: with the notice that stands
  // from now on, or with nullopt when it was withdrawn. What stands at the beginning is nothing.
  virtual void Watch(absl::AnyInvocable<void(const std::optional<Notice>&)> changed) = 0;

  // The machine has nothing left to lose by the notice that stands; it may go before its time.
  virtual void Drained() = 0;
};

}  // namespace spotinference

#endif  // ENGINE_NOTICE_NOTICE_SOURCE_H_
