// For tests of a process that dies in the middle of its work: what it does to the world is counted, and a store that a
// dead process cannot write to.
#ifndef FLEET_STORE_MORTAL_STORE_H_
#define FLEET_STORE_MORTAL_STORE_H_

#include "fleet/store/memory_store.h"

namespace spotinference::fleet {

// Where the process dies: at the `step`-th thing that it does to the world.
struct Death {
  int step = 0;         // from 1; 0: never
  bool done = false;    // that step still takes effect
  int steps_so_far = 0;

  bool dead() const { return step > 0 && steps_so_far >= step; }
  // Whether the next step takes effect.
  bool Step() {
    if (dead()) return false;
    ++steps_so_far;
    return !dead() || done;
  }
};

class MortalStore : public Store {
 public:
  explicit MortalStore(Death& death) : death_(death) {}

  MemoryStore& memory() { return store_; }

  absl::StatusOr<Contents> Load() override { return store_.Load(); }
  absl::Status Put(const MachineRecord& machine, Sync sync, const Book* book) override {
    return death_.Step() ? store_.Put(machine, sync, book) : absl::OkStatus();
  }
  absl::Status Remove(int64_t serial, const Book* book) override {
    return death_.Step() ? store_.Remove(serial, book) : absl::OkStatus();
  }
  absl::Status PutWake(absl::string_view model, absl::Duration measured) override {
    return death_.Step() ? store_.PutWake(model, measured) : absl::OkStatus();
  }
  absl::Status PutGaps(absl::string_view model, absl::Span<const absl::Duration> gaps) override {
    return death_.Step() ? store_.PutGaps(model, gaps) : absl::OkStatus();
  }
  absl::Status PutWakeRecord(absl::string_view model, const WakeRecord& wake) override {
    return death_.Step() ? store_.PutWakeRecord(model, wake) : absl::OkStatus();
  }
  absl::Status PutSpending(const Spending& spending) override {
    return death_.Step() ? store_.PutSpending(spending) : absl::OkStatus();
  }
  absl::Status PutBook(const Book& book) override { return death_.Step() ? store_.PutBook(book) : absl::OkStatus(); }
  absl::Status PutMarket(const Buyer::Memory& market) override {
    return death_.Step() ? store_.PutMarket(market) : absl::OkStatus();
  }
  absl::Status PutVolume(const VolumeRecord& volume) override {
    return death_.Step() ? store_.PutVolume(volume) : absl::OkStatus();
  }
  absl::Status RemoveVolume(absl::string_view name) override {
    return death_.Step() ? store_.RemoveVolume(name) : absl::OkStatus();
  }

 private:
  Death& death_;
  MemoryStore store_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_STORE_MORTAL_STORE_H_
