#include "fleet/ledger/billing.h"

#include <algorithm>

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kMonth = absl::Hours(730);  // as the clouds count one for storage

//                                              starting running stopping stopped hibernating hibernated error
constexpr std::array<bool, kBilledStates> kAws = {false, true, false, false, true, false, false};
constexpr std::array<bool, kBilledStates> kGcp = {false, true, true, false, true, false, false};
constexpr std::array<bool, kBilledStates> kAzure = {true, true, true, true, false, false, true};
constexpr std::array<bool, kBilledStates> kHyperstack = {false, true, false, true, false, false, false};

const BillingRules kRules[] = {
    // "stopping" bills while it prepares to hibernate. EBS gp3; a public IPv4 address, in use or not.
    // Each instance-hour of a spot machine costs what the price was when it began ("… is set at the beginning of each
    // instance-hour for the entire hour"). Later pages say "the Spot price that's in effect", and not from when on.
    {"aws", absl::Seconds(1), absl::Seconds(60), absl::Hours(1), absl::Hours(1), kAws, 0.08, 0.005, false, false,
     "Amazon EC2 FAQs (Spot Instances); Overview of Amazon EC2 Spot Instances, How Spot Instances Work; EC2 User "
     "Guide, Instance lifecycle, Billing for interrupted Spot Instances; aws.amazon.com/ebs/pricing, /vpc/pricing"},
    // Until it is TERMINATED, and so while it is STOPPING; TERMINATED and SUSPENDED keep disk and static address.
    // Balanced disk. A price that changes, once a day at most, holds for use from then on.
    {"gcp", absl::Seconds(1), absl::Seconds(60), absl::Seconds(60), absl::ZeroDuration(), kGcp, 0.10, 0.005, false,
     false,
     "VM instance pricing (Billing model, Instance uptime); Compute Engine instance lifecycle; Spot VMs; "
     "cloud.google.com/compute/disks-image-pricing"},
    // Starting bills; Creating, while it allocates, does not, but nobody tells when that ends. Stopped without
    // deallocation keeps the hardware; Deallocating and hibernated do not bill. Standard SSD, a static public address.
    // Spot is charged at the current price.
    {"azure", absl::Seconds(1), absl::ZeroDuration(), absl::ZeroDuration(), absl::ZeroDuration(), kAzure, 0.075, 0.005,
     true, false,
     "States and billing status of Azure Virtual Machines; azure.microsoft.com/pricing/details/managed-disks"},
    // SHUTOFF bills in full, HIBERNATED storage and address only; STOPPING, HIBERNATING, RESTORING, ERROR do not bill.
    // That minutes are rounded up is not in these pages: it is the dearer reading. HIBERNATED costs "only for data from
    // the root disk saved to persistent storage", which is no more than that disk.
    {"hyperstack", absl::Minutes(1), absl::ZeroDuration(), absl::ZeroDuration(), absl::ZeroDuration(), kHyperstack,
     0.07, 0.00672, true, true,
     "Hyperstack, Virtual Machine States and Billing Status; Which Virtual Machine states incur billing costs?; "
     "Accounts, Billing Policies, and Usage Monitoring; pricebook"},
};
const BillingRules kUnknown = {"", absl::Seconds(1), absl::Seconds(60), absl::ZeroDuration(), absl::ZeroDuration(),
                               kAws, 0.08, 0.005, false, false, ""};

double Hours(absl::Duration time) { return absl::FDivDuration(time, absl::Hours(1)); }

// The prices' integral over [from, to).
double Dollars(absl::Span<const PriceSpan> prices, absl::Duration from, absl::Duration to) {
  double dollars = 0;
  for (size_t i = 0; i < prices.size(); ++i) {
    const absl::Duration begin = i == 0 ? from : std::max(from, prices[i].since);
    const absl::Duration end = i + 1 == prices.size() ? to : std::min(to, prices[i + 1].since);
    if (begin < end) dollars += prices[i].per_hour * Hours(end - begin);
  }
  return dollars;
}

// Each part of that length, from `from` on, at the price of its begin.
double DollarsByParts(absl::Span<const PriceSpan> prices, absl::Duration from, absl::Duration to, absl::Duration part) {
  double dollars = 0;
  size_t now = 0;
  for (absl::Duration at = from; at < to && !prices.empty(); at += part) {
    while (now + 1 < prices.size() && prices[now + 1].since <= at) ++now;
    dollars += prices[now].per_hour * Hours(std::min(part, to - at));
  }
  return dollars;
}

}  // namespace

const BillingRules& BillingRulesOf(absl::string_view provider) {
  for (const BillingRules& rules : kRules) {
    if (rules.provider == provider) return rules;
  }
  return kUnknown;
}

double BillOfRun(const BillingRules& rules, Market market, absl::Duration from, absl::Duration to, bool reclaimed,
                 absl::Span<const PriceSpan> prices) {
  if (from >= to) return 0;
  if (reclaimed && market == Market::kSpot && to - from < rules.free_reclaim) return 0;
  const absl::Duration charged = std::max(rules.minimum, absl::Ceil(to - from, rules.granularity));
  if (market == Market::kSpot && rules.spot_price_holds > absl::ZeroDuration()) {
    return DollarsByParts(prices, from, from + charged, rules.spot_price_holds);
  }
  return Dollars(prices, from, from + charged);
}

double VolumePerHour(const BillingRules& rules, double gigabytes) {
  return rules.volume_gb_month * gigabytes / Hours(kMonth);
}

Bill BillOf(const BillingRules& rules, const MachineHistory& history) {
  Bill bill;
  const std::vector<StateSpan>& spans = history.spans;
  for (size_t i = 0; i < spans.size();) {
    if (!rules.charged[static_cast<int>(spans[i].state)]) {
      ++i;
      continue;
    }
    const absl::Duration from = spans[i].from;
    absl::Duration to = spans[i].to;
    for (++i; i < spans.size() && spans[i].from == to && rules.charged[static_cast<int>(spans[i].state)]; ++i)
      to = spans[i].to;
    bill.machine += BillOfRun(rules, history.market, from, to, history.reclaimed && i == spans.size(), history.prices);
  }
  bill.volume = VolumePerHour(rules, history.volume_gb) * Hours(history.volume_to - history.volume_from);
  if (history.address && !spans.empty())
    bill.address = rules.address_hour * Hours(spans.back().to - spans.front().from);
  return bill;
}

}  // namespace spotinference::fleet
