// Machines that are taken away, with a notice or without a word, and an admin's orders to the same effect. An
// interruption's log lines, from the first word to the machine that serves in its place, all begin with its id.
#include <glog/logging.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

using State = MachineState;

constexpr absl::Duration kOrderDeadline = absl::Seconds(1);  // for an engine to take a word

}  // namespace

absl::StatusOr<Controller::Machine*> Controller::FindAnswering(absl::string_view machine_id) {
  if (options_.dry_run) return absl::FailedPreconditionError("--dry_run: nothing is done to a machine");
  const auto found = machines_.find(machine_id);
  if (found == machines_.end())
    return absl::NotFoundError(absl::StrCat("there is no machine '", machine_id, "'"));
  if (!IsAnswering(found->second.record.state)) {
    return absl::FailedPreconditionError(
        absl::StrCat(machine_id, " is ", MachineStateName(found->second.record.state),
                     "; it would have to be serving or draining"));
  }
  return &found->second;
}

// What an order changes is written down before the last write, which answers it.
void Controller::Order(absl::string_view machine_id, OrderDone done,
                       absl::FunctionRef<absl::Status(Machine&)> carry_out) {
  absl::Status refused;
  {
    absl::MutexLock lock(&mutex_);
    const absl::StatusOr<Machine*> machine = FindAnswering(machine_id);
    refused = machine.ok() ? carry_out(**machine) : machine.status();
    if (refused.ok()) {
      Write(**machine, std::move(done));
      inbox_->Post([] {});
    }
  }
  if (!refused.ok()) done(refused);
}

void Controller::Interrupt(absl::string_view machine_id, absl::Duration notice, OrderDone done) {
  Order(machine_id, std::move(done), [&](Machine& machine) {
    OnNotice(machine, notice, /*heard=*/false, "an admin's order");
    effects_.push_back([this, endpoint = machine.endpoint, life = machine.life, id = machine.interruption->id, notice] {
      probe_.Interrupt(endpoint, notice, kOrderDeadline,
                       [this, inbox = inbox_, machine_id = endpoint.machine_id, life,
                        id](const absl::StatusOr<int64_t>& moved) {
                         LOG_IF(INFO, moved.ok() && *moved > 0) << id << ": its engine handed " << *moved << " sequences over";
                         LOG_IF(WARNING, !moved.ok()) << id << ": its engine was not told: " << moved.status();
                         inbox->Post([this, machine_id, life] { BeatAtOnce(machine_id, life); });
                       });
    });
    return absl::OkStatus();
  });
}

void Controller::Kill(absl::string_view machine_id, OrderDone done) {
  Order(machine_id, std::move(done), [&](Machine& machine) {
    if (!machine.interruption.has_value()) BeginInterruption(machine, MachineLife::End::kKilled, "an admin's order");
    Stop(machine, State::kTerminating, "killed by an admin's order");
    return absl::OkStatus();
  });
}

void Controller::Hibernate(absl::string_view machine_id, OrderDone done) {
  Order(machine_id, std::move(done), [&](Machine& machine) {
    if (machine.interruption.has_value())
      return absl::FailedPreconditionError(absl::StrCat(machine_id, " is being taken away"));
    Stop(machine, State::kHibernating, "an admin's order");
    return absl::OkStatus();
  });
}

void Controller::WakeModel(absl::string_view model_name, OrderDone done) {
  absl::Status at_once;
  {
    absl::MutexLock lock(&mutex_);
    Model* const model = FindModel(model_name);
    if (model == nullptr) {
      at_once = absl::NotFoundError(absl::StrCat("there is no model '", model_name, "'"));
    } else if (FindServing(model_name) == nullptr) {
      model->ordered_until = clock_.Elapsed() + model->spec.wake_cap;
      RememberWake(*model, std::move(done));
      inbox_->Post([] {});
      return;
    }
  }
  done(at_once);
}

std::vector<InterruptionCount> Controller::Interruptions() const {
  absl::MutexLock lock(&mutex_);
  std::vector<InterruptionCount> counts;
  for (const auto& [key, count] : interruptions_) counts.push_back({key.first, key.second, count});
  return counts;
}

