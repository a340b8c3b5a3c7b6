// What the controller writes down, and what becomes of it while the store cannot write.
//
// A change that could not be written is kept, and written with the next one, or after a few seconds, all at once: so
// what the store has was true at one time, and a crash begins from there. What must be written before it is done is not
// kept: it is not done.
#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kDecisions = absl::Seconds(1);  // between two writes: each of many clients may be refused
constexpr absl::Duration kTryAgain = absl::Seconds(5);  // as long as a crash may forget, where it can be helped

}  // namespace

// With its volume, where that is its.
Store::Changes Controller::ChangesOf(const Machine& machine) {
  Store::Changes changes = MakeBook();
  changes.machines[machine.record.serial] = machine.record;
  const auto volume = volumes_.find(machine.record.volume);
  if (volume != volumes_.end() && volume->second.record.machine == machine.record.id)
    changes.volumes[volume->first] = volume->second.record;
  return changes;
}

void Controller::Write(const Machine& machine, OrderDone written) { Keep(ChangesOf(machine), std::move(written)); }

void Controller::Keep(Store::Changes changes, OrderDone written) {
  effects_.push_back([this, changes = std::move(changes), written = std::move(written)]() mutable {
    const absl::Status status = Persist(std::move(changes));
    if (written) written(status);
  });
}

absl::Status Controller::PersistFirst(const Store::Changes& changes, Store::Sync sync) {
  if (unwritten_.empty()) return store_.Write(changes, sync);
  Store::Changes all = unwritten_;
  all.Add(changes);
  const absl::Status status = store_.Write(all, sync);
  if (!status.ok()) return status;
  LOG(INFO) << "the store writes again, and has what it could not write";
  unwritten_ = {};
  persist_again_at_ = absl::InfiniteDuration();
  return status;
}

absl::Status Controller::Persist(Store::Changes changes) {
  const absl::Status status = PersistFirst(changes, Store::Sync::kOrdered);
  if (status.ok()) return status;
  LOG(ERROR) << "the store cannot write, which is tried again: " << status;
  unwritten_.Add(std::move(changes));
  persist_again_at_ = clock_.Elapsed() + kTryAgain;
  return status;
}

absl::Duration Controller::PersistAgain() {
  if (clock_.Elapsed() >= persist_again_at_) Persist({}).IgnoreError();
  return persist_again_at_;
}

void Controller::RememberDecisions() {
  if (!decisions_.changed()) return;
  const absl::Duration now = clock_.Elapsed();
  if (now < decisions_due_ && !shutdown_drain_limit_.has_value()) return void(next_ = std::min(next_, decisions_due_));
  decisions_due_ = now + kDecisions;
  Keep({.decisions = decisions_.TakeChanges()});
}

void Controller::RememberWake(Model& model, OrderDone written) {
  Model::Remembered now = model.ToRemember();
  if (model.remembered == now && !written) return;
  model.remembered = std::move(now);
  const absl::Duration since_1970 = clock_.Now() - absl::UnixEpoch() - clock_.Elapsed();
  WakeRecord record = {.ordered_until = absl::UnixEpoch() + (since_1970 + model.ordered_until),
                       .strikes = model.wake.strikes,
                       .blocked_until = absl::UnixEpoch() + (since_1970 + model.wake.blocked_until),
                       .blocked_by = model.wake.blocked_by,
                       .cause = model.wake.cause,
                       .failures_beside = model.wake.failures_beside,
                       .none_beside_until = absl::UnixEpoch() + (since_1970 + model.wake.none_beside_until)};
  if (model.wake.began.has_value()) record.began = absl::UnixEpoch() + (since_1970 + *model.wake.began);
  Keep({.wake_records = {{model.spec.name, std::move(record)}}}, std::move(written));
}

}  // namespace spotinference::fleet
