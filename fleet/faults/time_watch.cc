#include "fleet/faults/time_watch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kRounding = absl::Milliseconds(1);

}  // namespace

void TimeWatch::OnDeath() {
  is_known_ = false;
  begun_.clear();
}

void TimeWatch::OnEvent(const MachineEvent& event) {
  if (event.kind == MachineEvent::Kind::kStray) is_known_ = false;
  if (event.kind != MachineEvent::Kind::kGone) return;
  const auto life = begun_.find(event.machine_id);
  if (life == begun_.end()) return;
  time_ += TimeOf(life->second, event);
  ++lives_;
  begun_.erase(life);
}

// None of what has not run, nor of a run that an earlier word told of.
absl::Duration TimeWatch::TimeOf(const Life& life, const MachineEvent& gone) const {
  absl::Time billed = absl::InfinitePast();
  for (const auto& [serial, record] : store_.machines()) {
    if (record.id == gone.machine_id) billed = record.billed_until;
  }
  absl::Duration told;
  if (gone.began.has_value() && gone.ended.has_value()) {
    told = *gone.ended - std::max(*gone.began, billed);
    if (told <= absl::ZeroDuration()) return absl::ZeroDuration();
  } else if (gone.never_ran) {
    return told;
  }
  absl::Duration end = sim_.now();  // by the controller's clock
  if (gone.ended.has_value()) end -= std::max(absl::ZeroDuration(), sim_.clock.Now() - *gone.ended);
  end = std::min(sim_.now(), std::max(end, life.begun + told));  // it ran for no less, however the clocks differ
  return std::max(absl::ZeroDuration(), end - life.begun) * life.gpus;
}

void TimeWatch::CheckLedger(absl::Duration time) {
  const absl::Duration beyond = time - time_, since = beyond - checked_beyond_;
  if (is_known_ && absl::AbsDuration(since) > kRounding) {
    sim_.Break(absl::StrCat("the ledger has ", absl::FormatDuration(time), " of GPUs, ", absl::FormatDuration(since),
                            " more since the last rest than ", lives_, " machines were there"));
  }
  checked_ += is_known_ && lives_ > 0;
  checked_beyond_ = beyond;
  lives_ = 0;
  is_known_ = true;
}

}  // namespace spotinference::fleet
