#include "fleet/plan/buyer.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace spotinference::fleet {
namespace {

// In which a price is forgotten, but for a third. Of two places whose prices, 1 and 3, change sides every five minutes the
// means then come to 2 · tanh(5 / (2 · 30)) / 2 = 8 % apart, less than the 15 % by which a machine that is there counts as
// cheaper; a price that stays changed by a third moves a machine after some 20 minutes.
constexpr absl::Duration kLate = absl::Minutes(30);
constexpr absl::Duration kDear = absl::Minutes(10), kTooDear = absl::Minutes(30);

std::string AboveLimit(double price, double max_price, absl::Duration since) {
  return absl::StrFormat("$%.4f/h have been above machines.max_price, $%.4f/h, for %s", price, max_price,
                         absl::FormatDuration(absl::Floor(since, absl::Minutes(1))));
}

template <typename T>
bool IsAmong(const T& value, const std::vector<T>& allowed) {
  return allowed.empty() || std::find(allowed.begin(), allowed.end(), value) != allowed.end();
}

}  // namespace

// Why it may not be bought; "" where it may.
absl::string_view Buyer::WhyNot(const Wish& wish, const OnSale& sold, double dollars_left) {
  const Offer& offer = sold.offer;
  if (!IsAmong(offer.accelerator, wish.accelerators)) return "machines.accelerators";
  if (!IsAmong(offer.region, wish.regions)) return "machines.regions";
  if (!IsAmong(offer.market, wish.markets)) return "machines.markets";
  if (offer.price_per_hour > wish.max_price) return "machines.max_price";
  if (offer.price_per_hour > 0 && dollars_left <= 0) return "max_dollars_per_day";
  const auto is_there = [&](const Offer& place) { return SamePlace(place, offer); };
  const bool restores = std::any_of(wish.hibernated.begin(), wish.hibernated.end(), is_there);
  if (!sold.bar.why.empty() && (sold.bar.restores || !restores)) return sold.bar.why;
  if (std::any_of(wish.not_again.begin(), wish.not_again.end(), is_there)) return "a start that failed";
  return "";
}

int Buyer::Domain(const Offer& offer) {
  const auto key = std::tie(offer.provider, offer.zone, offer.market, offer.machine_type);
  if (const auto found = domains_.find(key); found != domains_.end()) return found->second;
  by_domain_.push_back(-1);
  return domains_.emplace(key, static_cast<int>(domains_.size())).first->second;
}

void Buyer::SetOffers(std::vector<Offer> offers, std::map<size_t, Bar> bars) {
  sold_.clear();
  least_on_demand_.clear();
  std::fill(by_domain_.begin(), by_domain_.end(), -1);
  for (size_t i = 0; i < offers.size(); ++i) {
    Offer& offer = offers[i];
    const int domain = Domain(offer);
    if (offer.market == Market::kOnDemand) {
      const auto least = least_on_demand_.try_emplace({offer.provider, offer.machine_type}, offer.price_per_hour).first;
      least->second = std::min(least->second, offer.price_per_hour);
    }
    int& at = by_domain_[domain];
    if (at < 0) {
      at = static_cast<int>(sold_.size());
      sold_.emplace_back();
    }
    const auto bar = bars.find(i);
    sold_[at] = {std::move(offer), domain, bar == bars.end() ? Bar() : std::move(bar->second)};
  }
}

std::string Buyer::WhyNotTheOnly(const Wish& wish, double dollars_left) const {
  if (!sold_.empty()) {
    const absl::string_view why = WhyNot(wish, sold_[0], dollars_left);
    return why.empty() ? "" : absl::StrCat(why, " rules out the only offer");
  }
  const bool wants_to_know = wish.max_price < std::numeric_limits<double>::infinity() || !wish.accelerators.empty() ||
                             !wish.regions.empty() || !wish.markets.empty();
  return wants_to_know ? "what is sold is not known yet" : "";
}

const Offer* Buyer::Sold(const Offer& like, Market market) const {
  const auto found = domains_.find(std::tie(like.provider, like.zone, market, like.machine_type));
  const int at = found == domains_.end() ? -1 : by_domain_[found->second];
  return at < 0 ? nullptr : &sold_[at].offer;
}

const Offer& Buyer::Current(const Offer& offer) const {
  const Offer* const sold = Sold(offer, offer.market);
  return sold == nullptr ? offer : *sold;
}

