#include "fleet/faults/stray_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kClocksDiffer = absl::Minutes(5);  // as the controller believes

double AddressHour(const EmulatedMachine& machine) {
  const BillingRules& rules = BillingRulesOf(machine.cloud);
  return machine.public_address && !rules.address_stays ? rules.address_hour : 0;
}

}  // namespace

std::pair<double, double> RangeOf(const std::vector<PriceSpan>& prices, absl::Duration from) {
  const auto begin = std::find_if(prices.begin() + 1, prices.end(), [&](const PriceSpan& p) { return p.since > from; });
  const auto less = [](const PriceSpan& a, const PriceSpan& b) { return a.per_hour < b.per_hour; };
  const auto [least, most] = std::minmax_element(begin - 1, prices.end(), less);
  return {least->per_hour, most->per_hour};
}

const std::vector<PriceSpan>& StrayWatch::PricesOf(const EmulatedMachine& machine) const {
  const EmulatedType& type = *cloud_.model().FindType(machine.cloud, machine.zone, machine.type);
  return machine.spot ? type.spot_prices : type.on_demand_prices;
}

double StrayWatch::under() const {
  double dollars = under_;
  for (const auto& [number, untold] : untold_) dollars += untold.dollars;
  return dollars;
}

double StrayWatch::untold_for_good(Names names) const {
  double dollars = 0;
  for (const auto& [name, lacking] : under_by_name_) dollars += names(name) ? lacking : 0;
  return dollars;
}

double StrayWatch::under(Names names) const {
  double dollars = untold_for_good(names);
  for (const auto& [number, untold] : untold_) dollars += names(untold.name) ? untold.dollars : 0;
  return dollars;
}

void StrayWatch::Lack(const std::string& name, double dollars) {
  under_ += dollars;
  under_by_name_[name] += dollars;
}

// What a dead controller was told of stays in its ledger as it was written down last: until the death at the most, and
// from a begin by a clock that may be wrong.
void StrayWatch::OnLife(bool begins) {
  if (begins) {
    ++lives_;
    life_began_ = sim_.now();
    return;
  }
  for (const auto& [number, told] : told_) {
    const auto machine = cloud_.model().machines().find(number);
    if (machine == cloud_.model().machines().end() || !machine->second.began.has_value()) continue;
    const double most = RangeOf(PricesOf(machine->second), *machine->second.began).second;
    const absl::Duration time = told.skew + (sim_.now() - machine->second.ended.value_or(sim_.now()));
    over_ += absl::ToDoubleHours(time) * (most + AddressHour(machine->second));
  }
  told_.clear();
  Check(absl::ZeroDuration(), [](const EmulatedMachine&) { return true; });
  for (const Ended& ended : std::exchange(ended_, {})) {
    over_ += ended.over;
    Lack(ended.name, ended.under);
  }
}

bool StrayWatch::IsWritten(const Ended& ended) const {
  const auto& entries = store_.book().entries;
  return store_.books() > ended.books && std::none_of(entries.begin(), entries.end(), [&](const Ledger::Entry& entry) {
           return absl::EndsWith(entry.machine, ended.id);
         });
}

void StrayWatch::OnEvent(const MachineEvent& stray, bool is_taken_over) {
  const int64_t number = SimCloud::NumberOf(stray.handle);
  const auto [told, is_new] = told_.try_emplace(number);
  const absl::Time life_began = sim_.clock.Now() - (sim_.now() - life_began_);
  if (is_new) {
    told->second = {lives_ > 1 && *stray.began < life_began + kClocksDiffer,
                    absl::StrCat("stray ", stray.offer->provider, " ", stray.handle, " ",
                                 absl::ToUnixSeconds(*stray.began)),
                    absl::AbsDuration(sim_.clock.skew)};
  }
  if (!stray.ended.has_value()) return;
  End(number, told->second, stray, is_taken_over);
  told_.erase(told);
}

