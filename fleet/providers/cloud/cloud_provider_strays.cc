// Machines of this fleet that no life knows: they are told, and ended.
#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/cloud_provider.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

constexpr absl::Duration kForgotten = absl::Hours(1);  // longer than lists lack what is there
constexpr absl::Duration kSleepTold = absl::Hours(1);  // so much of a sleep a restart may leave untold

// Of one that is starting again lists may still tell of the run before.
std::optional<absl::Time> BeganNow(const CloudMachine& machine) {
  const CloudRun& run = machine.run;
  return run.ended.has_value() && run.ended >= run.began ? std::nullopt : run.began;
}

}  // namespace

const CloudProvider::Machine* CloudProvider::WhoKnows(const CloudMachine& machine) const {
  for (const auto& [id, mine] : machines_) {
    const bool is_it = mine->life.machine_id.empty() || mine->life.machine_id == machine.id;
    if (mine->name == machine.name && is_it) return mine.get();
  }
  return nullptr;
}

void CloudProvider::SweepOrphans() {
  std::map<std::string, Orphan> orphans;
  std::vector<std::pair<CloudMachine, bool>> to_end;  // and whether it is to be kept, stopped
  const absl::Duration now = clock_.Elapsed();
  for (const CloudMachine& machine : inventory_.machines) {
    if (machine.state == State::kGone || machine.state == State::kDeleting || machine.state == State::kStopped) continue;
    if (HeardAt(machine.zone) < listed_at_ || WhoKnows(machine) != nullptr) continue;
    const auto before = orphans_.find(machine.id);
    const Orphan first = {.since = now, .seen = CloudTimeOf(date_at_)};
    const Orphan& orphan =
        orphans.emplace(machine.id, before == orphans_.end() ? first : before->second).first->second;
    if (now - orphan.since >= options_.orphan || strays_.contains(machine.id)) TellStray(machine, orphan.seen);
    // Until one that stops has, it holds its volume. What is in a state that nobody knows may be hibernated: it is told
    // to stop, which does no harm to that, and never deleted.
    const bool keeps = api_->KeepsStopped(machine.type);
    const bool unknown = machine.state == State::kUnknown && keeps;
    const bool waits = unknown || machine.state == State::kStopping;
    if (now - orphan.since < (waits ? options_.limits.stop : options_.orphan) || now < orphan.not_before) continue;
    if (machine.state == State::kUnknown && now < orphan.unknown_until) continue;
    const bool named = std::any_of(machines_.begin(), machines_.end(),
                                   [&](const auto& entry) { return entry.second->name == machine.name; });
    const bool overdue = now - orphan.since >= options_.orphan + options_.limits.stop;
    to_end.emplace_back(machine, unknown || (!named && keeps && !overdue && machine.state == State::kRunning));
  }
  orphans_ = std::move(orphans);
  const std::vector<std::string> ended = EndedStrays();
  for (const auto& [machine, keep] : to_end) EndOrphan(machine, keep);
  for (const std::string& id : ended) EndStray(id);
  TellSleepers();
}

void CloudProvider::EndOrphan(const CloudMachine& machine, bool keep) {
  if (Withholds(absl::StrCat("machine ", machine.id, " (", machine.name, "), which nobody knows"),
                keep ? "stop it" : "delete it")) {
    return;
  }
  LOG(WARNING) << caps_.name << ": nobody knows machine " << machine.id << " (" << machine.name << "), it is "
               << (keep ? "stopped" : "deleted");
  mutex_.Unlock();
  const absl::Status status = keep ? api_->StopMachine(machine) : api_->DeleteMachine(machine);
  mutex_.Lock();
  LOG_IF(WARNING, !status.ok()) << caps_.name << ": " << machine.id << ": " << status;
  Orphan& orphan = orphans_[machine.id];
  orphan.failures = status.ok() ? 0 : orphan.failures + 1;
  orphan.not_before =
      clock_.Elapsed() + (status.ok() ? options_.limits.settle : BackOff(orphan.failures, status));
  if (!status.ok()) orphan.unknown_until = clock_.Elapsed() + options_.limits.stop;
}

// At what it costs now, as far as that is known.
Offer CloudProvider::OfferOf(const CloudMachine& machine) const {
  Offer offer = {.provider = caps_.name, .zone = machine.zone, .market = machine.market, .machine_type = machine.type};
  for (const Offer& known : priced_) {
    if (SamePlace(known, offer)) return known;
    if (known.zone == offer.zone) offer.region = known.region;
    if (known.machine_type != offer.machine_type) continue;
    offer.accelerator = known.accelerator;
    offer.accelerators = known.accelerators;
  }
  return offer;
}

