// What happened to machines: events of the provider, answers of the probe, ends of leases.
#include <glog/logging.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/api/status.h"
#include "fleet/controller.h"
#include "fleet/ledger/billing.h"

namespace spotinference::fleet {
namespace {

using State = MachineState;

constexpr absl::Duration kAdoptionDeadline = absl::Seconds(2);
constexpr absl::Duration kFindAgain = absl::Seconds(30);  // a few lists of a slow cloud, and the engine's answer
constexpr absl::Duration kAskAgain = absl::Seconds(1);
constexpr double kNewestWakeShare = 0.3;  // of the running mean of wake times

Failure FailureOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted: return Failure::kNoCapacity;
    case absl::StatusCode::kFailedPrecondition: return Failure::kPermanent;
    default: return Failure::kStart;
  }
}

bool MayAnswerYet(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// Where a cloud charges for its sleep: since the end of its run, if it is news that this is over, and what was not started
// has slept on since that was ordered.
absl::Time AsleepSince(const MachineRecord& record, bool not_started, absl::Time ordered, absl::Time billed_before) {
  if (!BillingRulesOf(record.provider).boot_disk_asleep) return record.since;
  if (not_started) return ordered;
  return record.billed_until > billed_before ? std::min(record.since, record.billed_until) : record.since;
}

}  // namespace

void Controller::Restore(const Store::Contents& contents) {
  next_serial_ = contents.next_serial;
  RecallMarket(contents.market);
  decisions_.Recall(contents.decisions);
  for (auto& [name, model] : models_) {
    if (const auto fill = contents.fills.find(name); fill != contents.fills.end()) model.measured_fill = fill->second;
    if (const auto wake = contents.wakes.find(name); wake != contents.wakes.end())
      model.measured_wake = wake->second;
    if (const auto gaps = contents.gaps.find(name); gaps != contents.gaps.end())
      model.idle = IdleTimeout(gaps->second);
    if (const auto wake = contents.wake_records.find(name); wake != contents.wake_records.end())
      RecallWake(wake->second, model);
  }
  std::set<absl::string_view> serving;
  for (const MachineRecord& record : contents.machines) {
    if (record.state == State::kServing) serving.insert(record.model);
  }
  for (const MachineRecord& record : contents.machines) machines_[record.id].record = record;
  RecallBook(contents);
  for (const MachineRecord& record : contents.machines) {
    Machine& machine = machines_[record.id];
    machine.since = machine.asked_for = machine.idle_since = clock_.Elapsed();
    if (record.state == State::kHibernated) {
      machine.since -= std::max(absl::ZeroDuration(), clock_.Now() - record.since);
      continue;
    }
    machine.restored = record.state == State::kRestoring;
    Model* const model = FindModel(record.model);
    if (model != nullptr && IsWaking(record.state) && serving.count(record.model) == 0)
      ResumeWake(record.since, *model);  // of which perhaps no more is known
    machine.adopting =
        model != nullptr && (IsWaking(record.state) || record.state == State::kServing);
    const bool stops = record.state == State::kDraining || record.state == State::kHibernating;
    SetState(machine,
             machine.adopting ? State::kBooting
             : stops          ? State::kHibernating
                              : State::kTerminating,
             "left by a former life of the fleet");
    effects_.push_back([this, spec = SpecOf(machine), record] {
      provider_.Adopt(spec, record.handle, record.address);
    });
  }
  RecallVolumes(contents);
}

// A wall clock that was set meanwhile makes nothing last longer than it could have at first.
void Controller::RecallWake(const WakeRecord& record, Model& model) {
  const absl::Duration now = clock_.Elapsed();
  const auto recalled = [&](absl::Time until, absl::Duration longest) {
    const absl::Duration left = until - clock_.Now();
    return left > absl::ZeroDuration() ? now + std::min(left, longest) : -absl::InfiniteDuration();
  };
  model.ordered_until = recalled(record.ordered_until, model.spec.wake_cap);
  model.wake.strikes = record.strikes;
  model.wake.blocked_until = recalled(record.blocked_until, LongestBackOff(model.spec.wake_cap));
  model.wake.blocked_by = record.blocked_by;
  model.wake.cause = record.cause;
  if (record.began > absl::InfinitePast()) ResumeWake(record.began, model);
  model.wake.failures_beside = record.failures_beside;
  model.wake.none_beside_until = recalled(record.none_beside_until, LongestBackOff(model.spec.wake_cap));
  model.remembered = model.ToRemember();
}

