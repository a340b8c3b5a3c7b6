// Volumes, which outlive their machines and stay in their zones, with the weights that came to them. The store has all
// of them, so that each one is known for as long as it bills. Which ones are deleted: plan/volumes.h.
#include <glog/logging.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kOften = absl::Minutes(1), kSeldom = absl::Hours(1);  // between two looks
constexpr absl::Duration kTryAgain = absl::Hours(1);

VolumeRecord VolumeOf(const MachineRecord& machine) {
  return {.name = machine.volume,
          .model = machine.model,
          .machine = machine.id,
          .offer = *machine.offer,
          .filled = !machine.numerics_id.empty(),
          .unused_since = machine.since};
}

// As what its end is asked for: as its machine's, where one is left.
std::string DeletionId(const VolumeRecord& volume, const MachineRecord* left) {
  return left != nullptr ? left->id : absl::StrCat("volume ", volume.name);
}

}  // namespace

void Controller::RecallVolumes(const Store::Contents& contents) {
  ended_volumes_ = contents.ended_volumes;
  for (const VolumeRecord& record : contents.volumes) volumes_[record.name].record = record;
  for (const MachineRecord& machine : contents.machines) {
    if (!machine.offer.has_value()) continue;
    // What was written down before there were volumes, and what of a volume was not any more.
    const auto known = volumes_.try_emplace(machine.volume, Volume{.record = VolumeOf(machine)}).first;
    VolumeRecord& volume = known->second.record;
    volume.machine = machine.id;
    if (machine.state != MachineState::kHibernated) volume.ending = false;
  }
  for (auto& [name, volume] : volumes_) {
    const absl::Duration unused = std::max(absl::ZeroDuration(), clock_.Now() - volume.record.unused_since);
    volume.unused_since = clock_.Elapsed() - unused;
    if (volume.record.ending && !Withholds(volume, "what a former life of the fleet began")) GoOnDiscarding(volume);
  }
}

// By volume. The hibernated one is what could not be taken off the record, where there is another.
Controller::Holders Controller::FindHolders() const {
  Holders holders;
  for (const auto& [id, machine] : machines_) {
    const Machine*& holder = holders.try_emplace(machine.record.volume, &machine).first->second;
    if (machine.record.state != MachineState::kHibernated) holder = &machine;
  }
  return holders;
}

const Controller::Machine* Controller::HolderOf(absl::string_view volume) const {
  const Holders holders = FindHolders();
  const auto holder = holders.find(volume);
  return holder == holders.end() ? nullptr : holder->second;
}

// A volume lives in one zone, and has one machine at a time.
std::string Controller::VolumeFor(const Model& model, const std::optional<Offer>& offer) const {
  const std::string name = offer.has_value() ? absl::StrCat(model.spec.name, "@", offer->zone) : model.spec.name;
  std::string volume = name;
  const Holders holders = FindHolders();
  const auto taken = [&](const std::string& volume) {
    const auto known = volumes_.find(volume);
    return holders.contains(volume) || (known != volumes_.end() && known->second.record.ending);
  };
  for (int n = 2; taken(volume); ++n) volume = absl::StrCat(name, ".", n);
  return volume;
}

void Controller::TakeVolume(const Machine& machine) {
  if (!machine.record.offer.has_value()) return;  // it lies on this computer
  VolumeRecord& volume = volumes_[machine.record.volume].record;
  const VolumeRecord before = std::exchange(volume, VolumeOf(machine.record));
  volume.filled = before.filled;
  volume.made = before.made;
  volume.gigabytes = before.gigabytes;
  volume.per_hour = before.per_hour;
  volume.unused_since = clock_.Now();
}

void Controller::NoteFilled(const Machine& machine) {
  const auto volume = volumes_.find(machine.record.volume);
  if (volume == volumes_.end() || std::exchange(volume->second.record.filled, true)) return;
  Keep({.volumes = {{volume->first, volume->second.record}}});
}

void Controller::FreeVolume(const Machine& machine) {
  const auto volume = volumes_.find(machine.record.volume);
  if (volume == volumes_.end() || volume->second.record.machine != machine.record.id) return;
  volume->second.record.unused_since = clock_.Now();
  volume->second.unused_since = clock_.Elapsed();
}

// Those with weights that a new machine of the model would have at once.
std::vector<Offer> Controller::FilledVolumes(const Model& model) const {
  std::vector<Offer> filled;
  const Holders holders = FindHolders();
  for (const auto& [name, volume] : volumes_) {
    if (volume.record.model != model.spec.name || !volume.record.filled || volume.record.ending) continue;
    const auto holder = holders.find(name);
    const bool free = holder == holders.end() || holder->second->record.state == MachineState::kHibernated;
    if (free) filled.push_back(volume.record.offer);
  }
  return filled;
}

