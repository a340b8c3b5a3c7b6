#include "fleet/faults/time_watch.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

// A quarter of a nanosecond for each of a million times that are divided among keys, or taken back.
constexpr absl::Duration kRounding = absl::Milliseconds(1);

}  // namespace

void TimeWatch::OnDeath() {
  is_known_ = false;
  begun_.clear();
}

void TimeWatch::OnEvent(const MachineEvent& event) {
  if (event.kind == MachineEvent::Kind::kStray) is_known_ = false;
  const auto found = begun_.find(event.machine_id);
  if (found == begun_.end()) return;
  Life& life = found->second;
  life.serves |= event.kind == MachineEvent::Kind::kReady;
  if (event.kind != MachineEvent::Kind::kGone) return;
  const absl::Duration time = TimeOf(life, event), end = life.begun + time;
  time_ += time * life.gpus;
  for (size_t i = 0; i < life.uses.size(); ++i) {
    const absl::Duration to = i + 1 < life.uses.size() ? life.uses[i + 1].first : end;
    const absl::Duration used = std::min(to, end) - std::min(life.uses[i].first, end);
    used_[std::string(UseName(life.uses[i].second))] += used * life.gpus;
  }
  ++lives_;
  begun_.erase(found);
}

void TimeWatch::NoteUses(absl::FunctionRef<bool(const std::string& id)> answers) {
  notes_uses_ = true;
  for (auto& [id, life] : begun_) {
    const Use use = !life.serves ? Use::kWaking : answers(id) ? Use::kBusy : Use::kIdle;
    if (life.uses.back().second != use) life.uses.emplace_back(sim_.now(), use);
  }
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
  return std::max(absl::ZeroDuration(), end - life.begun);
}

void TimeWatch::CheckLedger(const Times& ledger) {
  if (notes_uses_) CheckUses(ledger);
  absl::Duration time;
  for (const auto& [use, part] : ledger) time += part;
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

void TimeWatch::CheckUses(const Times& ledger) {
  Times beyond = ledger;
  for (const auto& [use, time] : used_) beyond[use] -= time;
  for (const auto& [use, time] : beyond) {
    const absl::Duration since = time - std::exchange(checked_uses_[use], time);
    if (!is_known_ || absl::AbsDuration(since) <= kRounding) continue;
    sim_.Break(absl::StrCat("GPUs are booked as ", use, " for ", absl::FormatDuration(since), " more than they were"));
  }
}

}  // namespace spotinference::fleet
