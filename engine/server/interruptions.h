// The notices that stand, from all sources, and what the engine does about them. When one says that the machine goes, the
// engine serves on until it is asked to hand over, since another one has room, or until little time is left; from then on it
// admits nothing and its sequences go on elsewhere. When the notice is withdrawn, the engine serves again.
#ifndef ENGINE_SERVER_INTERRUPTIONS_H_
#define ENGINE_SERVER_INTERRUPTIONS_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "engine/api/engine.pb.h"
#include "engine/base/clock.h"
#include "engine/notice/notice.h"
#include "engine/server/engine.h"

namespace spotinference {

// Thread-safe; not to be called from inside a TokenSink.
class Interruptions {
 public:
  // `reserve`: what handing over, saving KV and a goodbye may take of the time before the machine goes. Engine and clock
  // outlive it.
  Interruptions(Engine& engine, const Clock& clock, absl::Duration reserve)
      : engine_(engine), clock_(clock), reserve_(reserve) {}

  // What the fleet calls this start of the machine (engine/api/call_metadata.h); from now on the log says it. Ignored:
  // what is no name, or over 128 bytes.
  void NameLife(absl::string_view life);

  // Replaces the earlier notice of the same source. Returns how many sequences ended by it; all have when it returns.
  uint32_t Announce(const Notice& notice);

  // Now, if a stop stands: another engine has room. Returns how many sequences ended by it.
  uint32_t HandOver();

  // The source's notice stands no more.
  void Withdraw(absl::string_view source);

  // The process is to go, notice or not; if a stop stands, its sequences go at once. Once said, it is not taken back.
  void End();

  // Sequences have been handed over, and the stop still stands.
  bool hands_over() const;

  // A stop stands. Never waits.
  bool stops() const { return stops_.load(); }

  // Waits until a stop stands and sequences have been handed over, which it does when their time has come, or for End.
  void AwaitHandOver();

  // After AwaitHandOver: waits until the process has to go: the soonest stop is `margin` away, or End was called. False: the
  // engine serves again.
  bool AwaitEnd(absl::Duration margin);

  // The most urgent of those that stand: a stop before a risk, then the soonest.
  std::optional<engine::v1::Notice> MostUrgent() const;

  // How often a notice came, changed or was withdrawn.
  uint64_t changes() const;

  // `done` runs once, under the lock, and must call nothing here: with true as soon as changes() is not `known`, which
  // may be at once, with false once End was called. Returns what Forget takes.
  uint64_t AwaitChange(uint64_t known, absl::AnyInvocable<void(bool changed)> done);

  // True: it will not run. False: it has.
  bool Forget(uint64_t wait);

 private:
  const Notice* FindStop() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // the soonest; nullptr: none stands
  const Notice* FindMostUrgent() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint32_t Apply() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(bool changed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // all who wait for a change
  std::string Id() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // to end a line of the log with

  Engine& engine_;
  const Clock& clock_;
  const absl::Duration reserve_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  std::atomic<bool> stops_{false};
  std::string life_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool hands_over_ ABSL_GUARDED_BY(mutex_) = false;  // a stop stands, and the engine admits nothing
  absl::btree_map<std::string, Notice> standing_ ABSL_GUARDED_BY(mutex_);  // by source
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0, last_wait_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::btree_map<uint64_t, absl::AnyInvocable<void(bool)>> waits_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_INTERRUPTIONS_H_
