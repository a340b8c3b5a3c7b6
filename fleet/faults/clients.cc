#include "fleet/faults/clients.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kAnswer = absl::Seconds(20);     // mean
constexpr absl::Duration kSoon = absl::Milliseconds(1);   // on another thread
constexpr absl::Duration kSilence = absl::Seconds(5);     // then a session asks after its engine
constexpr double kLeaves = 0.1;                           // the share of clients without patience

}  // namespace

void Clients::Use(Fleet* fleet) {
  fleet_ = fleet;
  if (fleet == nullptr) {
    cut_off += static_cast<int64_t>(clients_.size());
    clients_.clear();
  }
}

void Clients::Come(const std::string& model) {
  if (fleet_ == nullptr) return;
  const int64_t id = ++last_id_;
  Client& client = clients_[id];
  client.model = model;
  client.came = sim_.now();
  client.left = sim_.Around(kAnswer);
  Ask(id);
}

void Clients::Later(int64_t id, absl::Duration delay, std::function<void(Client&)> what) {
  sim_.After(delay, [this, id, attempt = clients_.at(id).attempt, what = std::move(what)] {
    const auto found = clients_.find(id);
    if (found != clients_.end() && found->second.attempt == attempt) what(found->second);
  });
}

void Clients::Ask(int64_t id) {
  Client& client = clients_.at(id);
  const uint64_t attempt = client.attempt = ++last_attempt_;
  Claim claim{.bytes = 1, .cuts = client.cuts, .begun = client.begun};
  const bool resumes = claim.resumes();
  const Fleet::WaitId wait = fleet_->Acquire(client.model, claim, [this, id, attempt](AcquireResult result) {
    if (loses_answers) return;
    auto shared = std::make_shared<AcquireResult>(std::move(result));
    sim_.After(absl::ZeroDuration(), [this, id, attempt, shared] { OnAnswer(id, attempt, std::move(*shared)); });
  });
  client.wait = wait;
  Later(id, limits_.longest_wait + kSoon, [this, id](Client& late) {
    if (!late.lease.has_value())
      sim_.Break(absl::StrCat("request ", id, " of ", late.model, " has neither an engine nor an error after ",
                              absl::FormatDuration(limits_.longest_wait)));
  });
  if (!resumes && sim_.Chance(kLeaves)) {
    Later(id, sim_.Around(kAnswer), [this, id](Client& leaving) {
      if (leaving.lease.has_value()) return;
      fleet_->Cancel(leaving.wait);
      ++left;
      clients_.erase(id);
    });
  }
}

void Clients::OnAnswer(int64_t id, uint64_t attempt, AcquireResult result) {
  const auto found = clients_.find(id);
  if (found == clients_.end() || found->second.attempt != attempt) return;
  Client& client = found->second;
  if (client.lease.has_value()) return sim_.Break(absl::StrCat("request ", id, " was answered twice"));
  if (auto* const error = std::get_if<AcquireError>(&result)) {
    CheckError(client, *error);
    ++refused;
    clients_.erase(found);
    return;
  }
  Lease& lease = std::get<Lease>(result);
  if (hides_answers) client.lease.emplace(lease.endpoint(), lease.life(), lease.alone(), [](const Lease::Use&) {});
  else client.lease.emplace(std::move(lease));
  OnLease(id);
}

void Clients::OnLease(int64_t id) {
  Client& client = clients_.at(id);
  client.answering = sim_.now();
  if (!engines_.Serves(Engines::NumberOf(client.lease->endpoint().address))) return GoOnElsewhere(id);
  client.lease->life()->NoteServed();
  if (!std::exchange(client.begun, true)) client.lease->NoteWaited(sim_.now() - client.came);
  Later(id, client.left, [this, id](Client&) {
    ++served;
    clients_.erase(id);
  });
}

int Clients::AnswersOn(int64_t machine) const {
  int answers = 0;
  for (const auto& [id, client] : clients_) {
    answers += client.lease.has_value() && Engines::NumberOf(client.lease->endpoint().address) == machine;
  }
  return answers;
}

bool Clients::HasAnswerOn(const std::string& machine_id) const {
  return std::any_of(clients_.begin(), clients_.end(), [&](const auto& client) {
    return client.second.lease.has_value() && client.second.lease->endpoint().machine_id == machine_id;
  });
}

void Clients::OnBroken(int64_t machine, bool hangs) {
  for (const auto& [id, client] : clients_) {
    if (!client.lease.has_value() || Engines::NumberOf(client.lease->endpoint().address) != machine) continue;
    clients_.at(id).left = std::max(kSoon, client.left - (sim_.now() - client.answering));
    clients_.at(id).answering = sim_.now();
    clients_.at(id).attempt = ++last_attempt_;  // its answer does not end as it would have
    Later(id, hangs ? kSilence : kSoon, [this, id = id](Client&) { GoOnElsewhere(id); });
  }
}

void Clients::GoOnElsewhere(int64_t id) {
  Client& client = clients_.at(id);
  ++resumed;
  fleet_->ReportBroken(client.lease->endpoint().machine_id, "its answer broke");
  client.cuts.push_back({client.lease->life(), client.lease->alone()});
  client.lease.reset();
  Ask(id);
}

// A refusal needs a cause that has just been, or is.
void Clients::CheckError(const Client& client, const AcquireError& error) {
  using Reason = AcquireError::Reason;
  bool may_be = false;
  switch (error.reason) {
    case Reason::kQueueFull: {
      size_t waiting = 0;
      for (const auto& [id, other] : clients_) waiting += other.model == client.model && !other.lease.has_value();
      may_be = waiting > limits_.park_requests;
      break;
    }
    case Reason::kWakeTimeout:
    case Reason::kNoCapacity:
    case Reason::kBackOff:
      may_be = sim_.now() <= sim_.troubled_until() + limits_.longest_refusal ||
               std::any_of(limits_.causes.begin(), limits_.causes.end(),
                           [&](const std::string& cause) { return absl::StrContains(error.message, cause); });
      break;
    case Reason::kUnknownModel:
    case Reason::kShutdown:
    case Reason::kPoison: break;
  }
  if (!may_be) sim_.Break(absl::StrCat("a request was refused without a cause: ", error.message));
}

}  // namespace spotinference::fleet
