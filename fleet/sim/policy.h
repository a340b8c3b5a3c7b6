// Who buys machines in a simulated market: what a policy sees, and what it may order.
#ifndef FLEET_SIM_POLICY_H_
#define FLEET_SIM_POLICY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "fleet/api/offer.h"
#include "fleet/sim/market.h"

namespace spotinference::fleet::sim {

enum class Phase {
  kAsked,     // the provider has not answered
  kStarting,  // exists, does not serve
  kServing,
  kLeaving,  // ordered to end, or told by its provider that it ends: counts for nothing
};

struct MachineView {
  int id = 0;     // never given twice
  int offer = 0;  // index into View::offers
  Phase phase = Phase::kAsked;
  Nanos since = 0;  // in this phase
  int answers = 0;  // on it
  Nanos idle_since = 0;
};

struct View {
  Nanos now = 0;
  // Machines for the load by fleet/plan/demand.h's forecast, for policies without one of their own; 0: nothing arrived
  // for an hour.
  int needed = 0;
  int parked = 0;          // requests without a machine
  int resuming = 0;        // of these, those that had one
  int waiting = 0;         // requests without a stream: the parked ones and those within engines
  Nanos idle_since = 0;    // when the last request left; meaningful while none is there
  bool idle = true;
  absl::Span<const Offer> offers;  // prices as they are now
  absl::Span<const MachineView> machines;
  std::vector<int> filled;  // by offer: volumes in its zone that hold the weights and are free
};

struct Orders {
  struct Launch {
    int offer;
    std::string why;
  };
  struct End {
    int machine;
    std::string why;
  };
  std::vector<Launch> launches;
  std::vector<End> ends;
  bool refuses = false;  // who waits for a first token gets an error
};

class Policy {
 public:
  virtual ~Policy() = default;

  virtual absl::string_view name() const = 0;

  // What became of orders, and what the market did. `offer` as in View.
  virtual void OnStarted(int offer, Nanos now) = 0;
  virtual void OnStockOut(int offer, Nanos now) = 0;
  virtual void OnEnded(int offer, Nanos now) = 0;                     // a started machine, as ordered
  virtual void OnLost(int offer, Nanos served_until, Nanos now) = 0;  // taken by its provider

  // What requests did: came, gave back the stream that they had for `took`, ended with a first token or without.
  virtual void OnArrived(Nanos) {}
  virtual void OnServed(Nanos /*took*/, Nanos) {}
  struct Answer {
    Nanos queued = 0;  // until it had a machine
    Nanos waited = 0;  // for its first token, or in vain
    bool refused = false;
    bool awake = true;  // the model was, when it came
  };
  virtual void OnAnswered(const Answer&, Nanos) {}

  // After what became of orders, when a machine begins to serve, and at least every 20 s.
  virtual Orders Decide(const View& view) = 0;
};

// on_demand, spot_one_zone, spot_round_robin: as many machines as are needed, at least one, and never another thought.
// A spot zone without stock is asked again after a minute, or the next one is.
std::unique_ptr<Policy> OnDemandPolicy();
std::unique_ptr<Policy> SpotOneZonePolicy();
std::unique_ptr<Policy> SpotRoundRobinPolicy();

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_POLICY_H_
