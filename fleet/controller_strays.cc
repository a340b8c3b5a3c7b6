// Machines of this fleet's that nobody asked for, or asks for any more, as after a start whose answer was lost: providers
// tell of them and end them. What they cost until then is lost, and in the ledger under their models where these are
// known. At its end a stray is booked as what its cloud charges, as a machine is; and what a cloud that keeps it, stopped,
// charges from then on, as its provider tells of it.
//
// A restart finds the ledger's entry of a stray open and goes on with it. Of one that has no entry, and began before, it
// cannot know what a former life booked: it books what it sees itself. So it is, without a former life, with one that began
// long before this one.
#include <glog/logging.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

// As one that runs, of no model.
MachineRecord RecordOf(const MachineEvent& stray, absl::string_view id) {
  return {.id = std::string(id),
          .model = "unknown",
          .provider = stray.offer->provider,
          .state = MachineState::kLost,
          .handle = stray.handle,
          .bought = *stray.began,
          .offer = stray.offer};
}

// A cloud may say in the end alone when it began: until then each life guesses. What a former one booked under its
// own guess, as `former`..., is of this run if that had begun by then. A begin before this life, and more than `most`
// before the first guess, is not believed.
void BookUnheard(absl::string_view former, const std::string& id, const Ledger::Item& item, const MachineEvent& gone,
                 absl::Duration end, absl::Time this_life, absl::Duration most, Ledger& ledger) {
  const bool whole_run = absl::StartsWith(id, former);
  const absl::Duration booked = ledger.Time(id, end).value_or(absl::ZeroDuration());
  absl::Time first = *gone.ended - booked;
  std::vector<std::string> parts;
  for (const std::string& other : ledger.OpenWithPrefix(former)) {
    int64_t seconds = 0;
    if (other == id || !absl::SimpleAtoi(absl::StripPrefix(other, former), &seconds)) continue;
    const absl::Time guess = absl::FromUnixSeconds(seconds);
    const absl::Duration part = *ledger.Time(other, end) / item.accelerators;  // recalled: the time of all of its GPUs
    if (!whole_run || guess + part <= *gone.began) {
      ledger.End(other, end);
    } else {
      parts.push_back(other);
      first = std::min(first, guess);
    }
  }
  const bool is_believed = whole_run && (*gone.began >= this_life || first - *gone.began <= most);
  for (const std::string& part : parts) is_believed ? ledger.Drop(part) : ledger.End(part, end);
  if (is_believed) ledger.Book(id, item, Use::kLost, end - (*gone.ended - *gone.began - booked), end);
}

}  // namespace

void Controller::OnStray(const MachineEvent& event) {
  const std::string name = absl::StrCat(event.offer->provider, " ", event.handle);
  const absl::Duration now = clock_.Elapsed();
  const auto at = [&](absl::Time time) { return now - std::max(absl::ZeroDuration(), clock_.Now() - time); };
  const auto [found, is_new] = strays_.try_emplace(name);
  Machine& stray = found->second;
  MachineRecord& record = stray.record;
  absl::Time unbooked = *event.began;
  const absl::Time this_life = clock_.Now() - (now - began_) + kClocksDiffer;  // what began later did so in it
  if (is_new) {
    const std::string id = absl::StrCat(kStray, name, " ", absl::ToUnixSeconds(*event.began));
    const bool goes_on = ledger_.Time(id, now).has_value();
    const bool is_first_life = former_until_ == absl::InfinitePast();
    const bool is_young = is_first_life && clock_.Now() - *event.began < kBeyondBelief;
    stray.whole_run = goes_on || *event.began >= this_life || is_young;
    if (goes_on) unbooked = std::max(unbooked, former_until_);
    else if (!stray.whole_run) unbooked = clock_.Now();
    record = RecordOf(event, stray.whole_run ? id : absl::StrCat("a part of ", id));
    const auto known = std::find_if(machines_.begin(), machines_.end(), [&](const auto& machine) {
      return provider_.NameOf(SpecOf(machine.second)) == event.machine_id;
    });
    if (known != machines_.end()) {
      record.model = known->second.record.model;
      record.bought = absl::InfinitePast();  // its own record has the disk and the address
    }
    LOG(WARNING) << "nobody asked for " << event.machine_id << " (" << name << ") in " << event.offer->zone
                 << ", which costs " << event.offer->price_per_hour << " dollars an hour until it is ended";
  }
  if (record.offer->price_per_hour <= 0) record.offer = event.offer;
  record.NoteUpkeep(event.public_address, event.boot_gigabytes);
  if (is_new || !event.ended.has_value()) Account(stray);
  if (is_new) ledger_.Book(record.id, ItemOf(stray), Use::kLost, at(unbooked), at(event.ended.value_or(clock_.Now())));
  if (!event.ended.has_value()) return is_new ? Keep(MakeBook()) : void();
  record.bought = std::min(record.bought, *event.began);  // by now its cloud may say when it began
  EndUpkeep(record, *event.ended);
  BookUnheard(absl::StrCat(kStray, name, " "), record.id, ItemOf(stray), event, at(*event.ended), this_life,
              kBeyondBelief, ledger_);
  EndBilling(stray, event);
  LOG(INFO) << "the machine " << name << " that nobody asked for is over";
  strays_.erase(found);
  Keep(MakeBook());
}

// Of a machine that it has a record of the record has what that costs, from its order until it is told gone: one whose
// deletion did not happen is nobody's until it is restored.
void Controller::OnAsleep(const MachineEvent& event) {
  MachineRecord record = RecordOf(event, "");
  absl::Time until = *event.ended;
  const auto look_at = [&](const Machine& machine) {
    if (provider_.NameOf(SpecOf(machine)) != event.machine_id) return;
    record.model = machine.record.model;
    if (machine.record.bought > absl::InfinitePast()) until = std::min(until, machine.record.bought);
  };
  for (const auto& [id, machine] : machines_) look_at(machine);
  for (const auto& [name, volume] : volumes_) {
    if (volume.deleted.has_value()) look_at(*volume.deleted);
  }
  if (until <= *event.began) return;
  record.state = MachineState::kHibernated;
  record.since = *event.began;
  record.NoteUpkeep(event.public_address, event.boot_gigabytes);
  ledger_.BookStorage(UpkeepOf(record, until));
  Keep(MakeBook());
}

}  // namespace spotinference::fleet