// A wake that a former life began keeps its cap, but for the time that finding its machine again takes.
void Controller::ResumeWake(absl::Time began, Model& model) {
  const absl::Duration now = clock_.Elapsed();
  const absl::Duration longest = std::max(absl::ZeroDuration(), model.spec.wake_cap - kFindAgain);
  const absl::Duration began_at = now - std::clamp(clock_.Now() - began, absl::ZeroDuration(), longest);
  model.wake.began = std::min(model.wake.began.value_or(began_at), began_at);
}

void Controller::OnEvent(MachineEvent event) {
  if (event.kind == MachineEvent::Kind::kOffers && !event.status.ok()) {
    offers_refused_ = std::string(event.status.message());
    return;
  }
  if (event.kind == MachineEvent::Kind::kOffers) return OnOffers(std::move(event.offers));
  if (event.kind == MachineEvent::Kind::kVolume) return OnVolume(*event.volume);
  if (event.kind == MachineEvent::Kind::kStray) return OnStray(event);
  if (event.kind == MachineEvent::Kind::kAsleep) return OnAsleep(event);
  const auto found = machines_.find(event.machine_id);
  if (found == machines_.end()) return event.kind == MachineEvent::Kind::kGone ? OnDiscarded(event) : void();
  Machine& machine = found->second;
  switch (event.kind) {
    case MachineEvent::Kind::kStarted: return OnStarted(machine, std::move(event));
    case MachineEvent::Kind::kDownload: return OnDownload(machine, event.done_bytes, event.total_bytes);
    case MachineEvent::Kind::kReady: return OnReady(machine, std::move(event.endpoint));
    case MachineEvent::Kind::kAdopted: return OnAdopted(machine, std::move(event));
    case MachineEvent::Kind::kEnded: return OnEnded(machine, event.crashed);
    case MachineEvent::Kind::kGone: return OnGone(machine, event);
    case MachineEvent::Kind::kVolume:
    case MachineEvent::Kind::kStray:
    case MachineEvent::Kind::kAsleep:
    case MachineEvent::Kind::kOffers: return;
  }
}

void Controller::OnStarted(Machine& machine, MachineEvent event) {
  machine.record.NoteUpkeep(event.public_address, event.boot_gigabytes);
  machine.record.handle = std::move(event.handle);
  NoteBegan(machine);
  if (IsWaking(machine.record.state)) {
    NoteWake(machine.record.model, "launching", clock_.Elapsed() - machine.since);
    SetState(machine, State::kBooting, machine.record.reason);
  }
  Write(machine);
}

void Controller::OnDownload(Machine& machine, uint64_t done, uint64_t total) {
  if (!machine.download.has_value()) {
    machine.download = Download{.began = clock_.Elapsed(), .before_bytes = done};
    LOG(INFO) << machine.record.id << " downloads its weights, " << (total - done) / 1000000 << " MB";
  }
  machine.download->done_bytes = std::max(done, machine.download->before_bytes);
  machine.download->total_bytes = total;
  machine.download->took = clock_.Elapsed() - machine.download->began;
}

void Controller::OnReady(Machine& machine, Endpoint endpoint) {
  if (!IsWaking(machine.record.state)) return;  // it is being stopped
  const absl::Duration booted = clock_.Elapsed() - machine.since;
  const absl::Duration took = clock_.Elapsed() - machine.asked_for;
  const absl::Duration downloading = machine.download.has_value() ? machine.download->took : absl::ZeroDuration();
  BeginServing(machine, std::move(endpoint));
  if (machine.download.has_value()) NoteWake(machine.record.model, "downloading", downloading);
  NoteWake(machine.record.model, "booting", booted - downloading);
  NoteWake(machine.record.model, "total", took);
  Model* const model = FindModel(machine.record.model);
  if (model == nullptr) return;
  RecordStarted(model->wake);
  if (downloading > absl::ZeroDuration()) {
    model->measured_fill = downloading;
    Keep({.fills = {{model->spec.name, downloading}}});
  }
  const absl::Duration usual = took - downloading;  // weights come once
  const absl::Duration before = model->measured_wake.value_or(usual);
  model->measured_wake = before + kNewestWakeShare * (usual - before);
  Keep({.wakes = {{model->spec.name, *model->measured_wake}}});
}

