// A machine's end, and what its cloud tells of the run that it ends.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/cloud_provider.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

constexpr absl::Duration kRunAgain = absl::Seconds(2);  // until a run is asked for again

}  // namespace

// As lists last had it. One of its name that is not it is another one.
CloudMachine CloudProvider::LastOf(const Machine& machine) const {
  const CloudMachine* const found = Find(machine);
  CloudMachine last = found != nullptr ? *found : machine.last;
  if (last.id != machine.life.machine_id && !machine.life.machine_id.empty()) last = {.id = machine.life.machine_id};
  const std::optional<Offer>& offer = machine.offer.has_value() ? machine.offer : machine.spec.offer;
  last.name = machine.name;
  if (last.zone.empty() && offer.has_value()) last.zone = offer->zone;
  return last;
}

bool CloudProvider::HearOfRun(Machine& machine) {
  const Life& life = machine.life;
  // What was accepted, or may have been, can have run while no list was to be had.
  const bool may_have_run =
      machine.adopted || machine.boots || life.ran || life.create_at.has_value() || life.may_start_at.has_value();
  if (life.discards || !may_have_run || machine.run.has_value()) return true;
  const CloudMachine last = LastOf(machine);
  mutex_.Unlock();
  const absl::StatusOr<CloudRun> run = api_->LatestRun(last);
  mutex_.Lock();
  const absl::Duration now = clock_.Elapsed();
  if (!machine.run_asked_at.has_value()) machine.run_asked_at = now;
  const absl::Time ended = run.ok() ? run->ended.value_or(absl::InfiniteFuture()) : absl::InfiniteFuture();
  const bool over_before = ended <= machine.asked_after;
  const bool of_earlier = life.ran && (over_before || ended <= machine.spec.billed_until);
  const bool may_come = absl::IsUnavailable(run.status()) || absl::IsDeadlineExceeded(run.status()) || of_earlier;
  machine.due = now;
  if (may_come && now - *machine.run_asked_at < kRunTold) machine.due += kRunAgain;
  else if (run.ok() && !of_earlier) machine.run = over_before ? CloudRun() : *run;
  else machine.run = of_earlier ? CloudRun() : last.run;
  machine.has_not_run = machine.run.has_value() && over_before && !life.ran && !machine.ran_before;
  return false;
}

void CloudProvider::End(Machine& machine, absl::Status status, bool kept) {
  const CloudMachine* const found = Find(machine);
  const CloudMachine last = LastOf(machine);
  CloudRun run = machine.run.value_or(last.run);
  if (machine.ran_before || run.began > machine.ran_by) run.began.reset();  // which is not when it first did
  if (run.began.has_value()) run.began = Untold(machine.name, *run.began);
  MachineEvent gone = {.machine_id = machine.spec.id,
                       .crashed = machine.crashed,
                       .began = run.began,
                       .ended = run.ended,
                       .reclaimed = run.reclaimed,
                       .status = std::move(status)};
  if (machine.life.ran) gone.handle = last.id;
  gone.public_address = machine.public_address || last.public_address;
  gone.boot_gigabytes = last.boot_gigabytes > 0 ? last.boot_gigabytes : machine.boot_gigabytes;
  gone.kept = kept || (found != nullptr && found->state == State::kStopped);
  const bool was_asked_for =
      machine.life.create_at.has_value() || machine.life.may_start_at.has_value() || machine.ran_before;
  gone.never_ran = machine.has_not_run || (!machine.adopted && !machine.boots && !was_asked_for);
  if (!gone.never_ran) NoteTold(machine.name, gone.ended.value_or(CloudTimeOf(clock_.Elapsed())));
  if (machine.life.discards && machine.volume_told && machine.life.volume.lists > 0) {
    gone.volume_ended = clock_.Now() - (clock_.Elapsed() - machine.life.volume.first);
  }
  if (machine.life.discards && machine.offer.has_value()) {  // one of its name would be another one
    volume_orders_.erase(absl::StrCat(machine.offer->zone, "/", machine.volume_name));
  }
  if (machine.life.ran && machine.offer.has_value()) {  // there is room again
    std::erase_if(bars_, [&](const Bar& bar) { return bar.offer.region == machine.offer->region; });
  }
  if (IsOverQuota(gone.status)) NoteBar(machine, gone.status);
  machines_.erase(gone.machine_id);  // the caller holds it still
  Tell(std::move(gone));
}

}  // namespace spotinference::fleet
