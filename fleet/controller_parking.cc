// Requests: one gets a machine at once, waits for one in the queue of its model, or is turned away.
//
// A key alone may fill the queue. When it is full and another key comes, the newest request of the key that holds most
// of it makes place: "longest queue drop", as a router's buffer is shared among flows (Suter, Lakshman, Stiliadis,
// Choudhury, Design Considerations for Supporting TCP with Per-flow Queueing, INFOCOM 1998). Machines are granted by
// turns of the keys (Nagle, On Packet Switches with Infinite Storage, RFC 970).
#include <glog/logging.h>

#include <algorithm>
#include <map>
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
  {
    absl::MutexLock lock(&mutex_);
    id = ++last_wait_id_;
    Model* const model = FindModel(model_name);
    if (shutdown_drain_limit_.has_value()) {
      result.emplace(AcquireError{Reason::kShutdown, "the server is stopping"});
    } else if (model == nullptr) {
      result.emplace(AcquireError{Reason::kUnknownModel,
                                  absl::StrCat("there is no model '", model_name, "'")});
    } else if (NoteArrival(*model, claim); Machine* const machine = FindFor(claim, model_name)) {
      result.emplace(Grant(*machine, claim.key));
    } else if (!claim.resumes() && !MakePlace(*model, claim)) {
      NoteAnswer(*model, {.refused = true, .awake = IsAwake(*model)});
      result.emplace(QueueFull(*model));
    } else {
      const absl::Duration longest = std::min(model->spec.wake_cap, model->spec.max_wait);
      const absl::Duration now = clock_.Elapsed();
      model->parked.emplace(id, Waiter{claim, now, IsAwake(*model), now + longest, std::move(done)});
      model->parked_bytes += claim.bytes;
    }
  }
  if (result.has_value()) {
    done(*std::move(result));
  } else {
    inbox_->Post([] {});
  }
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

// False: the queue is full, and no key holds more of it than this one would. Who resumes is turned away for nobody.
bool Controller::MakePlace(Model& model, const Claim& claim) {
  struct Share {
    size_t requests = 0, bytes = 0;
    std::vector<Parked::iterator> may_leave;  // the newest last
  };
  size_t requests = model.parked.size() + 1, bytes = model.parked_bytes + claim.bytes;
  const auto too_many = [&] { return requests > model.spec.park_requests; };
  const auto full = [&] { return too_many() || bytes > model.spec.park_bytes; };
  if (!full()) return true;
  std::map<absl::string_view, Share> shares;
  for (auto waiter = model.parked.begin(); waiter != model.parked.end(); ++waiter) {
    Share& share = shares[waiter->second.claim.key];
    ++share.requests;
    share.bytes += waiter->second.claim.bytes;
    if (!waiter->second.claim.resumes()) share.may_leave.push_back(waiter);
  }
  Share& own = shares[claim.key];
  ++own.requests;
  own.bytes += claim.bytes;
  std::vector<Parked::iterator> leave;
  while (full()) {
    const auto size = [&](const Share& share) { return too_many() ? share.requests : share.bytes; };
    Share* most = &own;
    for (auto& [key, share] : shares) {
      if (!share.may_leave.empty() && size(share) > size(*most)) most = &share;
    }
    if (most == &own) return false;
    const Parked::iterator newest = most->may_leave.back();
    most->may_leave.pop_back();
    leave.push_back(newest);
    --requests;
    --most->requests;
    bytes -= newest->second.claim.bytes;
    most->bytes -= newest->second.claim.bytes;
  }
  for (const Parked::iterator waiter : leave) EndWait(model, waiter, QueueFull(model), /*refused=*/true);
  return true;
}

// Returns the one after it.
Controller::Parked::iterator Controller::EndWait(Model& model, Parked::iterator waiter, AcquireResult result,
                                                 bool refused) {
  if (refused && !waiter->second.claim.begun)
    NoteAnswer(model, {.refused = true, .awake = waiter->second.awake});
  AnswerWith(waiter->first, std::move(waiter->second.done), std::move(result));
  model.parked_bytes -= waiter->second.claim.bytes;
  return model.parked.erase(waiter);
}

// The first of each key, then the second of each, and so on.
std::vector<Controller::Parked::iterator> Controller::ByTurns(Parked& parked) {
  std::map<absl::string_view, int> turns;
  std::vector<std::pair<int, Parked::iterator>> order;
  for (auto waiter = parked.begin(); waiter != parked.end(); ++waiter)
    order.emplace_back(turns[waiter->second.claim.key]++, waiter);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Parked::iterator> waiters;
  for (const auto& [turn, waiter] : order) waiters.push_back(waiter);
  return waiters;
}

void Controller::Cancel(WaitId id) {
  std::optional<Answer> answer;  // what is taken out is destroyed without the lock
  std::optional<Waiter> waiter;
  absl::MutexLock lock(&mutex_);
  if (const auto found = answers_.find(id); found != answers_.end()) {
    answer.emplace(std::move(found->second));
    answers_.erase(found);
    return;
  }
  for (auto& [name, model] : models_) {
    const auto found = model.parked.find(id);
    if (found == model.parked.end()) continue;
    const absl::Duration waited = clock_.Elapsed() - found->second.since;
    if (!found->second.claim.begun && waited > model.spec.target.wait) {
      NoteAnswer(model, {.queued = waited, .waited = waited, .awake = found->second.awake});
    }
    model.parked_bytes -= found->second.claim.bytes;
    waiter.emplace(std::move(found->second));
    model.parked.erase(found);
    NoteDemand(model);
    inbox_->Post([] {});
    return;
  }
}

void Controller::ExpireWaiters(Model& model) {
  const absl::Duration now = clock_.Elapsed();
  while (!model.parked.empty()) {
    // All of a model wait equally long at most, so the first is the first to expire.
    const auto first = model.parked.begin();
    if (first->second.deadline > now) {
      next_ = std::min(next_, first->second.deadline);
      return;
    }
    const absl::Duration longest = std::min(model.spec.wake_cap, model.spec.max_wait);
    EndWait(model, first,
            AcquireError{AcquireError::Reason::kWakeTimeout,
                         absl::StrCat(model.spec.name, " did not wake within ", absl::FormatDuration(longest))},
            /*refused=*/true);
    NoteDemand(model);
  }
}

void Controller::Refuse(Model& model, const AcquireError& error, bool also_who_resumes) {
  if (!model.parked.empty()) NoteDecision(model.spec.name, nullptr, "refused", error.message);
  for (auto waiter = model.parked.begin(); waiter != model.parked.end();) {
    if (waiter->second.claim.resumes() && !also_who_resumes) ++waiter;
    else waiter = EndWait(model, waiter, error, /*refused=*/true);
  }
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

void Controller::AnswerWith(WaitId id, absl::AnyInvocable<void(AcquireResult)> done,
                            AcquireResult result) {
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
