// Where a model's machines should run: which offers to buy, which machines to let go, and why. A pure function of what
// is needed, what is there, what the market costs and what it has shown (market_memory.h).
//
// PlanModel (plan.h) decides whether a model is awake and what a machine's state calls for next; this decides how many
// there are and where. The caller gives PlanModel Placement::machines as its minimum, takes the offers of `launches` in
// turn for its launches, and drains what `ends` names.
//
// **Spare machines.** A zone whose loss would make more requests wait than the target allows is risky: losses an hour ×
// hours without its machines > half the share that may wait. Any one risky zone may go at any time, and those that are
// left must do until on-demand machines have come, D later. Doing is less than serving with ease: with S machines'
// worth of streams for a load of L, a queue grows whose last request waits D · (L − S) / S, which may be half the
// target's wait W: S = L / (1 + W / 2D). So with at most m machines in each risky zone, max(N, S + m) machines are
// held. m = 0 buys only what is not risky, on demand if need be; a large m concentrates on the cheapest zones and pays
// for spare machines there. For each m the cheapest machines are taken in order; the cost is convex in m (a linear
// program's value in its right-hand side), so the best m is found by bisection.
//
// **What may be missed is spent.** S counts in full once half of the requests that may wait too long have done so of
// late (demand.h's ErrorBudget), and in proportion before. Zones also go together, which no single one's losses
// foretell: where that uses up the budget, m is held over all risky zones at once until it has recovered.
//
// **Doubt.** A zone that had none, or took one, is counted on for what has come up there since, and asked for more now
// and then; what comes of that changes the plan, what does not has cost nothing.
//
// **Hysteresis.** A machine that is there counts as 15 % cheaper than a new one, and goes only when what replaces it
// serves.
#ifndef FLEET_PLAN_PLACEMENT_H_
#define FLEET_PLAN_PLACEMENT_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "fleet/api/offer.h"
#include "fleet/plan/demand.h"
#include "fleet/plan/market_memory.h"

namespace spotinference::fleet {

struct PlacementOffer {
  double price_per_hour = 0;  // dollars
  Market market = Market::kOnDemand;
  Outlook outlook;       // of its domain; offers of one domain cannot be told apart
  absl::Duration start;  // from the call until a new machine serves whose volume holds the weights
  absl::Duration fill;   // longer, where the volume has to be filled first
  int filled = 0;        // free volumes there that hold the weights: one machine each
};

struct PlacementMachine {
  int offer = 0;        // index
  bool exists = false;  // else the provider has not said whether it has one
  bool serves = false;
  bool at_risk = false;  // its provider recommends to replace it: it counts until what replaces it serves
};

struct PlacementLimits {
  int min_machines = 0;
  int max_machines = std::numeric_limits<int>::max();
  double max_price = std::numeric_limits<double>::infinity();  // dollars an hour of one machine
  // What may still be spent until the day's end; infinity: no limit. A machine is bought only while this pays for a
  // quarter of an hour of all; below two minutes of all every machine goes.
  double dollars_left = std::numeric_limits<double>::infinity();
};

struct Placement {
  struct Launch {
    int offer = 0;
    std::string why;
  };
  struct End {
    int machine = 0;  // index into the machines given
    std::string why;
  };
  std::vector<Launch> launches;
  std::vector<End> ends;
  int machines = 0;  // that are there, not ended, and launched: PlanModel's minimum
  int wanted = 0;    // in the end, spare ones included
  int spare = 0;
  bool lacks_money = false;  // more would be launched if more were left of the day's money
  absl::Duration next = absl::InfiniteDuration();  // when a closed offer that would be taken may have opened
  int64_t steps = 0;                               // offers and machines looked at, for the test of its growth
};

struct PlacementLoad {
  int needed = 0;          // machines, chance included (demand.h)
  double busy = 0;         // machines' worth of streams that the load keeps busy just now
  double budget_used = 0;  // ErrorBudget::Used
};

// Machines that are being drained, or that their provider takes, are not among `machines`.
Placement Place(const PlacementLoad& load, const ServiceTarget& target, const PlacementLimits& limits,
                absl::Span<const PlacementOffer> offers, absl::Span<const PlacementMachine> machines,
                absl::Duration now);

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_PLACEMENT_H_
