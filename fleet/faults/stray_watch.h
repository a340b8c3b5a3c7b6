// That the ledger has of machines that nobody asked for what the cloud's bill has. A part of the watch.
//
// It has each run that its provider tells of, and nothing of one that was over before, or went on unheard while a
// controller was dead. Of a run that goes from nobody to somebody, or the other way, each part is rounded up by itself.
#ifndef FLEET_FAULTS_STRAY_WATCH_H_
#define FLEET_FAULTS_STRAY_WATCH_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "fleet/faults/sim.h"
#include "fleet/faults/sim_cloud.h"
#include "fleet/ledger/billing.h"
#include "fleet/providers/provider.h"
#include "fleet/store/memory_store.h"

namespace spotinference::fleet {

// The least and the most that machines have cost since then.
std::pair<double, double> RangeOf(const std::vector<PriceSpan>& prices, absl::Duration from);

class StrayWatch {
 public:
  StrayWatch(Sim& sim, SimCloud& cloud, const MemoryStore& store) : sim_(sim), cloud_(cloud), store_(store) {}

  void OnLife(bool begins);  // of a controller, or its death
  // `is_taken_over`: somebody has asked for it.
  void OnEvent(const MachineEvent& stray, bool is_taken_over);
  // After each step, of which the latest took so long.
  void Check(absl::Duration took, absl::FunctionRef<bool(const EmulatedMachine&)> is_known);

  bool rests() const { return told_.empty(); }  // of all that it was told of it was told the end
  // By how many dollars the ledger may have more than the bill, and less.
  double over() const { return over_; }
  double under() const;
  double untold_for_good() const { return under_; }  // of that
  // The same of machines of these names.
  using Names = absl::FunctionRef<bool(const std::string& name)>;
  double under(Names names) const;
  double untold_for_good(Names names) const;

 private:
  struct Told {
    bool may_be_booked = false;  // by another life, as this one believes
    std::string id;              // in the ledger
    absl::Duration skew;         // of the controller's clock, by which it knows the begin
  };
  struct Untold {
    std::string name;      // the machine's
    absl::Duration began;  // the run
    double dollars = 0;    // that it cost while nobody knew it, at the most
  };

  // Whose end was told of. Before that is written down a death lets the ledger forget it.
  struct Ended {
    std::string id;
    std::string name;   // the cloud's
    int64_t books = 0;  // had been written then
    double over = 0, under = 0;
  };

  void End(int64_t number, const Told& told, const MachineEvent& stray, bool is_taken_over);
  bool IsWritten(const Ended& ended) const;
  void Lack(const std::string& name, double dollars);
  const std::vector<PriceSpan>& PricesOf(const EmulatedMachine& machine) const;

  Sim& sim_;
  SimCloud& cloud_;
  const MemoryStore& store_;
  int lives_ = 0;
  absl::Duration life_began_;
  std::map<int64_t, Told> told_;      // by machine
  std::map<int64_t, Untold> untold_;  // by machine, the latest
  std::vector<Ended> ended_;          // and not written down
  double over_ = 0, under_ = 0;
  std::map<std::string, double> under_by_name_;  // the sum
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_STRAY_WATCH_H_
