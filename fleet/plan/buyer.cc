#include "fleet/plan/buyer.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

// Until weights have been downloaded once nobody knows how long that takes; a model of some gigabytes takes minutes.
constexpr absl::Duration kFill = absl::Minutes(3);

template <typename T>
bool IsAmong(const T& value, const std::vector<T>& allowed) {
  return allowed.empty() || std::find(allowed.begin(), allowed.end(), value) != allowed.end();
}

// Why the wish rules the offer out; "" where it does not.
absl::string_view WhyNot(const Wish& wish, const Offer& offer, double dollars_left) {
  if (!IsAmong(offer.accelerator, wish.accelerators)) return "machines.accelerators";
  if (!IsAmong(offer.region, wish.regions)) return "machines.regions";
  if (!IsAmong(offer.market, wish.markets)) return "machines.markets";
  if (offer.price_per_hour > wish.max_price) return "machines.max_price";
  if (offer.price_per_hour > 0 && dollars_left <= 0) return "spend.max_dollars_per_day";
  return "";
}

}  // namespace

Buyer::DomainKey Buyer::KeyOf(const Offer& offer) {
  return {{offer.provider, offer.zone}, {offer.market, offer.machine_type}};
}

int Buyer::Domain(const Offer& offer) {
  return domains_.emplace(KeyOf(offer), static_cast<int>(domains_.size())).first->second;
}

void Buyer::SetOffers(std::vector<Offer> offers) {
  offers_.clear();
  for (Offer& offer : offers) {
    const DomainKey key = KeyOf(offer);
    offers_[key] = std::move(offer);
  }
}

std::string Buyer::WhyNotTheOnly(const Wish& wish, double dollars_left) const {
  if (!offers_.empty()) {
    const absl::string_view why = WhyNot(wish, offers_.begin()->second, dollars_left);
    return why.empty() ? "" : absl::StrCat(why, " rules out the only offer");
  }
  const bool wants_to_know = wish.max_price < std::numeric_limits<double>::infinity() || !wish.accelerators.empty() ||
                             !wish.regions.empty() || !wish.markets.empty();
  return wants_to_know ? "what is sold is not known yet" : "";
}

const Offer& Buyer::Current(const Offer& offer) const {
  const auto found = offers_.find(KeyOf(offer));
  return found == offers_.end() ? offer : found->second;
}

bool Buyer::HasFreeOffer(const Wish& wish) const {
  return std::any_of(offers_.begin(), offers_.end(), [&](const auto& entry) {
    return entry.second.price_per_hour == 0 && WhyNot(wish, entry.second, 0).empty();
  });
}

LoadForecast& Buyer::ForecastOf(absl::string_view model, const Wish& wish, absl::Duration start) {
  const auto found = forecasts_.find(model);
  if (found != forecasts_.end()) return found->second;
  return forecasts_.emplace(std::string(model), LoadForecast(wish.streams, start, target_)).first->second;
}

void Buyer::Arrived(absl::string_view model, const Wish& wish, absl::Duration now) {
  ForecastOf(model, wish, absl::Minutes(2)).Arrived(now);
}

void Buyer::Served(absl::string_view model, absl::Duration took, absl::Duration now) {
  if (const auto found = forecasts_.find(model); found != forecasts_.end()) found->second.Served(now, took);
}

void Buyer::Answered(absl::string_view model, absl::Duration waited, bool refused, absl::Duration now) {
  const auto budget = budgets_.try_emplace(std::string(model), target_).first;
  budget->second.Answered(now, !refused && waited <= target_.wait);
}

Buyer::Decision Buyer::Decide(absl::string_view model, const Wish& wish, const Load& load,
                              absl::Span<const Machine> machines, absl::Span<const Offer> filled, double dollars_left,
                              absl::Duration now) {
  std::map<DomainKey, int> index;
  std::vector<Offer> offers;
  std::vector<PlacementOffer> placement_offers;
  // What the machines have now is among what Place chooses from, but nothing new of it where the wish rules it out.
  const auto add = [&](const Offer& offer, bool may_buy) {
    if (!index.emplace(KeyOf(offer), static_cast<int>(offers.size())).second) return;
    PlacementOffer& to = placement_offers.emplace_back();
    to.price_per_hour = offer.price_per_hour;
    to.market = offer.market;
    to.outlook = memory_.Of(Domain(offer), now);
    if (!may_buy) {
      to.outlook.room = 0;
      to.outlook.closed_until = absl::InfiniteDuration();
    }
    to.start = load.start;
    to.fill = kFill;
    to.filled = static_cast<int>(std::count_if(filled.begin(), filled.end(), [&](const Offer& has) {
      return has.provider == offer.provider && has.zone == offer.zone;
    }));
    offers.push_back(offer);
  };
  std::map<std::string, int> ruled_out;
  for (const auto& [key, offer] : offers_) {
    const absl::string_view why = WhyNot(wish, offer, dollars_left);
    if (why.empty()) add(offer, true);
    if (!why.empty()) ++ruled_out[std::string(why)];
  }
  Decision decision;
  if (offers.empty()) {
    decision.why_none = absl::StrCat("none of ", offers_.size(), " offers may be bought:");
    for (const auto& [why, count] : ruled_out) absl::StrAppend(&decision.why_none, " ", why, " rules out ", count, ";");
    decision.why_none.pop_back();
  }
  std::vector<PlacementMachine> placed;
  int serving = 0;
  std::vector<const Machine*> kept;
  for (const Machine& machine : machines) {
    if (dollars_left <= 0 && Current(machine.offer).price_per_hour > 0) {
      decision.ends.emplace_back(machine.id, "the day's money is spent");
      continue;
    }
    kept.push_back(&machine);
    add(Current(machine.offer), false);
    serving += machine.serves;
    placed.push_back({.offer = index[KeyOf(machine.offer)], .exists = machine.exists, .serves = machine.serves,
                      .at_risk = machine.at_risk});
  }
  LoadForecast& forecast = ForecastOf(model, wish, load.start);
  const PlacementLimits limits = {.min_machines = wish.min_machines, .max_machines = wish.max_machines,
                                  // Without money only free ones are left to choose from.
                                  .dollars_left = dollars_left > 0 ? dollars_left : std::numeric_limits<double>::infinity()};
  const auto budget = budgets_.find(model);
  const Placement placement =
      Place({.needed = std::max(1, forecast.Needed(now, load.waiting, serving)), .busy = forecast.Busy(now),
             .budget_used = budget == budgets_.end() ? 0 : budget->second.Used()},
            target_, limits, placement_offers, placed, now);
  for (const Placement::Launch& launch : placement.launches) {
    decision.launches.emplace_back(offers[launch.offer], launch.why);
  }
  for (const Placement::End& end : placement.ends) decision.ends.emplace_back(kept[end.machine]->id, end.why);
  if (placement.lacks_money && decision.launches.empty()) {
    decision.why_none = absl::StrCat("the ", dollars_left, " dollars that are left of spend.max_dollars_per_day pay for no machine");
  }
  decision.machines = placement.machines;
  decision.next = placement.next;
  return decision;
}

}  // namespace spotinference::fleet