absl::Time CloudProvider::CloudTimeOf(absl::Duration at) const {
  if (date_ == absl::InfinitePast()) return clock_.Now() - (clock_.Elapsed() - at);
  return date_ + (at - date_at_);
}

absl::Time CloudProvider::Untold(const std::string& name, absl::Time began) const {
  const auto told = told_until_.find(name);
  return told == told_until_.end() ? began : std::max(began, told->second);
}

void CloudProvider::NoteTold(const std::string& name, absl::Time until) {
  absl::Time& told = told_until_.try_emplace(name, until).first->second;
  told = std::max(told, until);
  std::erase_if(told_until_, [&](const auto& entry) { return entry.second < until - kForgotten; });
}

// What was never seen to be charged for is not told: it may be one that is hibernated.
void CloudProvider::TellStray(const CloudMachine& machine, absl::Time seen) {
  const bool is_told = strays_.contains(machine.id);
  const bool is_charged = machine.state == State::kStarting || machine.state == State::kRunning ||
                          machine.state == State::kStopping || machine.is_off;
  if (machine.type.empty() || (!is_told && !is_charged)) return;
  Stray& stray = strays_[machine.id];
  stray.last = machine;
  if (!is_told) stray.began = BeganNow(machine).value_or(seen);
  stray.ran |= machine.state == State::kRunning || machine.is_off;
  stray.public_address |= machine.public_address;
  if (machine.boot_gigabytes > 0) stray.boot_gigabytes = machine.boot_gigabytes;
  if (Offer offer = OfferOf(machine); offer.price_per_hour > 0 || !is_told) stray.offer = std::move(offer);
  Tell({.kind = MachineEvent::Kind::kStray,
        .machine_id = machine.name,
        .handle = machine.id,
        .began = Untold(machine.name, stray.began),
        .public_address = stray.public_address,
        .boot_gigabytes = stray.boot_gigabytes,
        .offer = stray.offer});
}

std::vector<std::string> CloudProvider::EndedStrays() {
  std::vector<std::string> ended;
  for (auto& [id, stray] : strays_) {
    if (HeardAt(stray.last.zone) < listed_at_) continue;
    const auto found = std::find_if(inventory_.machines.begin(), inventory_.machines.end(),
                                    [&](const CloudMachine& machine) { return machine.id == id; });
    const bool is_there = found != inventory_.machines.end() && !found->type.empty();
    stray.absence.Note(is_there, listed_at_);
    if (stray.absence.lists == 1) stray.missed_at = CloudTimeOf(date_at_);
    if (is_there) stray.last = *found;
    const bool is_over = !is_there ? IsGone(options_.limits, stray.absence)
                                   : found->state == State::kStopped || found->state == State::kGone ||
                                         WhoKnows(*found) != nullptr;
    if (!is_over) {
      stray.over_at.reset();
      stray.run_asked_at.reset();
      continue;
    }
    if (!stray.over_at.has_value()) stray.over_at = is_there ? CloudTimeOf(date_at_) : stray.missed_at;
    ended.push_back(id);
  }
  return ended;
}

// What its cloud does not tell in time never will be. One that a life knows by now is that life's from its begin on.
void CloudProvider::EndStray(const std::string& id) {
  const auto begun = strays_.find(id);
  if (begun == strays_.end() || std::exchange(begun->second.asking, true)) return;
  const CloudMachine last = begun->second.last;
  absl::StatusOr<CloudRun> run = last.run;
  absl::Time over_at = *begun->second.over_at;
  if (const Machine* const life = WhoKnows(last)) {
    over_at = CloudTimeOf(life->begun);
  } else {
    mutex_.Unlock();
    run = api_->LatestRun(last);
    mutex_.Lock();
  }
  Stray& stray = strays_.at(id);  // nobody else ends it
  stray.asking = false;
  if (!stray.over_at.has_value()) return;  // it was seen again meanwhile
  if (!stray.run_asked_at.has_value()) stray.run_asked_at = clock_.Elapsed();
  const auto of_earlier = [&] { return run.ok() && run->ended.has_value() && run->ended < stray.began; };
  const bool may_come = absl::IsUnavailable(run.status()) || absl::IsDeadlineExceeded(run.status()) || of_earlier();
  if (may_come && clock_.Elapsed() - *stray.run_asked_at < kRunTold) return;  // the next list is another occasion
  if (!run.ok()) run = last.run;
  if (run->began < stray.began && !run->ended.has_value()) run->began.reset();  // a list may still have the run before's
  if (of_earlier()) run = CloudRun{.ended = stray.ran ? std::nullopt : std::optional(stray.began)};
  const absl::Time began = Untold(last.name, run->began.value_or(stray.began));
  MachineEvent over = {.kind = MachineEvent::Kind::kStray,
                       .machine_id = last.name,
                       .handle = id,
                       .began = began,
                       .ended = std::max(began, run->ended.value_or(over_at)),
                       .reclaimed = run->reclaimed,
                       .public_address = stray.public_address,
                       .boot_gigabytes = stray.boot_gigabytes,
                       .kept = last.state == State::kStopped && stray.absence.lists == 0,
                       .offer = stray.offer};
  if (const auto before = sleepers_.find(id); before != sleepers_.end()) {
    TellSleep(before->second, began);
    sleepers_.erase(before);
  }
  if (over.kept) {
    sleepers_[id] = {.last = last,
                     .since = -absl::InfiniteDuration(),
                     .told_until = *over.ended,
                     .offer = stray.offer,
                     .public_address = stray.public_address,
                     .boot_gigabytes = stray.boot_gigabytes};
  }
  strays_.erase(id);
  NoteTold(last.name, *over.ended);
  Tell(std::move(over));
}