void Controller::OnAdopted(Machine& machine, MachineEvent event) {
  machine.record.NoteUpkeep(event.public_address, event.boot_gigabytes);
  machine.record.handle = std::move(event.handle);
  NoteBegan(machine);
  BookAbsence(machine, began_, ledger_);
  machine.absence.reset();
  if (!machine.adopting || event.endpoint.address.empty()) {
    machine.adopting = false;
    const bool stops = machine.record.state == State::kHibernating;
    return Stop(machine, stops ? State::kHibernating : State::kTerminating,
                "left by a former life, of no use");
  }
  machine.endpoint = std::move(event.endpoint);
  machine.since = clock_.Elapsed();  // from now on it may be a while until it answers
  AskIdentity(machine);
}

void Controller::AskIdentity(Machine& machine) {
  machine.ask_again_at.reset();
  effects_.push_back([this, endpoint = machine.endpoint] {
    probe_.Ask(
        endpoint, kAdoptionDeadline,
        [this, inbox = inbox_, id = endpoint.machine_id](absl::StatusOr<EngineIdentity> identity) {
          inbox->Post([this, id, identity = std::move(identity)] { OnIdentity(id, identity); });
        });
  });
}

void Controller::OnIdentity(const std::string& id, const absl::StatusOr<EngineIdentity>& identity) {
  const auto found = machines_.find(id);
  if (found == machines_.end() || !found->second.adopting) return;
  Machine& machine = found->second;
  // It may boot, or the way to it may; a gateway that starts with its host is early.
  if (machine.record.state == State::kBooting && MayAnswerYet(identity.status()) &&
      clock_.Elapsed() < machine.since + kFindAgain) {
    machine.ask_again_at = clock_.Elapsed() + kAskAgain;
    return;
  }
  machine.adopting = false;
  if (machine.record.state != State::kBooting) return;  // it is being stopped
  if (!identity.ok()) return Stop(machine, State::kTerminating, identity.status().message());
  const ModelSpec& wanted = FindModel(machine.record.model)->spec;
  if (identity->model_hash != wanted.model_hash)
    return Stop(machine, State::kTerminating, "it serves another model");
  if (wanted.context_tokens != 0 && identity->context_tokens != wanted.context_tokens)
    return Stop(machine, State::kTerminating, "it serves another context_tokens");
  Endpoint endpoint = machine.endpoint;
  endpoint.model_hash = identity->model_hash;
  endpoint.numerics_id = identity->numerics_id;
  BeginServing(machine, std::move(endpoint));
}

void Controller::OnChecked(const std::string& id, uint64_t life, const absl::StatusOr<EngineIdentity>& health,
                           absl::Duration asked_at) {
  const auto found = machines_.find(id);
  if (found == machines_.end() || found->second.life != life) return;
  Machine& machine = found->second;
  machine.suspect = false;
  if (!IsAnswering(machine.record.state)) return;
  if (health.ok() && health->notice.has_value() && health->notice->stops) {
    machine.fate->Doubt(false);
    HearNotice(machine, *health->notice, asked_at);
  } else if (health.ok()) {
    machine.fate->Doubt(false);
    // A session heard of a notice that no longer stands; what comes to this machine later has a fate of its own.
    if (machine.fate->end() != MachineLife::End::kNone) machine.fate = std::make_shared<MachineLife>();
  } else if (const auto notice = NoticeOf(health.status()); notice.has_value()) {
    HearNotice(machine,
               {.source = notice->source(),
                .stops = true,
                .left = absl::Milliseconds(notice->left_ms()),
                .reason = notice->reason()},
               asked_at);
  } else {
    const bool hangs = absl::IsDeadlineExceeded(health.status());
    Lose(machine, hangs ? MachineLife::End::kHang : MachineLife::End::kLost, health.status().message());
  }
}

void Controller::OnEnded(Machine& machine, bool crashed) {
  machine.fate->EndBy(crashed ? MachineLife::End::kCrashed : MachineLife::End::kLost);
  if (!crashed) NoteLost(machine, clock_.Elapsed());
  LOG(INFO) << Heading(machine) << "the machine of " << machine.record.id << (crashed ? " lives on" : " went with it");
}

