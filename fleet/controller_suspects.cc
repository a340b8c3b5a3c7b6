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

// Nobody is turned away by a full queue while a machine serves.
Controller::Machine* Controller::FindFor(const Model& model, const Claim& claim) {
  if (BlameOf(claim) != Blame::kNone) return nullptr;  // GrantParked sees to it
  Machine* const machine = FindAdmitting(model.spec.name, /*planned=*/false);
  if (machine != nullptr || claim.resumes()) return machine;
  const auto leave = model.parked.WhoMakesPlace(claim, model.spec.park);
  return leave.has_value() && leave->empty() ? nullptr : FindServing(model.spec.name);
}

// What can be had now, by turns of the keys; suspects only when it is their turn.
void Controller::GrantParked(Model& model, bool planned) {
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
    if (!suspects && machine.record.model == model.spec.name) machine.reserved = false;
  }
  const auto so_far = [this](const ParkingQueue::Waiter& waiter) {
    return Buyer::Answer{.queued = clock_.Elapsed() - waiter.since, .awake = waiter.awake};
  };
  bool reserves = false;  // for one suspect at a time
  for (const WaitId waits : model.parked.ByTurns()) {
    const ParkingQueue::Waiter& waiter = waiters.at(waits);
    std::optional<AcquireResult> result;
    switch (BlameOf(waiter.claim)) {
      case Blame::kNone:
        if (Machine* const machine = FindAdmitting(model.spec.name, planned); machine != nullptr)
          result.emplace(Grant(*machine, waiter.claim.key, so_far(waiter)));
        break;
      case Blame::kUnknown: break;
      case Blame::kSuspect:
        if (std::exchange(reserves, true)) break;
        if (Machine* const machine = Reserve(model); machine != nullptr && machine->leases == 0) {
          LOG(WARNING) << "a request under which engines crashed runs alone on " << machine->record.id;
          machine->reserved = false;
          result.emplace(Grant(*machine, waiter.claim.key, so_far(waiter), /*alone=*/true));
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
