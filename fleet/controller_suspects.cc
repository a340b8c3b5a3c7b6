// Requests that may end engines. A request is blamed only for crashes: an engine that died, or whose loop stood still,
// while its machine lived. Those that shared two crashes run one at a time, each alone on a machine, and only one that
// crashes an engine there is refused; the others that shared its crashes are then cleared of them.
#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

constexpr int kSharedCrashes = 2;

bool IsCrash(MachineLife::End end) {
  return end == MachineLife::End::kCrashed || end == MachineLife::End::kStalled;
}

enum class Blame {
  kNone,
  kUnknown,  // an engine's end decides that is not understood yet
  kSuspect,  // has to run alone
  kGuilty,
};

Blame BlameOf(const Claim& claim) {
  int crashes = 0, doubts = 0;
  for (const Claim::Cut& cut : claim.cuts) {
    const bool crashed = IsCrash(cut.life->end());
    if (crashed && cut.alone) return Blame::kGuilty;
    crashes += crashed && !cut.life->explained();
    doubts += cut.life->doubted();
  }
  if (crashes + doubts < kSharedCrashes) return Blame::kNone;
  return doubts > 0 ? Blame::kUnknown : Blame::kSuspect;
}

}  // namespace

// Who comes does not overtake who waits for room.
Controller::Machine* Controller::FindFor(const Model& model, const Claim& claim) {
  if (BlameOf(claim) != Blame::kNone) return nullptr;  // GrantParked sees to it
  const ParkingQueue::Limits& park = model.spec.park;
  if (!claim.resumes() && (claim.bytes > park.bytes || park.requests == 0)) return FindAdmitting(model, IntoFull::kYes);
  if (model.held) return nullptr;
  const bool planned = clock_.Elapsed() - model.planned_at < kPlanHolds;
  return FindAdmitting(model, planned ? IntoFull::kIfNoneComes : IntoFull::kNo);
}

// False: there is none, or no machine for it.
bool Controller::GrantFirstParked(Model& model) {
  Machine* const machine = FindAdmitting(model, IntoFull::kYes);
  if (machine == nullptr) return false;
  for (const WaitId id : model.parked.ByTurns()) {
    const ParkingQueue::Waiter& waiter = model.parked.waiters().at(id);
    if (BlameOf(waiter.claim) != Blame::kNone) continue;
    Lease lease = Grant(*machine, waiter.claim.key, SoFar(waiter));
    EndWait(model, id, std::move(lease), /*refused=*/false);
    return true;
  }
  return false;
}

Buyer::Answer Controller::SoFar(const ParkingQueue::Waiter& waiter) const {
  const absl::Duration queued = clock_.Elapsed() - waiter.since;
  return {.queued = queued < kPlanHolds ? absl::ZeroDuration() : queued, .awake = waiter.awake};
}

// What can be had now, by turns of the keys; suspects only when it is their turn.
void Controller::GrantParked(Model& model, IntoFull into_full) {
  const ParkingQueue::Waiters& waiters = model.parked.waiters();
  for (const auto& [id, waiter] : waiters) {
    if (BlameOf(waiter.claim) != Blame::kGuilty) continue;
    for (const Claim::Cut& cut : waiter.claim.cuts) {
      if (IsCrash(cut.life->end())) cut.life->Explain();
    }
  }
  const bool suspects = std::any_of(waiters.begin(), waiters.end(), [](const auto& waiter) {
    return BlameOf(waiter.second.claim) == Blame::kSuspect;
  });
  for (auto& [id, machine] : machines_) {
    if (machine.reserved && !suspects && machine.record.model == model.spec.name) machine.reserved = false;
  }
  model.held = false;
  bool reserves = false;  // for one suspect at a time
  for (const WaitId waits : model.parked.ByTurns()) {
    const ParkingQueue::Waiter& waiter = waiters.at(waits);
    std::optional<AcquireResult> result;
    switch (BlameOf(waiter.claim)) {
      case Blame::kNone:
        if (model.held) break;
        if (Machine* const machine = FindAdmitting(model, into_full); machine != nullptr)
          result.emplace(Grant(*machine, waiter.claim.key, SoFar(waiter)));
        model.held = !result.has_value();
        break;
      case Blame::kUnknown: break;
      case Blame::kSuspect:
        if (std::exchange(reserves, true)) break;
        if (Machine* const machine = Reserve(model); machine != nullptr && machine->leases == 0) {
          LOG(WARNING) << "a request under which engines crashed runs alone on " << machine->record.id;
          machine->reserved = false;
          result.emplace(Grant(*machine, waiter.claim.key, SoFar(waiter), /*alone=*/true));
        }
        break;
      case Blame::kGuilty:
        LOG(ERROR) << "a request of " << model.spec.name << " crashes engines and is refused";
        result.emplace(AcquireError{AcquireError::Reason::kPoison,
                                    "every engine that worked on this request crashed or stood still, the last one "
                                    "while it worked on nothing else"});
        break;
    }
    if (result.has_value()) EndWait(model, waits, *std::move(result), /*refused=*/false);
  }
}

// The machine that one suspect will have alone, once the leases that it has are over; nobody else is sent there. Null
// while none serves, or another suspect runs.
Controller::Machine* Controller::Reserve(const Model& model) {
  Machine* best = nullptr;
  for (auto& [id, machine] : machines_) {
    if (machine.record.model != model.spec.name || machine.record.state != MachineState::kServing) continue;
    if (machine.alone) return nullptr;
    if (machine.suspect) continue;
    if (machine.reserved) return &machine;
    if (best == nullptr || machine.leases < best->leases) best = &machine;
  }
  if (best != nullptr) best->reserved = true;
  return best;
}

}  // namespace spotinference::fleet