void Controller::OnGone(Machine& machine, const MachineEvent& gone) {
  const absl::Status& status = gone.status;
  const bool crashed = gone.crashed;
  const std::string id = machine.record.id;
  const State state = machine.record.state;
  Model* const model = FindModel(machine.record.model);
  // A death's log begins with the id that NoteDeath gives it.
  if (IsAnswering(state)) NoteDeath(machine, status.message());
  LOG_IF(WARNING, !status.ok()) << Heading(machine) << id << " is gone while " << MachineStateName(state) << ": "
                                << status.message();
  // Where there is a choice, another zone is asked at once.
  const bool elsewhere = model != nullptr && Chooses() && WasRefused(machine, status);
  if (elsewhere) model->last_refusal = std::string(status.message());
  if (IsWaking(state) && !machine.adopting && !elsewhere) {
    const absl::Duration now = clock_.Elapsed(), took = now - machine.asked_for;
    Failure failure = FailureOf(status);
    if (failure == Failure::kStart && TriesElsewhere(*model, machine)) failure = Failure::kStartThere;
    if (failure != Failure::kNoCapacity && FindServing(model->spec.name) != nullptr)
      RecordFailureBeside(took, now, model->wake);
    else
      RecordFailure(failure, std::string(status.message()), took, now, model->wake);
  }
  // Another one is to take the place that it should have taken.
  if (model != nullptr && !model->unreplaced.has_value()) model->unreplaced = std::exchange(machine.replaces, std::nullopt);
  LOG_IF(INFO, status.ok() && machine.interruption.has_value()) << Heading(machine) << id << " is gone";
  if (machine.adopting && model != nullptr) model->wake.began.reset();  // with what a former life began
  NoteEnded(machine, status, crashed);
  const absl::Time billed_until = machine.record.billed_until;
  EndBilling(machine, gone);
  const bool in_use = machine.leases > 0;
  const bool foretold = machine.interruption.has_value() && machine.interruption->taken_at.has_value();
  machine.fate->EndBy(crashed    ? MachineLife::End::kCrashed
                      : foretold ? MachineLife::End::kNotice
                                 : MachineLife::End::kLost);
  // What was refused before it was started is as it was.
  const bool never_left = (state == State::kRestoring && machine.record.handle.empty()) ||
                          (machine.restored && IsWaking(state) && absl::IsResourceExhausted(status));
  if (never_left || (state == State::kHibernating && provider_.caps().hibernates)) {
    machine.record.handle.clear();
    machine.record.address.clear();
    SetState(machine, State::kHibernated, machine.record.reason);
    const absl::Time ordered = clock_.Now() - (clock_.Elapsed() - machine.asked_for);
    machine.record.since = AsleepSince(machine.record, never_left || gone.never_ran, ordered, billed_until);
    Write(machine);
  } else {
    Forget(machine);
    if (in_use && model != nullptr) NoteDemand(*model);  // its leases end unheard
  }
}

void Controller::OnReleased(const std::string& id, uint64_t life, const std::string& key, absl::Duration ran) {
  const auto found = machines_.find(id);
  if (found != machines_.end() && found->second.life == life) {
    Machine& machine = found->second;
    --machine.heartbeat.granted;
    if (--machine.leases == 0) machine.idle_since = clock_.Elapsed();
    if (const auto answers = machine.answers.find(key); answers != machine.answers.end() && --answers->second == 0) {
      machine.answers.erase(answers);
    }
    if (machine.leases == 0 && machine.interruption.has_value()) {
      LOG(INFO) << machine.interruption->id << ": no answer is on it any more, "
                << absl::FormatDuration(clock_.Elapsed() - machine.interruption->began) << " after the first word";
    }
    if (machine.leases == 0) machine.alone = false;
    Account(machine);
    buyer_.Served(machine.record.model, std::max(ran, absl::ZeroDuration()), clock_.Elapsed());
    if (Model* const model = FindModel(machine.record.model); model != nullptr) {
      // Once: a start that fails beside a machine which serves on is a failure.
      if (machine.fate->served() && !std::exchange(machine.proved, true))
        RecordServed(absl::InfiniteDuration(), model->wake);
      NoteDemand(*model);
    }
  }
}

}  // namespace spotinference::fleet
