// A machine that nobody speaks to any more: its gateway is gone, or was told that the machine is. So that it does not
// bill for ever, its engine ends, and says by its status why.
#ifndef ENGINE_NOTICE_SILENCE_SOURCE_H_
#define ENGINE_NOTICE_SILENCE_SOURCE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/notice/notice_source.h"

namespace spotinference {

// How long nobody who may has spoken to this machine. Thread-safe.
class Silence {
 public:
  // It begins now. `clock` outlives it.
  Silence(absl::Duration limit, const Clock& clock) : limit_(limit), clock_(clock) { Heard(); }

  void Heard() { heard_ns_ = absl::ToInt64Nanoseconds(clock_.Elapsed()); }
  absl::Duration heard_at() const { return absl::Nanoseconds(heard_ns_.load()); }  // Clock::Elapsed()

  absl::Duration limit() const { return limit_; }
  absl::Duration left() const { return limit_ - (clock_.Elapsed() - heard_at()); }  // until the limit

 private:
  const absl::Duration limit_;
  const Clock& clock_;
  std::atomic<int64_t> heard_ns_;
};

// How long before the limit it gives notice, so that what is to be saved is; half of a limit that is shorter than twice
// as long.
inline constexpr absl::Duration kSilenceNotice = absl::Seconds(30);

// The source of its notices.
inline constexpr char kSilence[] = "silence";

// The notices of kSilence: one stands while less than kSilenceNotice is left. While somebody speaks, `contact_file` is
// touched, at most every 10 s, for whoever watches over this process; "": none. `poll`: how often it looks. The others
// outlive it.
std::unique_ptr<NoticeSource> NewSilenceSource(const Silence& silence, std::string contact_file, const Clock& clock,
                                               absl::Duration poll = absl::Seconds(1));

}  // namespace spotinference

#endif  // ENGINE_NOTICE_SILENCE_SOURCE_H_