double Buyer::OnDemandPrice(const Offer& offer) const {
  if (const Offer* const sold = Sold(offer, Market::kOnDemand); sold != nullptr) return sold->price_per_hour;
  const auto least = least_on_demand_.find(std::tie(offer.provider, offer.machine_type));
  return least == least_on_demand_.end() ? 0 : least->second;
}

void Buyer::NotePrices(absl::Duration now) {
  late_.resize(domains_.size());
  for (const OnSale& sold : sold_) {
    Late& late = late_[sold.domain];
    const double price = sold.offer.price_per_hour;
    if (late.at < absl::ZeroDuration()) {
      late.mean = price;
    } else if (late.mean != late.latest) {
      late.mean += -std::expm1(-absl::FDivDuration(now - late.at, kLate)) * (late.latest - late.mean);
    }
    late.latest = price;
    late.at = now;
  }
}

double Buyer::LatePrice(const Offer& offer, int domain) const {
  return by_domain_[domain] < 0 ? offer.price_per_hour : late_[domain].mean;
}

bool Buyer::HasFreeOffer(const Wish& wish) const {
  return std::any_of(sold_.begin(), sold_.end(), [&](const OnSale& sold) {
    return sold.offer.price_per_hour == 0 && WhyNot(wish, sold, 0).empty();
  });
}

bool Buyer::HasOpenOffer(const Wish& wish, double dollars_left, absl::Duration now) const {
  return std::any_of(sold_.begin(), sold_.end(), [&](const OnSale& sold) {
    return WhyNot(wish, sold, dollars_left).empty() && memory_.Of(sold.domain, now).closed_until <= now;
  });
}

LoadForecast& Buyer::ForecastOf(absl::string_view model, const Wish& wish) {
  const auto found = forecasts_.find(model);
  if (found != forecasts_.end()) return found->second;
  return forecasts_.emplace(std::string(model), LoadForecast(wish.streams, wish.target)).first->second;
}

void Buyer::Arrived(absl::string_view model, const Wish& wish, absl::Duration now) {
  ForecastOf(model, wish).Arrived(now);
}

void Buyer::Served(absl::string_view model, absl::Duration took, absl::Duration now) {
  if (const auto found = forecasts_.find(model); found != forecasts_.end()) found->second.Served(now, took);
}

void Buyer::Answered(absl::string_view model, const Wish& wish, const Answer& answer, absl::Duration now) {
  Service& service = services_[std::string(model)];
  service.wakes = !answer.awake || (service.wakes && (answer.refused || answer.queued > absl::ZeroDuration()));
  if (!service.wakes) service.budget.Answered(now, !answer.refused && answer.waited <= wish.target.wait);
}

void Buyer::Memory::Move(absl::Duration by) {
  for (Place& place : places) {
    MarketMemory::Domain& seen = place.seen;
    for (absl::Duration* const time : {&seen.opened, &seen.left, &seen.counted, &seen.last_loss, &seen.closed_until})
      *time += by;
  }
  common.paired += by;
  for (auto& [model, budget] : budgets) {
    for (absl::Duration* const time : {&budget.hour, &budget.first, &budget.last}) *time += by;
  }
}

Buyer::Memory Buyer::Kept(absl::Duration now) const {
  Memory memory = {.common = memory_.common()};
  for (const auto& [key, domain] : domains_) {
    const auto& [provider, zone, market, machine_type] = key;
    const MarketMemory::Domain seen = memory_.Kept(domain, now);
    if (!seen.open && seen.came < 0 && seen.losses == 0) continue;  // nothing was ever asked for there
    memory.places.push_back({provider, zone, market, machine_type, seen});
  }
  for (const auto& [model, service] : services_) memory.budgets.emplace(model, service.budget.kept());
  return memory;
}

void Buyer::Recall(const Memory& memory, absl::Duration now) {
  for (const Memory::Place& place : memory.places) {
    const Offer offer = {.provider = place.provider, .zone = place.zone, .market = place.market,
                         .machine_type = place.machine_type};
    memory_.Recall(Domain(offer), place.seen, now);
  }
  memory_.Recall(memory.common, now);
  for (const auto& [model, budget] : memory.budgets) {
    services_[model].budget.Recall(budget, now);
  }
}

