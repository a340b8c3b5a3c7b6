// Volumes, which outlive their machines and stay in their zones, with the weights that came to them. The store has all
// of them, so that each one is known for as long as it bills.
#include <glog/logging.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

VolumeRecord VolumeOf(const MachineRecord& machine) {
  return {.name = machine.volume,
          .model = machine.model,
          .machine = machine.id,
          .offer = *machine.offer,
          .filled = !machine.numerics_id.empty(),
          .unused_since = machine.since};
}

}  // namespace

void Controller::RecallVolumes(const Store::Contents& contents) {
  for (const VolumeRecord& record : contents.volumes) volumes_[record.name].record = record;
  for (const MachineRecord& machine : contents.machines) {  // what was written down before, and what got lost
    if (machine.offer.has_value()) volumes_.try_emplace(machine.volume, Volume{.record = VolumeOf(machine)});
  }
  for (auto& [name, volume] : volumes_) {
    const absl::Duration unused = std::max(absl::ZeroDuration(), clock_.Now() - volume.record.unused_since);
    volume.unused_since = clock_.Elapsed() - unused;
  }
}

const Controller::Machine* Controller::HolderOf(absl::string_view volume) const {
  const auto holder = std::find_if(machines_.begin(), machines_.end(),
                                   [&](const auto& machine) { return machine.second.record.volume == volume; });
  return holder == machines_.end() ? nullptr : &holder->second;
}

// A volume lives in one zone, and has one machine at a time.
std::string Controller::VolumeFor(const Model& model, const std::optional<Offer>& offer) const {
  const std::string name = offer.has_value() ? absl::StrCat(model.spec.name, "@", offer->zone) : model.spec.name;
  std::string volume = name;
  for (int n = 2; HolderOf(volume) != nullptr; ++n) volume = absl::StrCat(name, ".", n);
  return volume;
}

void Controller::TakeVolume(const Machine& machine) {
  if (!machine.record.offer.has_value()) return;  // it lies on this computer
  VolumeRecord& volume = volumes_[machine.record.volume].record;
  const bool filled = volume.filled;
  volume = VolumeOf(machine.record);
  volume.filled = filled;
  WriteVolume(volume);
}

void Controller::NoteFilled(const Machine& machine) {
  const auto volume = volumes_.find(machine.record.volume);
  if (volume == volumes_.end() || std::exchange(volume->second.record.filled, true)) return;
  WriteVolume(volume->second.record);
}

// As the store is to have it. nullopt: it lies on this computer, or another machine has it.
std::optional<VolumeRecord> Controller::FreeVolume(const Machine& machine) {
  const auto volume = volumes_.find(machine.record.volume);
  if (volume == volumes_.end() || volume->second.record.machine != machine.record.id) return std::nullopt;
  volume->second.record.unused_since = clock_.Now();
  volume->second.unused_since = clock_.Elapsed();
  return volume->second.record;
}

void Controller::WriteVolume(const VolumeRecord& volume) {
  effects_.push_back([this, volume] {
    if (absl::Status status = store_.PutVolume(volume); !status.ok()) LOG(ERROR) << status;
  });
}

// Those with weights that a new machine of the model would have at once.
std::vector<Offer> Controller::FilledVolumes(const Model& model) const {
  std::vector<Offer> filled;
  for (const auto& [name, volume] : volumes_) {
    if (volume.record.model != model.spec.name || !volume.record.filled) continue;
    const Machine* const holder = HolderOf(name);
    if (holder == nullptr || holder->record.state == MachineState::kHibernated) filled.push_back(volume.record.offer);
  }
  return filled;
}

}  // namespace spotinference::fleet
