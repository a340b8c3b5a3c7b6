#include "fleet/providers/cloud/life.h"

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;
using Do = Next::Do;

// How long a call's effect is waited for before it is made again.
constexpr absl::Duration kVolumeCall = absl::Seconds(20);
constexpr absl::Duration kDeleteCall = absl::Seconds(30);

bool Recent(const std::optional<absl::Duration>& at, absl::Duration limit, absl::Duration now) {
  return at.has_value() && now - *at < limit;
}

Next Fail(absl::Status status) { return {Do::kFail, std::move(status)}; }

// Nobody can be using a volume that such a machine still holds.
bool IsDead(const LifeLimits& limits, const Life& life, const CloudMachine* holder) {
  if (holder == nullptr) return IsGone(limits, life.holder);
  return holder->state == State::kGone || holder->state == State::kFailed || holder->state == State::kStopped;
}

Next FreeVolume(const LifeLimits& limits, const Life& life, const CloudMachine* holder, absl::Duration now) {
  return {!IsDead(limits, life, holder) || Recent(life.detach_at, kVolumeCall, now) ? Do::kWait : Do::kDetach};
}

Next WithoutMachine(const LifeLimits& limits, const Life& life, absl::Duration now) {
  if (life.ran && !IsGone(limits, life.absence)) return {Do::kWait};
  if (life.ran) return Fail(absl::UnavailableError("the cloud has no such machine any more"));
  if (life.kept && !life.create_at.has_value() && !IsGone(limits, life.absence)) return {Do::kWait};
  if (!life.create_broke && Recent(life.create_at, limits.settle, now)) return {Do::kWait};
  if (Recent(life.remains_at, limits.settle, now)) return {Do::kWait};  // its name is taken until that is deleted
  return {Do::kCreateMachine};
}

Next WithVolume(const CloudApi::Traits& traits, const LifeLimits& limits, const Life& life, const CloudMachine& machine,
                const CloudVolume* volume, const CloudMachine* holder, absl::Duration now) {
  if (volume == nullptr) return {Do::kWait};  // it was there before the machine was made
  if (volume->machine == machine.id && volume->attached) return {Do::kProbe};
  if (life.first_attach_at.has_value() && now - *life.first_attach_at >= limits.attach) {
    return Fail(absl::UnavailableError(
        absl::StrCat("its volume is not attached after ", absl::FormatDuration(limits.attach), ": ", volume->word)));
  }
  if (traits.attaches_at_creation && volume->machine == machine.id) return {Do::kWait};
  if (Recent(life.attach_at, kVolumeCall, now) || volume->machine == machine.id) return {Do::kWait};
  return volume->machine.empty() ? Next{Do::kAttach} : FreeVolume(limits, life, holder, now);
}

Next Run(const CloudApi::Traits& traits, const LifeLimits& limits, const Life& life, const CloudMachine* machine,
         const CloudVolume* volume, const CloudMachine* holder, absl::Duration now) {
  if (life.serves && !life.ran) return {Do::kWait};  // adopted as it was; the fleet says what becomes of it
  const bool of_this_life = life.create_at.has_value() && machine != nullptr && machine->id == life.machine_id;
  if (machine == nullptr || (machine->state == State::kGone && !life.ran && !of_this_life)) {
    if (!life.ran && volume == nullptr) {
      return {Recent(life.volume_at, limits.settle, now) ? Do::kWait : Do::kCreateVolume};
    }
    if (!life.ran && !volume->ready) {
      // It may be on its way to a machine that is dead by now, for ever.
      const bool is_held = !traits.attaches_at_creation && !volume->machine.empty();
      return is_held ? FreeVolume(limits, life, holder, now) : Next{Do::kWait};
    }
    if (!life.ran && traits.attaches_at_creation && !volume->machine.empty()) {
      // It was free when the machine was asked for: that one has it, and is not listed yet.
      if (holder == nullptr && life.create_at.has_value()) return {Do::kWait};
      return FreeVolume(limits, life, holder, now);
    }
    return WithoutMachine(limits, life, now);
  }
  switch (machine->state) {
    case State::kRunning:
      return life.serves ? Next{Do::kWait} : WithVolume(traits, limits, life, *machine, volume, holder, now);
    case State::kStarting:
    case State::kUnknown:
      return {Do::kWait};
    case State::kStopped:
      if (life.ran) return Fail(absl::UnavailableError(absl::StrCat("the cloud stopped it: ", machine->word)));
      return {Recent(life.start_at, limits.settle, now) ? Do::kWait : Do::kStartMachine};
    case State::kStopping:
      if (life.ran) return Fail(absl::UnavailableError(absl::StrCat("the cloud stops it: ", machine->word)));
      return {Do::kWait};
    case State::kDeleting:
    case State::kGone:
      if (!life.ran && !of_this_life) return {Do::kWait};  // what is left of an earlier life: then its name is free
      return Fail(absl::UnavailableError(absl::StrCat("the cloud took it away: ", machine->word)));
    case State::kFailed:
      if (!life.ran && !life.create_at.has_value()) {  // of an earlier life, or of a create that was refused
        return {Recent(life.delete_at, kDeleteCall, now) ? Do::kWait : Do::kDeleteMachine};
      }
      return Fail(absl::UnavailableError(absl::StrCat("the cloud says ", machine->word)));
  }
  return {Do::kWait};
}