Controller::Interruption& Controller::BeginInterruption(Machine& machine, MachineLife::End end,
                                                        absl::string_view why) {
  const bool noticed = end == MachineLife::End::kNotice;
  if (end != MachineLife::End::kNone && !noticed) machine.fate->EndBy(end);
  ++interruptions_[{machine.record.provider, noticed}];
  // A life is interrupted once, and ids of machines are never given twice.
  Interruption& interruption = machine.interruption.emplace();
  interruption.id = absl::StrCat("interruption ", machine.record.id, "/", machine.life);
  interruption.began = clock_.Elapsed();
  LOG(WARNING) << interruption.id << ": " << (noticed ? "a notice" : "no notice") << ", " << machine.leases
               << " answers on it: " << why;
  if (Model* const model = FindModel(machine.record.model); model != nullptr) model->unreplaced = interruption;
  return interruption;
}

// Also a later word about the same end. An engine's latest one counts, and of that and an admin's the sooner.
void Controller::OnNotice(Machine& machine, absl::Duration left, bool heard, absl::string_view why) {
  if (!machine.interruption.has_value()) {
    BeginInterruption(machine, MachineLife::End::kNotice, absl::StrCat(why, ", in ", absl::FormatDuration(left)));
    if (machine.record.state == State::kServing) {
      if (Model* const model = FindModel(machine.record.model); model != nullptr)
        RecordServed(clock_.Elapsed() - machine.since, model->wake);
      machine.reserved = false;  // for a request that now runs elsewhere
      SetState(machine, State::kDraining, absl::StrCat("it will be taken away: ", why));
      Write(machine);
    }
  }
  Interruption& interruption = *machine.interruption;
  NoteLost(machine, clock_.Elapsed() + left);
  const absl::Duration end = clock_.Elapsed() + left;
  if (heard) {
    interruption.heard_at = clock_.Elapsed();
    interruption.heard_end = end;
  } else {
    interruption.ordered_end = std::min(interruption.ordered_end.value_or(end), end);
  }
  interruption.taken_at = std::min(interruption.heard_end.value_or(absl::InfiniteDuration()),
                                   interruption.ordered_end.value_or(absl::InfiniteDuration()));
}

// Of the engine itself, which was asked at `asked_at`.
void Controller::HearNotice(Machine& machine, const EngineNotice& notice, absl::Duration asked_at) {
  OnNotice(machine, notice.left, /*heard=*/true, absl::StrCat(notice.source, ": ", notice.reason));
  Interruption& interruption = *machine.interruption;
  if (interruption.left_at.has_value() && asked_at <= *interruption.left_at) return;
  interruption.serves_on = notice.serves_on;
  Account(machine);
  if (!notice.serves_on) machine.fate->EndBy(MachineLife::End::kNotice);
  else if (machine.fate->end() != MachineLife::End::kNone) machine.fate = std::make_shared<MachineLife>();
}

// Answers stay on a machine that will be taken away for as long as they would only wait elsewhere. Then they go at
// once.
void Controller::HandOverWhereThereIsRoom(Model& model) {
  int room = 0;
  bool serves = false;
  for (const auto& [id, machine] : machines_) {
    if (machine.record.model != model.spec.name) continue;
    const std::optional<Interruption>& interruption = machine.interruption;
    if (interruption.has_value() && interruption->left_at.has_value() && !interruption->serves_on)
      room -= machine.leases;  // on their way
    if (machine.record.state != State::kServing || machine.suspect || machine.reserved || machine.alone) continue;
    serves = true;
    room += std::max(0, model.spec.streams - machine.leases);
  }
  if (!serves) return;
  for (auto& [id, machine] : machines_) {
    if (machine.record.model != model.spec.name || machine.record.state != State::kDraining) continue;
    if (!machine.interruption.has_value() || !machine.interruption->serves_on) continue;
    if (!FindsRoom(machine.leases, model.spec.streams, room)) continue;
    room -= std::min(machine.leases, model.spec.streams);
    machine.interruption->serves_on = false;
    machine.interruption->left_at = clock_.Elapsed();
    Account(machine);
    machine.fate->EndBy(MachineLife::End::kNotice);
    effects_.push_back([this, endpoint = machine.endpoint, id = machine.interruption->id] {
      probe_.HandOver(endpoint, kOrderDeadline, [id](const absl::StatusOr<int64_t>& moved) {
        if (moved.ok()) LOG(INFO) << id << ": its engine handed " << *moved << " sequences over";
        else LOG(WARNING) << id << ": its engine was not asked to hand over: " << moved.status();
      });
    });
  }
}

