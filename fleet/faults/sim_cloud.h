// A cloud in simulated time: its API straight over the emulator's model, without HTTP, and what goes wrong with calls.
#ifndef FLEET_FAULTS_SIM_CLOUD_H_
#define FLEET_FAULTS_SIM_CLOUD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "fleet/faults/faults.h"
#include "fleet/faults/sim.h"
#include "fleet/providers/cloud/cloud_api.h"
#include "fleet/providers/emulator/cloud_model.h"
#include "fleet/store/mortal_store.h"

namespace spotinference::fleet {

// Outlives the controllers that call it.
class SimCloud {
 public:
  // As the four clouds differ.
  struct Kind {
    CloudApi::Traits traits;
    bool tokens = false;      // a repeated purchase is known by its token; else by its name
    absl::Duration lists_gone = absl::ZeroDuration();  // what is gone stays in lists for so long
    // How it tells of runs that are over: in lists; when asked, by what was done to a machine, or by what this life of
    // the controller did and heard the answer of; when asked for the bill of one that it keeps.
    enum class Tells { kInLists, kByOperations, kByOwnOperations, kByBill } tells = Tells::kInLists;
    bool tells_prices = false;  // since when they are what they are
    bool public_addresses = false;  // machines have one, unasked
    double boot_gigabytes = 0;      // of their own disks
  };
  static const std::vector<Kind>& Kinds();

  SimCloud(Sim& sim, const Faults& faults, const Kind& kind, MachineHost& host);

  // For one life of the controller, which `death` ends. `pass` lets so much time go by while a call is under way.
  std::unique_ptr<CloudApi> Connect(Death& death, std::function<void(absl::Duration)> pass);

  CloudModel& model() { return model_; }
  const CloudModel& model() const { return model_; }
  const Kind& kind() const { return kind_; }
  static int64_t NumberOf(const std::string& id);  // of a machine or a volume
  bool IsListed(const EmulatedMachine& machine) const;
  static absl::Time TimeOf(absl::Duration at);  // by the cloud's own clock, which nobody sets

  // The controller that lives has heard of all prices some time ago: no change is missed if there is another one now.
  bool PricesAreKnown() const;
  void ChangePrice(EmulatedType type, double spot_price);
  absl::Time last_date() const { return last_date_; }  // of the answers to this life of the controller

  bool down = false;          // every call fails
  bool forgets_tokens = false;  // a repeated purchase buys again

 private:
  friend class SimCloudApi;
  enum class Fate { kDone, kRefused, kLost, kTwice, kLie };
  Fate Draw(const std::string& what, bool changes);

  CloudInventory ListNow();
  CloudRun ListedRunOf(const EmulatedMachine& machine) const;
  // UNAVAILABLE: not yet.
  absl::StatusOr<CloudRun> RunByOperations(const CloudMachine& last) const;
  absl::StatusOr<CloudRun> RunByBill(const CloudMachine& last);
  const EmulatedMachine* NewestOf(const std::string& name) const;
  absl::StatusOr<std::string> Buy(const MachineOrder& order);
  std::optional<absl::Time> SinceOf(const std::vector<PriceSpan>& prices) const;

  Sim& sim_;
  const Faults& faults_;
  const Kind kind_;
  CloudModel model_;
  std::map<std::string, int> wrong_in_a_row_;        // by the kind of call
  std::map<std::string, int64_t> purchases_;         // by token; 0: taken on, then not done
  std::vector<CloudInventory::Failure> failures_;    // not told yet
  CloudInventory listed_;                            // the last whole answer
  absl::Time last_date_ = absl::InfinitePast();
  int64_t price_changes_ = 0;
  std::optional<absl::Duration> prices_told_at_;     // to this life of the controller, as they are now
  absl::Duration listed_at_ = -absl::InfiniteDuration();
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_SIM_CLOUD_H_