// What Place chooses from, and which of it is what.
class Buyer::Choice {
 public:
  Choice(const MarketMemory& memory, const Load& load, absl::Span<const Machine> machines,
         absl::Span<const Offer> filled, int domains, absl::Duration now)
      : memory_(memory), load_(load), now_(now), index_(domains, -1) {
    for (const Machine& machine : machines) {
      if (machine.serves) volumes_[{machine.offer.provider, machine.offer.zone}] = 0;
    }
    for (const Offer& offer : filled) ++volumes_[{offer.provider, offer.zone}];
    offers_.reserve(domains);
    places_.reserve(domains);
  }

  // Returns its index. Of what may not be bought what is there stays.
  int Add(const Offer& offer, int domain, double late_price, bool may_buy) {
    int& index = index_[domain];
    if (index >= 0) return index;
    index = static_cast<int>(offers_.size());
    offers_.push_back(&offer);
    PlacementOffer& to = places_.emplace_back();
    to.price_per_hour = late_price;
    to.market = offer.market;
    to.outlook = memory_.Of(domain, now_);
    if (!may_buy) {
      to.outlook.room = 0;
      to.outlook.closed_until = absl::InfiniteDuration();
    }
    to.start = load_.start;
    to.fill = load_.fill;
    const auto volumes = volumes_.find({offer.provider, offer.zone});
    to.has_weights = volumes != volumes_.end();
    if (to.has_weights) to.filled = volumes->second;
    to.volume_per_hour = offer.volume_per_hour;
    return index;
  }

  const Offer& offer(int index) const { return *offers_[index]; }
  const std::vector<PlacementOffer>& places() const { return places_; }

 private:
  const MarketMemory& memory_;
  const Load& load_;
  const absl::Duration now_;
  // Free ones with weights, by provider and zone; 0 where there are others only.
  std::map<std::pair<absl::string_view, absl::string_view>, int> volumes_;
  std::vector<int> index_;  // by domain; -1: not among them
  std::vector<const Offer*> offers_;
  std::vector<PlacementOffer> places_;
};

// For how long the price of each machine that is too dear now has been above what the model may pay.
std::map<std::string, absl::Duration> Buyer::NoteDear(absl::string_view model, const Wish& wish,
                                                      absl::Span<const Machine> machines, absl::Duration now) {
  if (wish.max_price == std::numeric_limits<double>::infinity()) return {};
  std::map<std::string, absl::Duration> since, &before = dear_[std::string(model)], above;
  for (const Machine& machine : machines) {
    if (Current(machine.offer).price_per_hour <= wish.max_price) continue;
    const auto known = before.find(machine.id);
    since[machine.id] = known == before.end() ? now : known->second;
    above[machine.id] = now - since[machine.id];
  }
  before = std::move(since);
  return above;
}

std::vector<const Buyer::Machine*> Buyer::EndWhatCosts(const Wish& wish,
                                                       const std::map<std::string, absl::Duration>& dear,
                                                       absl::Span<const Machine> machines, double dollars_left,
                                                       absl::Duration now, Decision& decision) const {
  std::vector<const Machine*> kept;
  for (const Machine& machine : machines) {
    const double price = Current(machine.offer).price_per_hour;
    const auto above = dear.find(machine.id);
    if (dollars_left <= 0 && price > 0) {
      decision.ends.emplace_back(machine.id, "the day's money is spent");
    } else if (above != dear.end() && above->second >= kTooDear) {
      decision.ends.emplace_back(machine.id, absl::StrCat("its ", AboveLimit(price, wish.max_price, above->second),
                                                          ", and no other has come to serve in its place"));
    } else {
      kept.push_back(&machine);
      if (above == dear.end()) continue;
      decision.next = std::min(decision.next, now + (above->second < kDear ? kDear : kTooDear) - above->second);
    }
  }
  return kept;
}

void Buyer::AddWhatMayBeBought(const Wish& wish, double dollars_left, Choice& choice, Decision& decision) const {
  std::map<absl::string_view, int> ruled_out;
  for (const OnSale& sold : sold_) {
    const absl::string_view why = WhyNot(wish, sold, dollars_left);
    if (!why.empty()) ++ruled_out[why];
    else choice.Add(sold.offer, sold.domain, LatePrice(sold.offer, sold.domain), true);
  }
  if (!choice.places().empty()) return;
  decision.why_none = absl::StrCat("none of ", sold_.size(), " offers may be bought:");
  for (const auto& [why, count] : ruled_out) absl::StrAppend(&decision.why_none, " ", why, " rules out ", count, ";");
  decision.why_none.pop_back();
}

