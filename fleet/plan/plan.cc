#include "fleet/plan/plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

// A failed start counts two strikes and a crash one, so that a model that can serve gets more
// chances.
constexpr int kStrikesToBackOff = 4;
constexpr absl::Duration kFirstBackOff = absl::Seconds(5);
constexpr absl::Duration kFirstPauseBeside = absl::Seconds(1);
constexpr absl::Duration kLongestBackOff = absl::Minutes(10);
constexpr int kLongestShare = 6;  // of what the failure took
constexpr absl::Duration kCapacityRetry = absl::Seconds(5);
constexpr absl::Duration kSound = absl::Seconds(10);

// One planning pass over one model.
class Pass {
 public:
  Pass(const Desired& desired, const Demand& demand, const std::vector<Observation>& machines,
       const Wake& wake, absl::Duration now)
      : desired_(desired), demand_(demand), machines_(machines), now_(now) {
    plan_.wake = wake;
    bool in_use = demand.waiting > 0;
    for (const Observation& machine : machines) {
      serving_ += machine.state == MachineState::kServing;
      if (machine.state == MachineState::kServing || machine.taken_at.has_value())
        in_use |= machine.leases > 0;
      coming_ += IsWaking(machine.state);
      occupied_ += machine.state != MachineState::kHibernated && !machine.taken_at.has_value();
    }
    want_ = std::min(desired.max_machines, std::max(desired.min_machines, in_use ? 1 : 0));
  }

  Plan Run() && {
    FinishDrains();
    DrainIdle();
    PlanWake();
    return std::move(plan_);
  }

 private:
  void Do(Action::Kind kind, const Observation& machine, std::string why) {
    plan_.actions.push_back({kind, machine.id, std::move(why)});
  }

  void Refuse(Refusal refusal, std::string why) {
    if (demand_.waiting > demand_.resuming)
      plan_.actions.push_back({Action::Kind::kRefuse, "", std::move(why), refusal});
  }

  // True when `at` has come; else it is one of the times to ask again.
  bool Due(absl::Duration at) {
    if (now_ >= at) return true;
    plan_.next = std::min(plan_.next, at);
    return false;
  }

  void FinishDrains() {
    for (const Observation& machine : machines_) {
      if (machine.state == MachineState::kLost) Do(Action::Kind::kTerminate, machine, "lost");
      if (machine.state != MachineState::kDraining) continue;
      if (machine.taken_at.has_value() && desired_.max_machines > 0) {
        // Without leases it still has KV to save.
        if (Due(*machine.taken_at)) Do(Action::Kind::kTerminate, machine, "its notice has run out");
      } else if (machine.leases == 0 || Due(std::max(machine.since, desired_.unwanted_since) + desired_.drain_limit)) {
        Do(Action::Kind::kStop, machine,
           machine.leases == 0 ? "drained" : "its drain took too long");
      }
    }
  }

  void DrainIdle() {
    for (const Observation& machine : machines_) {
      if (machine.state != MachineState::kServing || serving_ <= want_) continue;
      if (serving_ > desired_.max_machines) {
        Do(Action::Kind::kDrain, machine, "no longer wanted");
      } else if (machine.leases == 0 &&
                 Due(std::max(machine.since, machine.idle_since) + desired_.idle_timeout)) {
        Do(Action::Kind::kDrain, machine,
           absl::StrCat("idle for ", absl::FormatDuration(desired_.idle_timeout)));
      } else {
        continue;
      }
      --serving_;
    }
  }

  void StopComing(const std::string& why) {
    for (const Observation& machine : machines_) {
      if (IsWaking(machine.state)) Do(Action::Kind::kStop, machine, why);
    }
    plan_.wake.began.reset();
  }

  // True when the wake is over, in vain.
  bool Capped() {
    Wake& wake = plan_.wake;
    if (!Due(*wake.began + desired_.wake_cap)) return false;
    std::string capped = absl::StrCat("the wake passed its cap of ", absl::FormatDuration(desired_.wake_cap));
    StopComing(capped);
    Refuse(Refusal::kWakeTimeout, wake.cause.empty() || wake.cause == capped
                                      ? capped
                                      : absl::StrCat(capped, "; last failure: ", wake.cause));
    RecordFailure(Failure::kCapped, std::move(capped), desired_.wake_cap, now_, wake);
    if (want_ > 0 && plan_.actions.empty()) plan_.next = now_;  // nothing else brings the next wake
    return true;
  }