// Also those that nobody saw go to sleep. What the fleet has hibernated is among them: it has no life meanwhile.
void CloudProvider::FindSleepers() {
  for (const CloudMachine& machine : inventory_.machines) {
    if (machine.state != State::kStopped || machine.type.empty() || HeardAt(machine.zone) < listed_at_) continue;
    if (strays_.contains(machine.id) || WhoKnows(machine) != nullptr) continue;
    const auto [known, is_new] = sleepers_.try_emplace(machine.id);
    Sleeper& sleeper = known->second;
    if (is_new) {
      sleeper = {.last = machine,
                 .since = clock_.Elapsed(),
                 .told_until = CloudTimeOf(date_at_),
                 .offer = OfferOf(machine)};
    }
    sleeper.public_address |= machine.public_address;
    if (machine.boot_gigabytes > 0) sleeper.boot_gigabytes = machine.boot_gigabytes;
  }
}

void CloudProvider::TellSleepers() {
  FindSleepers();
  for (auto entry = sleepers_.begin(); entry != sleepers_.end();) {
    Sleeper& sleeper = entry->second;
    const std::optional<absl::Time> over_at = OverAt(sleeper);
    const absl::Time until = over_at.value_or(CloudTimeOf(date_at_));
    const bool is_due = sleeper.absence.lists == 0 && !sleeper.woke && until - sleeper.told_until >= kSleepTold;
    if (over_at.has_value() || is_due) TellSleep(sleeper, until);
    if (over_at.has_value()) entry = sleepers_.erase(entry);
    else ++entry;
  }
}

void CloudProvider::TellSleep(Sleeper& sleeper, absl::Time until) {
  if (clock_.Elapsed() - sleeper.since < options_.orphan || until <= sleeper.told_until) return;
  Tell({.kind = MachineEvent::Kind::kAsleep,
        .machine_id = sleeper.last.name,
        .handle = sleeper.last.id,
        .began = std::exchange(sleeper.told_until, until),
        .ended = until,
        .public_address = sleeper.public_address,
        .boot_gigabytes = sleeper.boot_gigabytes,
        .offer = sleeper.offer});
}

// By the newest list. nullopt: it sleeps, as far as anybody knows, or EndStray will tell until when it did.
std::optional<absl::Time> CloudProvider::OverAt(Sleeper& sleeper) {
  if (HeardAt(sleeper.last.zone) < listed_at_) return std::nullopt;
  const absl::Time now = CloudTimeOf(date_at_);
  const auto found = std::find_if(inventory_.machines.begin(), inventory_.machines.end(),
                                  [&](const CloudMachine& machine) { return machine.id == sleeper.last.id; });
  const bool is_there = found != inventory_.machines.end() && !found->type.empty();
  sleeper.absence.Note(is_there, listed_at_);
  if (sleeper.absence.lists == 1) sleeper.missed_at = now;
  const bool is_stray = strays_.contains(sleeper.last.id);
  if (is_stray && (!is_there || found->state == State::kGone || WhoKnows(*found) != nullptr)) return std::nullopt;
  if (!is_there) return IsGone(options_.limits, sleeper.absence) ? std::optional(sleeper.missed_at) : std::nullopt;
  if (const Machine* const life = WhoKnows(*found)) return CloudTimeOf(life->begun);
  switch (found->state) {
    case State::kStopped:
    case State::kDeleting:
    case State::kUnknown: sleeper.woke &= is_stray; return std::nullopt;
    case State::kGone: return now;
    default: sleeper.woke = true; return BeganNow(*found);
  }
}

}  // namespace spotinference::fleet