void Buyer::EndSurplus(absl::string_view model, const Placement& placement, const std::vector<const Machine*>& kept,
                       const std::map<std::string, absl::Duration>& dear, int spare, absl::Duration start,
                       absl::Duration now, Decision& decision) {
  std::map<std::string, absl::Duration> surplus, &before = surplus_[std::string(model)];
  for (const Placement::End& end : placement.ends) {
    const std::string& id = kept[end.machine]->id;
    if (dear.contains(id) && kept[end.machine]->serves && !placement.broke && --spare < 0) {
      ++decision.machines;  // what is only too dear goes when enough others serve
      continue;
    }
    const auto since = before.find(id);
    const absl::Duration keep_until = (since == before.end() ? now : since->second) + start;
    if (now >= keep_until || placement.broke) {
      decision.ends.emplace_back(id, end.why);
      continue;
    }
    surplus.emplace(id, keep_until - start);
    ++decision.machines;
    decision.next = std::min(decision.next, keep_until);
  }
  before = std::move(surplus);
}

Buyer::Decision Buyer::Decide(absl::string_view model, const Wish& wish, const Load& load,
                              absl::Span<const Machine> machines, absl::Span<const Offer> filled, double dollars_left,
                              absl::Duration now) {
  for (const Machine& machine : machines) Domain(machine.offer);
  NotePrices(now);
  Choice choice(memory_, load, machines, filled, static_cast<int>(domains_.size()), now);
  Decision decision;
  AddWhatMayBeBought(wish, dollars_left, choice, decision);
  const std::map<std::string, absl::Duration> dear = NoteDear(model, wish, machines, now);
  const std::vector<const Machine*> kept = EndWhatCosts(wish, dear, machines, dollars_left, now, decision);
  std::vector<PlacementMachine> placed;
  int serving = 0;
  std::string instead;
  for (const Machine* const machine : kept) {
    const int domain = Domain(machine->offer), sold = by_domain_[domain];
    const Offer& offer = sold < 0 ? machine->offer : sold_[sold].offer;
    const auto above = dear.find(machine->id);
    const bool is_dear = above != dear.end() && above->second >= kDear;
    if (is_dear) {
      instead = absl::StrCat("; instead of ", machine->id, ", whose ",
                             AboveLimit(offer.price_per_hour, wish.max_price, above->second));
    }
    serving += machine->serves;
    placed.push_back({.offer = choice.Add(offer, domain, LatePrice(offer, domain), false), .exists = machine->exists,
                      .serves = machine->serves, .at_risk = machine->at_risk || is_dear});
  }
  LoadForecast& forecast = ForecastOf(model, wish);
  // Without money only free ones are left to choose from.
  const PlacementLimits limits = {
      .min_machines = wish.min_machines,
      .max_machines = wish.max_machines,
      .dollars_left = dollars_left > 0 ? dollars_left : std::numeric_limits<double>::infinity(),
      .dollars_elsewhere = load.dollars_elsewhere};
  const auto service = services_.find(model);
  const double busy = forecast.BusyNow(now);
  // What a loss leaves is known at once; its queue grows until what is bought now serves.
  absl::Duration ahead;
  if (load.waiting > 0 && serving < busy) ahead = (1 - serving / busy) * load.start;
  const int needed = std::max(1, forecast.Needed(now, load.waiting, serving, load.start, ahead));
  const Placement placement =
      Place({.needed = needed, .busy = busy,
             .budget_used = service == services_.end() ? 0 : service->second.budget.Used(wish.target),
             .service = forecast.service(), .streams = wish.streams, .together = memory_.Together(),
             .bursts = forecast.bursts()},
            wish.target, limits, choice.places(), placed, now);
  for (const Placement::Launch& launch : placement.launches) {
    decision.launches.emplace_back(choice.offer(launch.offer), absl::StrCat(launch.why, instead));
  }
  if (placement.lacks_money && decision.launches.empty()) {
    decision.why_none = absl::StrCat("the ", dollars_left,
                                     " dollars that are left of max_dollars_per_day pay for no machine");
  }
  decision.machines = placement.machines;
  decision.next = std::min({decision.next, placement.next, forecast.NextMinute(now)});
  EndSurplus(model, placement, kept, dear, serving - needed, load.start, now, decision);
  return decision;
}

}  // namespace spotinference::fleet
