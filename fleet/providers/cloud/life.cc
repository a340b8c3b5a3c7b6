#include "fleet/providers/cloud/life.h"

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;
using Do = Next::Do;

// How long a call's effect on a volume is waited for before it is made again.
constexpr absl::Duration kVolumeCall = absl::Seconds(20);

bool Recent(const std::optional<absl::Duration>& at, absl::Duration limit, absl::Duration now) {
  return at.has_value() && now - *at < limit;
}

Next Fail(absl::Status status) { return {Do::kFail, std::move(status)}; }

// Nobody can be using a volume that such a machine still holds.
bool IsDead(const CloudMachine* holder) {
  return holder == nullptr || holder->state == State::kGone || holder->state == State::kFailed ||
         holder->state == State::kStopped;
}

Next FreeVolume(const LifeLimits& limits, const Life& life, const CloudMachine* holder, absl::Duration now) {
  if (holder == nullptr && Recent(life.create_at, limits.settle, now)) return {Do::kWait};  // our own, not listed yet
  return {!IsDead(holder) || Recent(life.detach_at, kVolumeCall, now) ? Do::kWait : Do::kDetach};
}

Next WithoutMachine(const LifeLimits& limits, const Life& life, absl::Duration now) {
  if (life.ran && life.missed < limits.missed) return {Do::kWait};
  if (life.ran) return Fail(absl::UnavailableError("the cloud has no such machine any more"));
  if (!life.create_broke && Recent(life.create_at, limits.settle, now)) return {Do::kWait};
  return {Do::kCreateMachine};
}

Next WithVolume(const CloudApi::Traits& traits, const LifeLimits& limits, const Life& life, const CloudMachine& machine,
                const CloudVolume* volume, const CloudMachine* holder, absl::Duration now) {
  if (volume == nullptr) return {Do::kWait};  // it was there before the machine was made
  if (volume->machine == machine.id && volume->attached) return {Do::kProbe};
  if (traits.attaches_at_creation && volume->machine == machine.id) return {Do::kWait};
  if (life.first_attach_at.has_value() && now - *life.first_attach_at >= limits.attach) {
    return Fail(absl::UnavailableError(
        absl::StrCat("its volume is not attached after ", absl::FormatDuration(limits.attach), ": ", volume->word)));
  }
  if (Recent(life.attach_at, kVolumeCall, now) || volume->machine == machine.id) return {Do::kWait};
  return volume->machine.empty() ? Next{Do::kAttach} : FreeVolume(limits, life, holder, now);
}

Next Run(const CloudApi::Traits& traits, const LifeLimits& limits, const Life& life, const CloudMachine* machine,
         const CloudVolume* volume, const CloudMachine* holder, absl::Duration now) {
  if (life.serves && !life.ran) return {Do::kWait};  // adopted as it was; the fleet says what becomes of it
  if (machine == nullptr || (machine->state == State::kGone && !life.ran)) {
    if (!life.ran && volume == nullptr) {
      return {Recent(life.volume_at, limits.settle, now) ? Do::kWait : Do::kCreateVolume};
    }
    if (!life.ran && !volume->ready) return {Do::kWait};
    if (!life.ran && traits.attaches_at_creation && !volume->machine.empty()) {
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
      if (!life.ran) return {Do::kWait};  // what is left of an earlier life; its name is free again then
      return Fail(absl::UnavailableError(absl::StrCat("the cloud took it away: ", machine->word)));
    case State::kFailed:
      return Fail(absl::UnavailableError(absl::StrCat("the cloud says ", machine->word)));
  }
  return {Do::kWait};
}

Next Delete(const LifeLimits& limits, const Life& life, const CloudMachine* machine, absl::Duration now) {
  if (machine == nullptr) {
    if (life.seen && life.missed < limits.missed) return {Do::kWait};
    // A create that broke may still turn out to have bought a machine.
    return {!life.seen && Recent(life.create_at, limits.settle, now) ? Do::kWait : Do::kTellGone};
  }
  if (machine->state == State::kGone) return {Do::kTellGone};
  if (machine->state == State::kDeleting && Recent(life.delete_at, limits.stop, now)) return {Do::kWait};
  return {Recent(life.delete_at, absl::Seconds(30), now) ? Do::kWait : Do::kDeleteMachine};
}

Next Stop(const LifeLimits& limits, const Life& life, const CloudMachine* machine, absl::Duration now) {
  if (machine == nullptr) return Delete(limits, life, machine, now);
  switch (machine->state) {
    case State::kStopped:
    case State::kGone:
      return {Do::kTellGone};
    case State::kStopping:
      if (life.stop_at.has_value() && now - *life.stop_at >= limits.stop) {
        return Fail(absl::OkStatus());  // what it was to be kept for is on the volume
      }
      return {Do::kWait};
    case State::kFailed:
      return Fail(absl::OkStatus());
    case State::kDeleting:
      return {Do::kWait};
    default:
      if (life.drained_at.has_value() && now < *life.drained_at) return {Do::kWait};
      return {Recent(life.stop_at, limits.settle, now) ? Do::kWait : Do::kStopMachine};
  }
}

Next Adopt(const LifeLimits& limits, const Life& life, const CloudMachine* machine, absl::Duration now) {
  if (machine != nullptr && machine->state != State::kGone && machine->state != State::kDeleting) {
    return {Do::kTellAdopted};
  }
  if (Recent(life.create_at, limits.settle, now)) return {Do::kWait};  // it may be too young to be listed
  return Fail(absl::UnavailableError("the cloud has no such machine"));
}

}  // namespace

Next Decide(const CloudApi::Traits& traits, const LifeLimits& limits, const Life& life, const CloudMachine* machine,
            const CloudVolume* volume, const CloudMachine* holder, absl::Duration now) {
  if (life.goal == Life::Goal::kDelete) {
    return life.drained_at.has_value() && now < *life.drained_at ? Next{Do::kWait} : Delete(limits, life, machine, now);
  }
  if (life.adopting) return Adopt(limits, life, machine, now);
  if (life.goal == Life::Goal::kStop) return Stop(limits, life, machine, now);
  return Run(traits, limits, life, machine, volume, holder, now);
}

}  // namespace spotinference::fleet
