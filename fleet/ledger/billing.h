// What a cloud charges for a machine's history: each cloud's rules as data, with their sources, and the arithmetic on
// them.
//
// Prices come from the history, since they change; the rules say which seconds are charged.
#ifndef FLEET_LEDGER_BILLING_H_
#define FLEET_LEDGER_BILLING_H_

#include <array>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "fleet/api/offer.h"

namespace spotinference::fleet {

// As the cloud sees the machine. Its words for them stand in billing.cc.
enum class BilledState {
  kStarting,  // asked for, does not run yet
  kRunning,
  kStopping,     // on its way to kStopped
  kStopped,      // does not run, its hardware is kept for it
  kHibernating,  // on its way to kHibernated
  kHibernated,   // its hardware is given up, its disk stays
  kError,
};
constexpr int kBilledStates = 7;

struct BillingRules {
  absl::string_view provider;
  absl::Duration granularity;               // each run is charged for whole ones, rounded up
  absl::Duration minimum;                   // and for at least this
  absl::Duration free_reclaim;              // a spot run that the provider ends before this is free; zero: none is
  // A spot run is charged in parts of this length, each at the price of its begin; zero: at each moment's price.
  absl::Duration spot_price_holds;
  std::array<bool, kBilledStates> charged;  // at the machine's price, by BilledState
  // Dollars, list prices of the cheapest usual kind. Both go on for as long as volume and address exist.
  double volume_gb_month;
  double address_hour;
  bool address_stays;  // of a machine that is stopped or hibernated, as this fleet's have one
  // The disk that a machine boots from costs while that is hibernated, and is in its price else; false: it costs for as
  // long as it exists.
  bool boot_disk_asleep;
  absl::string_view source;  // pages that say so
};

// A provider that no rules are known of gets AWS's without the free reclaim.
const BillingRules& BillingRulesOf(absl::string_view provider);

// A machine's price from some moment on. Spot prices move while a machine runs.
struct PriceSpan {
  absl::Duration since;
  double per_hour = 0;  // dollars
};

// A time in one state.
struct StateSpan {
  BilledState state = BilledState::kRunning;
  absl::Duration from, to;
};

struct MachineHistory {
  Market market = Market::kOnDemand;
  std::vector<StateSpan> spans;   // in order, none overlaps
  std::vector<PriceSpan> prices;  // in order; the first holds before its `since` too
  bool reclaimed = false;         // the provider took it; at the end of the last span
  double volume_gb = 0;
  absl::Duration volume_from, volume_to;  // the volume outlives the machine
  bool address = false;                   // from the first span's begin to the last one's end
};

struct Bill {
  double machine = 0, volume = 0, address = 0;  // dollars
  double total() const { return machine + volume + address; }
};

// Dollars an hour of a volume, whether a machine has it or not.
double VolumePerHour(const BillingRules& rules, double gigabytes);

Bill BillOf(const BillingRules& rules, const MachineHistory& history);

// Dollars of one uninterrupted run [from, to) under `rules`: what BillOf adds up.
double BillOfRun(const BillingRules& rules, Market market, absl::Duration from, absl::Duration to, bool reclaimed,
                 absl::Span<const PriceSpan> prices);

}  // namespace spotinference::fleet

#endif  // FLEET_LEDGER_BILLING_H_
