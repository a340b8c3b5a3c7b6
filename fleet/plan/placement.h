// Where a model's machines should run: which offers to buy, which machines to let go, and why. A pure function of what
// is needed, what is there, what the market costs and what it has shown (market_memory.h).
//
// PlanModel (plan.h) decides whether a model is awake and what a machine's state calls for next; this decides how many
// there are and where. The caller gives PlanModel Placement::machines as its minimum, takes the offers of `launches` in
// turn for its launches, and drains what `ends` names.
//
// **What must be left of a loss.** On-demand machines come D after it (with the time to fill a volume, where no volume
// has the weights). Where the load L is cut to S machines' worth, who has to wait longest is served just then, after
// D · (1 − S / L); answers that lost their machine come first and take an answer's time, A. So nobody waits longer than
// the target's W where S ≥ L · (1 − (W − A) / D).
//
// **What a miss costs.** A zone that is lost λ times an hour makes, where too few are left, the share λ · D' of
// requests wait too long (D': the time without machines that clients notice). "Too few" is no edge: in D come more or
// fewer requests by chance. Their number is Poisson and answers are exponential, so what they take has the standard
// deviation s = √(2 A / (streams · L · D)) of its mean, and where S' are left of a loss the share E[max(0, 1 + s Z − S' / S)]
// is missed, Z standard normal: 0.4 s where just S are left, next to nothing from S · (1 + 3 s) on. A loss takes all of
// the zone's machines in the learned share Outlook::whole of them, else one. Two zones go together in the learned
// share q of their losses: q times as often as the safer of them is lost; three q² times as often as the safest, and so
// on. A plan costs its machines and, for that share in units of the target's, 0.4 of what serving all on demand costs,
// and up to four times as much as the error budget (demand.h) is used up. So cheap safety is always bought, dear safety
// when it is needed; and a run of bad luck is made up for over days, not at any price. While fewer serve than S, a
// machine on demand that has to fill its volume first costs what is missed meanwhile, where another one has not.
//
// Bursts (bursts.h) wait for no replacement: of what comes in D' the share is missed that would have been missed of the
// last hour's with S' machines. So a quarter, a half, three quarters and all of the machines for bursts are tried as S.
//
// **Plans.** With at most m machines in each zone that is guarded against, max(N, S + m) machines do. The cheapest are
// taken in order. First fewer are missing as m grows and then the cost is convex in it (a linear program's value in its
// right-hand side), so the best m is found by bisection. Guarded against are no zone, the riskiest, the two, four, …
// riskiest, or all zones, and all of them at once; the cheapest plan wins. So spot in several zones, spare spot
// machines, on demand, and spread or concentrated, are one decision by price.
//
// **Doubt.** A zone that had none, or took one, is counted on for what has come up there since. Where a machine there
// would be taken one is asked for each minute, in one zone at a time; what comes of that changes the plan, what does
// not has cost nothing.
//
// **Hysteresis.** A machine that is there counts as 15 % cheaper than a new one, and goes only when what replaces it
// serves; see also buyer.h.
#ifndef FLEET_PLAN_PLACEMENT_H_
#define FLEET_PLAN_PLACEMENT_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "fleet/api/offer.h"
#include "fleet/plan/bursts.h"
#include "fleet/plan/demand.h"
#include "fleet/plan/market_memory.h"

namespace spotinference::fleet {

struct PlacementOffer {
  double price_per_hour = 0;  // dollars
  double volume_per_hour = 0;  // beside these, of a volume that has to be made: what is there bills in any case
  Market market = Market::kOnDemand;
  Outlook outlook;       // of its domain; offers of one domain cannot be told apart
  absl::Duration start;  // from the call until a new machine serves whose volume holds the weights
  absl::Duration fill;   // longer, where the volume has to be filled first
  int filled = 0;        // free volumes there that hold the weights: one machine each
  bool has_weights = true;  // some volume there holds them, free or not
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
  double dollars_elsewhere = 0;  // an hour, of machines of others that the same money pays
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
  int spare = 0;     // of them, beyond the load's
  bool broke = false;  // what costs is ended because the money is spent
  bool lacks_money = false;  // more would be launched if more were left of the day's money
  absl::Duration next = absl::InfiniteDuration();  // when a closed offer that would be taken may have opened
  int64_t steps = 0;                               // offers and machines looked at, for the test of its growth
};

struct PlacementLoad {
  int needed = 0;          // machines, chance included (demand.h)
  double busy = 0;         // machines' worth of streams that the load keeps busy just now
  double budget_used = 0;  // ErrorBudget::Used
  absl::Duration service;  // an answer's, in the mean
  int streams = 1;         // answers that a machine runs at a time
  double together = 0;     // the share of losses that take another zone with them (MarketMemory::Together)
  BurstLoad bursts;        // of the last hour, where the load comes in bursts
};

// Machines that are being drained, or that their provider takes, are not among `machines`.
Placement Place(const PlacementLoad& load, const ServiceTarget& target, const PlacementLimits& limits,
                absl::Span<const PlacementOffer> offers, absl::Span<const PlacementMachine> machines,
                absl::Duration now);

}  // namespace spotinference::fleet

#endif  // FLEET_PLAN_PLACEMENT_H_