// A hibernated machine goes with its volume.
void Controller::EndVolumes() {
  const absl::Duration now = clock_.Elapsed();
  if (volumes_.empty() || shutdown_drain_limit_.has_value()) return;
  if (now < volumes_due_) return void(next_ = std::min(next_, volumes_due_));
  std::map<std::string, std::vector<VolumeCopy>> by_model;
  const Holders holders = FindHolders();
  for (const auto& [name, volume] : volumes_) {
    if (volume.record.ending) continue;
    const auto found = holders.find(name);
    const Machine* const holder = found == holders.end() ? nullptr : found->second;
    const bool sleeps = holder != nullptr && holder->record.state == MachineState::kHibernated;
    const Offer& current = buyer_.Current(volume.record.offer);
    by_model[volume.record.model].push_back({.name = name,
                                             .filled = volume.record.filled,
                                             .in_use = holder != nullptr && !sleeps,
                                             .unused_since = sleeps ? holder->since : volume.unused_since,
                                             .not_before = volume.not_before,
                                             .per_hour = current.volume_per_hour,
                                             .machine_per_hour = current.price_per_hour});
  }
  absl::Duration next = now + kSeldom;
  for (const auto& [name, volumes] : by_model) {
    const Model* const model = FindModel(name);
    VolumeRules rules = {.keep = options_.keep_volumes, .configured = model != nullptr};
    if (model != nullptr) {
      rules.fill = model->measured_fill.value_or(rules.fill);
      rules.parked = !model->parked.empty();
    }
    const VolumePlan plan = PlanVolumes(rules, volumes, now);
    for (const auto& [volume, why] : plan.ends) Discard(volumes_.find(volume)->second, why);
    next = std::min(next, plan.next);
  }
  volumes_due_ = std::max(next, now + kOften);
  next_ = std::min(next_, volumes_due_);
}

void Controller::Discard(Volume& volume, absl::string_view why) {
  if (Withholds(volume, why)) return;
  LOG(INFO) << "the volume " << volume.record.name << " is deleted: " << why;
  Offer place = volume.record.offer;
  place.price_per_hour = place.volume_per_hour;
  NoteDecision(volume.record.model, HolderOf(volume.record.name), "deleting",
               absl::StrCat("its volume ", volume.record.name, " was ", why), &place);
  volume.record.ending = true;
  volume.record.ending_since = clock_.Now();
  GoOnDiscarding(volume);
}

// The store has its machine until both are gone. What is not written down is not done: another life would count on it.
void Controller::GoOnDiscarding(Volume& volume) {
  if (const Machine* const holder = HolderOf(volume.record.name); holder != nullptr) {
    volume.deleted = std::move(machines_.extract(holder->record.id).mapped());
  }
  std::optional<MachineRecord> left;
  if (volume.deleted.has_value()) left = volume.deleted->record;
  Store::Changes changes = {.volumes = {{volume.record.name, volume.record}}};
  if (left.has_value()) changes.machines[left->serial] = left;
  effects_.push_back([this, record = volume.record, left, changes = std::move(changes)] {
    const MachineSpec spec = {.id = DeletionId(record, left.has_value() ? &*left : nullptr),
                              .provider = record.offer.provider,
                              .volume = record.name,
                              .offer = record.offer};
    const absl::Status status = PersistFirst(changes, Store::Sync::kDurable);
    if (status.ok()) return provider_.Discard(spec);
    inbox_->Post([this, id = spec.id, why = absl::FailedPreconditionError(status.message())] {
      OnDiscarded({.machine_id = id, .status = why});
    });
  });
}

void Controller::OnDiscarded(const MachineEvent& gone) {
  const auto found = std::find_if(volumes_.begin(), volumes_.end(), [&](const auto& volume) {
    const std::optional<Machine>& deleted = volume.second.deleted;
    return volume.second.record.ending &&
           DeletionId(volume.second.record, deleted.has_value() ? &deleted->record : nullptr) == gone.machine_id;
  });
  if (found == volumes_.end()) return;
  Volume& volume = found->second;
  if (!gone.status.ok()) {
    LOG(WARNING) << "the volume " << found->first << " is not deleted: " << gone.status;
    if (volume.deleted.has_value()) machines_.emplace(gone.machine_id, *std::exchange(volume.deleted, std::nullopt));
    volume.record.ending = false;
    volume.not_before = clock_.Elapsed() + kTryAgain;
    return Keep({.volumes = {{found->first, volume.record}}});
  }
  LOG(INFO) << "the volume " << found->first << " is gone";
  Store::Changes changes = {.volumes = {{found->first, std::nullopt}}};
  if (volume.deleted.has_value()) {
    EndUpkeep(volume.deleted->record, gone.volume_ended.value_or(volume.record.ending_since));
    changes.machines[volume.deleted->record.serial].reset();
    changes.Add(MakeBook());
  }
  // Where no list of this life had it, it went about when its end was decided (controller_storage.cc).
  if (const auto ended = EndedAt(volume.record, gone.volume_ended.value_or(volume.record.ending_since))) {
    ended_volumes_.push_back(*ended);
    changes.ended_volumes = {{{ended->name, ended->made}, *ended}};
  }
  Keep(std::move(changes));
  volumes_.erase(found);
}

}  // namespace spotinference::fleet