// The engine, which told of a notice, was asked after that and tells of none any more.
void Controller::OnNoNotice(Machine& machine, absl::Duration asked_at) {
  if (!machine.interruption.has_value() || !machine.interruption->heard_at.has_value()) return;
  if (asked_at <= *machine.interruption->heard_at) return;
  LOG(WARNING) << machine.interruption->id << ": withdrawn";
  if (machine.interruption->ordered_end.has_value()) {  // what an admin ordered stands
    machine.interruption->heard_at.reset();
    machine.interruption->heard_end.reset();
    machine.interruption->taken_at = machine.interruption->ordered_end;
    return;
  }
  machine.interruption.reset();
  NoteBegan(machine);
  if (machine.fate->end() != MachineLife::End::kNone) machine.fate = std::make_shared<MachineLife>();
  machine.idle_since = clock_.Elapsed();
  SetState(machine, State::kServing, "its notice was withdrawn");
  Write(machine);
  if (Model* const model = FindModel(machine.record.model); model != nullptr) {
    model->unreplaced.reset();
    GrantParked(*model, IntoFull::kNo);
  }
}

// Of a log line, of one that is interrupted or takes another's place; else "".
std::string Controller::Heading(const Machine& machine) {
  const std::optional<Interruption>& own = machine.interruption;
  if (own.has_value()) return absl::StrCat(own->id, ": ");
  return machine.replaces.has_value() ? absl::StrCat(machine.replaces->id, ": ") : "";
}

// It does not answer, or does nothing: nobody is sent there again, and it is ended to be sure.
void Controller::Lose(Machine& machine, MachineLife::End end, absl::string_view why) {
  machine.fate->Doubt(true);
  if (end != MachineLife::End::kLost) machine.fate->EndBy(end);  // else its provider will know how it ended
  NoteDeath(machine, why);
  SetState(machine, State::kLost, why);
  Write(machine);
}

// Of a machine that answered, without anybody's order.
void Controller::NoteDeath(Machine& machine, absl::string_view why) {
  if (machine.interruption.has_value()) return;  // it was foretold
  BeginInterruption(machine, MachineLife::End::kNone, why);
  Model* const model = FindModel(machine.record.model);
  if (model == nullptr || machine.record.state != State::kServing) return;
  const absl::Duration now = clock_.Elapsed();
  // What has served an answer is no failed start, however soon it dies.
  if (machine.fate->served()) RecordServed(absl::InfiniteDuration(), model->wake);
  else RecordCrash(now - machine.since, std::string(why), now, model->wake);
}

void Controller::BeginReplacement(Machine& machine) {
  Model* const model = FindModel(machine.record.model);
  if (model == nullptr) return;
  machine.replaces = std::exchange(model->unreplaced, std::nullopt);
  if (!machine.replaces.has_value()) return;
  if (clock_.Elapsed() - machine.replaces->began > model->spec.wake_cap) {  // nobody missed it
    machine.replaces.reset();
    return;
  }
  LOG(INFO) << machine.replaces->id << ": " << machine.record.id << " is to take its place";
}

void Controller::NoteReplacement(Machine& machine) {
  if (!machine.replaces.has_value()) return;
  LOG(INFO) << machine.replaces->id << ": " << machine.record.id << " serves in its place, "
            << absl::FormatDuration(clock_.Elapsed() - machine.replaces->began) << " after the first word";
  machine.replaces.reset();
}

}  // namespace spotinference::fleet
