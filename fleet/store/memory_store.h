// A store in memory that fails when told to. Outlives the controller in tests of a restart.
#ifndef FLEET_STORE_MEMORY_STORE_H_
#define FLEET_STORE_MEMORY_STORE_H_

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fleet/store/store.h"

namespace spotinference::fleet {

class MemoryStore : public Store {
 public:
  // Of every write until it is OK again.
  void FailWith(absl::Status status) { failure_ = std::move(status); }
  const std::map<int64_t, MachineRecord>& machines() const { return machines_; }
  const std::map<std::string, VolumeRecord, std::less<>>& volumes() const { return volumes_; }

  absl::StatusOr<Contents> Load() override {
    Contents contents;
    for (const auto& [serial, machine] : machines_) contents.machines.push_back(machine);
    contents.next_serial = next_serial_;
    contents.wakes = wakes_;
    contents.gaps = gaps_;
    contents.wake_records = wake_records_;
    contents.spending = spending_;
    contents.book = book_;
    contents.market = market_;
    for (const auto& [name, volume] : volumes_) contents.volumes.push_back(volume);
    return contents;
  }
  absl::Status Put(const MachineRecord& machine, Sync, const Book* book) override {
    if (failure_.ok()) {
      machines_[machine.serial] = machine;
      next_serial_ = std::max(next_serial_, machine.serial + 1);
      if (book != nullptr) book_ = *book;
    }
    return failure_;
  }
  absl::Status Remove(int64_t serial, const Book* book) override {
    if (failure_.ok()) {
      machines_.erase(serial);
      if (book != nullptr) book_ = *book;
    }
    return failure_;
  }
  absl::Status PutWake(absl::string_view model, absl::Duration measured) override {
    if (failure_.ok()) wakes_[std::string(model)] = measured;
    return failure_;
  }
  absl::Status PutGaps(absl::string_view model, absl::Span<const absl::Duration> gaps) override {
    if (failure_.ok()) gaps_[std::string(model)].assign(gaps.begin(), gaps.end());
    return failure_;
  }
  absl::Status PutWakeRecord(absl::string_view model, const WakeRecord& wake) override {
    if (failure_.ok()) wake_records_[std::string(model)] = wake;
    return failure_;
  }
  absl::Status PutSpending(const Spending& spending) override {
    if (failure_.ok()) spending_ = spending;
    return failure_;
  }
  absl::Status PutBook(const Book& book) override {
    if (failure_.ok()) book_ = book;
    return failure_;
  }
  absl::Status PutMarket(const Buyer::Memory& market) override {
    if (failure_.ok()) market_ = market;
    return failure_;
  }
  absl::Status PutVolume(const VolumeRecord& volume) override {
    if (failure_.ok()) volumes_[volume.name] = volume;
    return failure_;
  }
  absl::Status RemoveVolume(absl::string_view name) override {
    if (failure_.ok()) volumes_.erase(std::string(name));
    return failure_;
  }

 private:
  Spending spending_;
  Book book_;
  Buyer::Memory market_;
  absl::Status failure_;
  std::map<int64_t, MachineRecord> machines_;
  std::map<std::string, absl::Duration> wakes_;
  std::map<std::string, std::vector<absl::Duration>> gaps_;
  std::map<std::string, WakeRecord> wake_records_;
  std::map<std::string, VolumeRecord, std::less<>> volumes_;
  int64_t next_serial_ = 1;
};

}  // namespace spotinference::fleet

#endif  // FLEET_STORE_MEMORY_STORE_H_