// Once its deletion is accepted, or it is told not to be there, lists need only agree, and with them its volume.
Next Delete(const LifeLimits& limits, const Life& life, const CloudMachine* machine, const CloudVolume* volume,
            absl::Duration now) {
  const Next gone = {Do::kTellGone, life.status};
  if (machine == nullptr) {
    if (life.delete_at.has_value()) {
      if (life.absence.lists < limits.absent_lists) return {Do::kWait};
      const bool has_volume = volume != nullptr && volume->machine == life.machine_id && !life.machine_id.empty();
      if (!has_volume || life.not_there || IsGone(limits, life.holder)) return gone;
      return {Recent(life.delete_at, kDeleteCall, now) ? Do::kWait : Do::kDeleteMachine};
    }
    if (life.seen) return {Do::kDeleteMachine};
    if (life.discards && !IsGone(limits, life.absence)) return {Do::kWait};
    if (!life.machine_id.empty() && !IsGone(limits, life.absence)) return {Do::kWait};
    if (!life.machine_id.empty()) return life.create_at.has_value() ? Next{Do::kDeleteMachine} : gone;
    // A create that broke may still turn out to have bought a machine.
    const absl::Duration heard = life.heard_at.value_or(now);  // an answer that was long under way tells of then
    const bool may_come = Recent(life.create_at, limits.settle, heard) || Recent(life.remains_at, limits.settle, heard);
    return may_come ? Next{Do::kWait} : gone;
  }
  if (machine->state == State::kGone) return gone;
  if (machine->state == State::kDeleting && Recent(life.delete_at, limits.stop, now)) return {Do::kWait};
  return {Recent(life.delete_at, kDeleteCall, now) ? Do::kWait : Do::kDeleteMachine};
}

// After its machine.
Next DeleteVolume(const LifeLimits& limits, const Life& life, const CloudVolume* volume, const CloudMachine* holder,
                  absl::Duration now) {
  if (volume == nullptr) {
    const bool gone = life.volume_delete_at.has_value() ? life.volume.lists >= limits.absent_lists
                                                        : IsGone(limits, life.volume);
    return gone ? Next{Do::kTellGone, life.status} : Next{Do::kWait};
  }
  if (!Recent(life.stop_since, limits.stop, now)) {
    return {Do::kTellGone, absl::FailedPreconditionError(absl::StrCat(
                               "its volume cannot be deleted: it is ", volume->word,
                               volume->machine.empty() ? "" : absl::StrCat(" and ", volume->machine, " has it")))};
  }
  if (!volume->machine.empty()) return FreeVolume(limits, life, holder, now);
  return {!volume->ready || Recent(life.volume_delete_at, kDeleteCall, now) ? Do::kWait : Do::kDeleteVolume};
}

Next Stop(const LifeLimits& limits, const Life& life, const CloudMachine* machine, const CloudVolume* volume,
          absl::Duration now) {
  if (machine == nullptr && life.seen) return IsGone(limits, life.absence) ? Fail(absl::OkStatus()) : Next{Do::kWait};
  if (machine == nullptr) return Delete(limits, life, machine, volume, now);
  // One that was told to start may look stopped for a while.
  if (machine->state == State::kStopped && Recent(life.may_start_at, limits.settle, now)) return {Do::kWait};
  if (machine->state == State::kStopped || machine->state == State::kGone) return {Do::kTellGone, life.status};
  // It may bill for as long as it has not stopped; what it was to be kept for is on the volume.
  const absl::Duration limit = life.serves ? limits.stop : limits.stop_unserved;
  const bool overdue = life.stop_since.has_value() && now - *life.stop_since >= limit;
  if (overdue || machine->state == State::kFailed) return Fail(absl::OkStatus());
  if (machine->state == State::kStopping || machine->state == State::kDeleting) return {Do::kWait};
  if (life.drained_at.has_value() && now < *life.drained_at) return {Do::kWait};
  return {Recent(life.stop_at, limits.settle, now) ? Do::kWait : Do::kStopMachine};
}

Next Adopt(const LifeLimits& limits, const Life& life, const CloudMachine* machine, absl::Duration now) {
  if (machine != nullptr && machine->state != State::kGone && machine->state != State::kDeleting) {
    return {Do::kTellAdopted};
  }
  if (machine == nullptr && !IsGone(limits, life.absence)) return {Do::kWait};  // lists may lag behind
  return Fail(absl::UnavailableError("the cloud has no such machine"));
}

}  // namespace

void Absence::Note(bool listed, absl::Duration at) {
  lists = listed ? 0 : lists + 1;
  if (lists == 1) first = at;
  last = at;
}

bool IsGone(const LifeLimits& limits, const Absence& absence) {
  return absence.lists >= limits.absent_lists && absence.last - absence.first >= limits.absent;
}

Next Decide(const CloudApi::Traits& traits, const LifeLimits& limits, const Life& life, const CloudMachine* machine,
            const CloudVolume* volume, const CloudMachine* holder, absl::Duration now) {
  if (life.goal == Life::Goal::kDelete) {
    if (life.drained_at.has_value() && now < *life.drained_at) return {Do::kWait};
    Next next = Delete(limits, life, machine, volume, now);
    const bool goes_on = next.what == Do::kTellGone && life.discards;
    return goes_on ? DeleteVolume(limits, life, volume, holder, now) : next;
  }
  if (life.adopting) return Adopt(limits, life, machine, now);
  if (life.goal == Life::Goal::kStop) return Stop(limits, life, machine, volume, now);
  return Run(traits, limits, life, machine, volume, holder, now);
}

}  // namespace spotinference::fleet