  // A start that began beside a machine that served is no part of a wake; one that never ends would bill for ever.
  void StopHanging() {
    bool any = false;
    for (const Observation& machine : machines_) {
      if (!IsWaking(machine.state) || !Due(machine.asked_for.value_or(machine.since) + desired_.wake_cap)) continue;
      any = true;
      Do(Action::Kind::kStop, machine, absl::StrCat("its start takes over ", absl::FormatDuration(desired_.wake_cap)));
    }
    if (any) RecordFailureBeside(desired_.wake_cap, now_, plan_.wake);
  }

  void PlanWake() {
    Wake& wake = plan_.wake;
    if (coming_ == 0) {
      if (serving_ >= want_) {
        wake.began.reset();
        return;
      }
      if (!Due(wake.blocked_until)) {
        wake.began.reset();
        Refuse(wake.blocked_by, wake.cause);
        return;
      }
    }
    if (serving_ > 0) {
      wake.began.reset();
    } else {
      if (!wake.began.has_value()) wake.began = now_;
      if (Capped()) return;
    }
    StopHanging();
    if (coming_ > 0 && serving_ + coming_ > desired_.max_machines) {
      StopComing("no longer wanted");
      return;
    }
    if (coming_ > 0 && serving_ + coming_ > want_ &&
        Due(std::max(demand_.idle_since, wake.began.value_or(-absl::InfiniteDuration())) + desired_.linger)) {
      StopComing("nobody waits for it any more");
      return;
    }
    if (serving_ + coming_ == 0 || Due(wake.none_beside_until)) Start(want_ - serving_ - coming_);
  }

  void Start(int count) {
    count = std::min(count, desired_.max_machines - occupied_);
    for (const Observation& machine : machines_) {
      if (count <= 0) return;
      if (machine.state != MachineState::kHibernated) continue;
      Do(Action::Kind::kRestore, machine, "wanted");
      --count;
    }
    for (; count > 0; --count) plan_.actions.push_back({Action::Kind::kLaunch, "", "wanted"});
  }

  const Desired& desired_;
  const Demand& demand_;
  const std::vector<Observation>& machines_;
  const absl::Duration now_;
  int serving_ = 0;
  int coming_ = 0;
  int occupied_ = 0;
  int want_ = 0;
  Plan plan_;
};

}  // namespace

absl::Duration LongestBackOff(absl::Duration took) { return std::max(kLongestBackOff, kLongestShare * took); }

void RecordFailure(Failure failure, std::string cause, absl::Duration took, absl::Duration now,
                   Wake& wake) {
  wake.cause = std::move(cause);
  if (failure == Failure::kNoCapacity) {
    wake.blocked_until = now + kCapacityRetry;
    wake.blocked_by = Refusal::kNoCapacity;
    return;
  }
  wake.strikes += failure == Failure::kCrash ? 1 : 2;
  if (failure == Failure::kPermanent) wake.strikes = std::max(wake.strikes, kStrikesToBackOff);
  if (wake.strikes < kStrikesToBackOff || failure == Failure::kStartThere) return;
  const int doublings = std::min((wake.strikes - kStrikesToBackOff) / 2, 16);
  wake.blocked_until = now + std::min(std::max(kFirstBackOff, took) * (1 << doublings), LongestBackOff(took));
  wake.blocked_by = Refusal::kBackOff;
}

void RecordFailureBeside(absl::Duration took, absl::Duration now, Wake& wake) {
  const int doublings = std::min(wake.failures_beside++, 16);
  wake.none_beside_until = now + std::min(std::max(kFirstPauseBeside, took) * (1 << doublings), LongestBackOff(took));
}

void RecordStarted(Wake& wake) {
  wake.failures_beside = 0;
  wake.none_beside_until = -absl::InfiniteDuration();
}

void RecordServed(absl::Duration served, Wake& wake) {
  if (served < kSound) return;
  wake.strikes = 0;
  wake.cause.clear();
}

void RecordCrash(absl::Duration served, std::string cause, absl::Duration now, Wake& wake) {
  RecordServed(served, wake);
  if (served < kSound) RecordFailure(Failure::kCrash, std::move(cause), served, now, wake);
}

Plan PlanModel(const Desired& desired, const Demand& demand,
               const std::vector<Observation>& machines, const Wake& wake, absl::Duration now) {
  return Pass(desired, demand, machines, wake, now).Run();
}

}  // namespace spotinference::fleet
