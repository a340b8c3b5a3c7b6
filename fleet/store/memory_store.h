// A store in memory that fails when told to. Outlives the controller in tests of a restart.
#ifndef FLEET_STORE_MEMORY_STORE_H_
#define FLEET_STORE_MEMORY_STORE_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "fleet/store/store.h"

namespace spotinference::fleet {

class MemoryStore : public Store {
 public:
  // Of every write until it is OK again.
  void FailWith(absl::Status status) { failure_ = std::move(status); }
  const std::map<int64_t, MachineRecord>& machines() const { return machines_; }
  const std::map<std::string, VolumeRecord, std::less<>>& volumes() const { return volumes_; }
  int64_t writes() const { return writes_; }  // that succeeded
  int64_t books() const { return books_; }    // of these, with one
  const Book& book() const { return others_.book; }

  absl::StatusOr<Contents> Load() override {
    Contents contents = others_;
    for (const auto& [serial, machine] : machines_) contents.machines.push_back(machine);
    for (const auto& [name, volume] : volumes_) contents.volumes.push_back(volume);
    for (const auto& [key, volume] : ended_volumes_) contents.ended_volumes.push_back(volume);
    return contents;
  }

  absl::Status Write(const Changes& changes, Sync) override {
    if (!failure_.ok()) return failure_;
    ++writes_;
    for (const auto& [serial, machine] : changes.machines) {
      if (!machine.has_value()) {
        machines_.erase(serial);
        continue;
      }
      machines_[serial] = *machine;
      others_.next_serial = std::max(others_.next_serial, serial + 1);
    }
    for (const auto& [name, volume] : changes.volumes) {
      if (volume.has_value()) volumes_[name] = *volume;
      else volumes_.erase(name);
    }
    for (const auto& [key, volume] : changes.ended_volumes) ended_volumes_[key] = volume;
    for (const auto& [model, wake] : changes.wakes) others_.wakes[model] = wake;
    for (const auto& [model, fill] : changes.fills) others_.fills[model] = fill;
    for (const auto& [model, gaps] : changes.gaps) others_.gaps[model] = gaps;
    for (const auto& [model, record] : changes.wake_records) others_.wake_records[model] = record;
    others_.spending = changes.spending.value_or(others_.spending);
    books_ += changes.book.has_value();
    if (changes.book.has_value()) others_.book = *changes.book;
    if (changes.market.has_value()) others_.market = *changes.market;
    for (const auto& [number, decision] : changes.decisions) {
      if (decision.has_value()) others_.decisions[number] = *decision;
      else others_.decisions.erase(number);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status failure_;
  int64_t writes_ = 0, books_ = 0;
  std::map<int64_t, MachineRecord> machines_;
  std::map<std::string, VolumeRecord, std::less<>> volumes_;
  std::map<std::pair<std::string, absl::Time>, EndedVolume> ended_volumes_;
  Contents others_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_STORE_MEMORY_STORE_H_
