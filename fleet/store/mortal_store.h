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
  absl::Status Write(const Changes& changes, Sync sync) override {
    return death_.Step() ? store_.Write(changes, sync) : absl::OkStatus();
  }

 private:
  Death& death_;
  MemoryStore store_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_STORE_MORTAL_STORE_H_
