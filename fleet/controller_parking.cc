// Requests: one gets a machine at once, waits for one in the queue of its model, or is turned away.
#include <glog/logging.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fleet/controller.h"

namespace spotinference::fleet {

Fleet::WaitId Controller::Acquire(absl::string_view model_name, const Claim& claim,
                                  absl::AnyInvocable<void(AcquireResult)> done) {
  using Reason = AcquireError::Reason;
  std::optional<AcquireResult> result;
  WaitId id;
  bool follows;  // something, on the controller's thread
  {
    absl::MutexLock lock(&mutex_);
    id = ++last_wait_id_;
    Model* const model = FindModel(model_name);
    if (shutdown_drain_limit_.has_value()) {
      result.emplace(AcquireError{Reason::kShutdown, "the server is stopping"});
    } else if (model == nullptr) {
      result.emplace(AcquireError{Reason::kUnknownModel,
                                  absl::StrCat("there is no model '", model_name, "'")});
    } else if (NoteArrival(*model, claim); Machine* const machine = FindFor(*model, claim)) {
      result.emplace(Grant(*machine, claim.key));
    } else if (!claim.resumes() && !MakePlace(*model, claim)) {
      NoteAnswer(*model, {.refused = true, .awake = IsAwake(*model)});
      result.emplace(QueueFull(*model));
    } else {
      model->parked.Park(id, claim, IsAwake(*model), model->spec.park, clock_.Elapsed());
      model->callers.emplace(id, std::move(done));
    }
    follows = !result.has_value() || !effects_.empty();
  }
  if (follows) inbox_->Post([] {});
  if (result.has_value()) done(*std::move(result));
  return id;
}

bool Controller::IsAwake(const Model& model) const {
  const auto is_missed = [&](const std::optional<Interruption>& lost) {
    return lost.has_value() && clock_.Elapsed() - lost->began <= model.spec.wake_cap;
  };
  return is_missed(model.unreplaced) || std::any_of(machines_.begin(), machines_.end(), [&](const auto& row) {
           const Machine& machine = row.second;
           return machine.record.model == model.spec.name &&
                  (IsAnswering(machine.record.state) || is_missed(machine.replaces));
         });
}

AcquireError Controller::QueueFull(const Model& model) const {
  return {AcquireError::Reason::kQueueFull,
          absl::StrCat(model.parked.size(), " requests already wait for ", model.spec.name, " to wake"),
          ExpectedWake(model)};
}

// False: the queue is full. Nobody is turned away for that while a machine serves: who is first goes into its engine. Who
// resumes is turned away for nobody.
bool Controller::MakePlace(Model& model, const Claim& claim) {
  std::optional<std::vector<WaitId>> leave;
  do {
    leave = model.parked.WhoMakesPlace(claim, model.spec.park);
  } while ((!leave.has_value() || !leave->empty()) && GrantFirstParked(model));
  if (!leave.has_value()) return false;
  for (const WaitId id : *leave) EndWait(model, id, QueueFull(model), /*refused=*/true);
  return true;
}

void Controller::EndWait(Model& model, WaitId id, AcquireResult result, bool refused) {
  const auto waiter = model.parked.Remove(id);
  if (refused && !waiter->claim.begun) NoteAnswer(model, {.refused = true, .awake = waiter->awake});
  AnswerWith(id, std::move(model.callers.extract(id).mapped()), std::move(result));
}

void Controller::Cancel(WaitId id) {
  std::optional<Answer> answer;  // what is taken out is destroyed without the lock
  Done caller;
  absl::MutexLock lock(&mutex_);
  if (const auto found = answers_.find(id); found != answers_.end()) {
    answer.emplace(std::move(found->second));
    answers_.erase(found);
    return;
  }
  for (auto& [name, model] : models_) {
    const auto waiter = model.parked.Remove(id);
    if (!waiter.has_value()) continue;
    const absl::Duration waited = clock_.Elapsed() - waiter->since;
    if (!waiter->claim.begun && waited > model.spec.target.wait) {
      NoteAnswer(model, {.queued = waited, .waited = waited, .awake = waiter->awake});
    }
    caller = std::move(model.callers.extract(id).mapped());
    NoteDemand(model);
    inbox_->Post([] {});
    return;
  }
}

void Controller::ExpireWaiters(Model& model) {
  for (const WaitId id : model.parked.Expired(clock_.Elapsed())) {
    EndWait(model, id,
            AcquireError{AcquireError::Reason::kWakeTimeout,
                         absl::StrCat(model.spec.name,
                                      FindServing(model.spec.name) != nullptr ? " had no room" : " did not wake",
                                      " within ", absl::FormatDuration(model.spec.park.longest))},
            /*refused=*/true);
    NoteDemand(model);
  }
  next_ = std::min(next_, model.parked.next_deadline());
}

void Controller::Refuse(Model& model, const AcquireError& error, bool also_who_resumes) {
  if (!model.parked.empty()) NoteDecision(model.spec.name, nullptr, "refused", error.message);
  for (const WaitId id : model.parked.ToRefuse(also_who_resumes)) EndWait(model, id, error, /*refused=*/true);
  NoteDemand(model);
}

void Controller::NoteAnswer(const Model& model, const Buyer::Answer& answer) {
  buyer_.Answered(model.spec.name, WishOf(model), answer, clock_.Elapsed());
}

// Whose client left before its time was up has not waited too long.
void Controller::NoteUse(const std::string& name, Buyer::Answer answer, const Lease::Use& use) {
  const Model* const model = FindModel(name);
  if (model == nullptr || !use.waited.has_value()) return;
  if (use.tokens == 0 && *use.waited <= model->spec.target.wait) return;
  answer.waited = *use.waited;
  NoteAnswer(*model, answer);
}

void Controller::NoteArrival(Model& model, const Claim& claim) {
  if (!claim.resumes()) buyer_.Arrived(model.spec.name, WishOf(model), clock_.Elapsed());
  if (claim.resumes() || !model.parked.empty() || Leases(model.spec.name) > 0) return;
  if (!std::exchange(model.asked, true)) return;  // how long a former life of the fleet is ago, nobody knows
  model.idle.AddGap(clock_.Elapsed() - model.idle_since);
  Keep({.gaps = {{model.spec.name, model.idle.gaps()}}});
  inbox_->Post([] {});
}

void Controller::NoteDemand(Model& model) {
  if (model.parked.empty() && Leases(model.spec.name) == 0) model.idle_since = clock_.Elapsed();
}

void Controller::AnswerWith(WaitId id, Done done, AcquireResult result) {
  answers_.emplace(id, Answer{std::move(done), std::move(result)});
  effects_.push_back([this, id] { Deliver(id); });
}

void Controller::Deliver(WaitId id) {
  std::optional<Answer> answer;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = answers_.find(id);
    if (found == answers_.end()) return;  // cancelled
    answer.emplace(std::move(found->second));
    answers_.erase(found);
  }
  answer->done(std::move(answer->result));
}

}  // namespace spotinference::fleet
