#include "fleet/store/store.h"

#include <algorithm>
#include <utility>

#include "fleet/ledger/billing.h"

namespace spotinference::fleet {
namespace {

template <typename Map>
void Merge(Map& into, Map later) {
  later.merge(into);  // what it has already stays behind
  into = std::move(later);
}

template <typename T>
void Merge(std::optional<T>& into, std::optional<T> later) {
  if (later.has_value()) into = std::move(later);
}

Ledger::StorageSums BootDiskOf(const MachineRecord& machine, absl::Time since, absl::Time end) {
  const double gigabytes = machine.boot_gigabytes, hours = absl::ToDoubleHours(end - since);
  if (gigabytes <= 0 || hours <= 0) return {};
  const double per_hour = VolumePerHour(BillingRulesOf(machine.provider), gigabytes);
  return {{{machine.model, "boot_disk"}, {hours * gigabytes, hours * per_hour}}};
}

}  // namespace

std::optional<EndedVolume> EndedAt(const VolumeRecord& volume, absl::Time end) {
  if (volume.made == absl::InfinitePast()) return std::nullopt;
  EndedVolume ended = {.name = volume.name,
                       .model = volume.model,
                       .made = volume.made,
                       .ended = std::max(volume.made, end),
                       .gigabytes = volume.gigabytes};
  ended.dollars = volume.per_hour * absl::FDivDuration(ended.ended - ended.made, absl::Hours(1));
  return ended;
}

Ledger::StorageSums SleepOf(const MachineRecord& machine, absl::Time end) {
  const bool sleeps = machine.state == MachineState::kHibernated && machine.bought > absl::InfinitePast();
  if (!sleeps || !BillingRulesOf(machine.provider).boot_disk_asleep) return {};
  return BootDiskOf(machine, std::max(machine.bought, machine.since), end);
}

Ledger::StorageSums UpkeepOf(const MachineRecord& machine, absl::Time end) {
  const BillingRules& rules = BillingRulesOf(machine.provider);
  if (rules.provider != machine.provider || machine.bought == absl::InfinitePast() || end <= machine.bought) return {};
  Ledger::StorageSums sums =
      rules.boot_disk_asleep ? SleepOf(machine, end) : BootDiskOf(machine, machine.bought, end);
  if (machine.public_address && rules.address_stays)
    sums[{machine.model, "address"}].dollars = absl::ToDoubleHours(end - machine.bought) * rules.address_hour;
  return sums;
}

bool Store::Changes::empty() const {
  return machines.empty() && volumes.empty() && wakes.empty() && fills.empty() && gaps.empty() && wake_records.empty() &&
         decisions.empty() && !spending.has_value() && !book.has_value() && !market.has_value() && ended_volumes.empty();
}

void Store::Changes::Add(Changes later) {
  Merge(machines, std::move(later.machines));
  Merge(volumes, std::move(later.volumes));
  Merge(wakes, std::move(later.wakes));
  Merge(fills, std::move(later.fills));
  Merge(gaps, std::move(later.gaps));
  Merge(wake_records, std::move(later.wake_records));
  Merge(spending, std::move(later.spending));
  Merge(book, std::move(later.book));
  Merge(market, std::move(later.market));
  Merge(decisions, std::move(later.decisions));
  Merge(ended_volumes, std::move(later.ended_volumes));
}

}  // namespace spotinference::fleet