void StrayWatch::End(int64_t number, const Told& told, const MachineEvent& stray, bool is_taken_over) {
  const auto found = cloud_.model().machines().find(number);
  if (found == cloud_.model().machines().end() || !found->second.began.has_value()) return;
  const EmulatedMachine& machine = found->second;
  const absl::Duration from = *stray.began - SimCloud::TimeOf(absl::ZeroDuration());
  const absl::Duration to = *stray.ended - SimCloud::TimeOf(absl::ZeroDuration());
  const absl::Duration began = *machine.began, ended = std::min(sim_.now(), machine.ended.value_or(sim_.now()));
  if (began > to) return;  // it runs again, and of the run before nobody can say any more what it was
  const BillingRules& rules = BillingRulesOf(machine.cloud);
  const Market market = machine.spot ? Market::kSpot : Market::kOnDemand;
  const std::vector<PriceSpan>& prices = PricesOf(machine);
  const auto bill = [&](absl::Duration from, absl::Duration to, bool reclaimed) {
    return BillOfRun(rules, market, from, to, reclaimed, prices) +
           AddressHour(machine) * absl::ToDoubleHours(to - from);
  };
  // As when machines that are asked for begin, a price that has just moved may not have been told (Watch::NoteRun).
  const auto [least, most] = RangeOf(prices, std::min(began, from) - kClocksDiffer);
  const auto charged = [&](absl::Duration time, double per_hour) {
    return absl::ToDoubleHours(std::max(time, absl::ZeroDuration())) * (per_hour + AddressHour(machine));
  };
  const double doubt = charged(to - from, most) - charged(to - from, least);  // prices from before it was told of
  over_ += doubt;
  Lack(machine.name, doubt);
  if (machine.ended.has_value() && ended <= from) {  // it has only been about to run
    over_ += bill(from, to, false);
    return;
  }
  const double has = bill(from, to, stray.reclaimed), right = bill(began, ended, machine.reclaimed);
  const auto untold = untold_.find(number);
  const double pending = untold != untold_.end() && untold->second.began == began ? untold->second.dollars : 0;
  ended_.push_back({told.id, machine.name, store_.books(),
                    charged(sim_.now() - ended + told.skew, most) + (machine.reclaimed ? has : 0), pending});
  const double rounding = charged(rules.minimum + rules.granularity, most);
  if (told.may_be_booked) {  // from the word of it to the word of its end, unless this life has all of it
    over_ += charged(sim_.now() - ended, most) + rounding + (machine.reclaimed ? has : 0);
    return;
  }
  if (pending > 0) untold_.erase(untold);
  const bool is_part = from > began || is_taken_over;
  over_ += is_part ? rounding + (rules.free_reclaim > absl::ZeroDuration() ? has : 0) + charged(to - ended, most)
                   : std::max(0.0, has - right);
  if (is_part) Lack(machine.name, rounding + charged(from - began, most));
  // Where nothing else tells, one that no list has ended when they first lacked it.
  if (to < ended && machine.listed_at > ended) Lack(machine.name, rounding + charged(ended - to, most));
}

void StrayWatch::Check(absl::Duration took, absl::FunctionRef<bool(const EmulatedMachine&)> is_known) {
  std::erase_if(ended_, [this](const Ended& ended) { return IsWritten(ended); });
  for (const auto& [number, machine] : cloud_.model().machines()) {
    const auto before = untold_.find(number);
    const bool is_noted = before != untold_.end() && before->second.began == machine.began;
    const absl::Duration ended = machine.ended.value_or(sim_.now());
    const bool is_past = machine.ended.has_value() && (!is_noted || ended < sim_.now() - took);
    if (!machine.began.has_value() || is_past || is_known(machine)) continue;
    const BillingRules& rules = BillingRulesOf(machine.cloud);
    Untold& untold = untold_[number];
    absl::Duration time = took - (sim_.now() - ended);
    if (untold.dollars == 0 || untold.began != *machine.began) {
      time += rules.minimum + rules.granularity;
      Lack(machine.name, std::exchange(untold, {.name = machine.name, .began = *machine.began}).dollars);
    }
    untold.dollars += absl::ToDoubleHours(time) *
                      (RangeOf(PricesOf(machine), *machine.began).second + AddressHour(machine));
  }
}

}  // namespace spotinference::fleet
