// Which machines are bought where, and which are let go for others, when providers sell more than one kind: see
// plan/buyer.h.
#include <glog/logging.h>

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

using State = MachineState;

constexpr int64_t kDaySeconds = 24 * 3600;
constexpr int64_t kLongestQueue = 1 << 16;  // of an engine, that is believed
constexpr absl::Duration kMoneyLooks = absl::Seconds(15);  // a machine of 40 dollars an hour spends 17 cents meanwhile

absl::Duration UntilTomorrow(absl::Time now) {
  return absl::Seconds(kDaySeconds - absl::ToUnixSeconds(now) % kDaySeconds);
}

}  // namespace

void Controller::OnOffers(std::vector<OfferNow> offers) {
  NotePrices(offers);
  std::vector<Offer> sold;
  sold.reserve(offers.size());
  std::map<size_t, Buyer::Bar> bars;
  for (OfferNow& now : offers) {
    const double price = now.offer.price_per_hour;
    if (!(price >= 0 && price < std::numeric_limits<double>::infinity())) continue;
    if (!now.barred.empty()) bars[sold.size()] = {std::move(now.barred), now.bars_restores};
    sold.push_back(std::move(now.offer));
  }
  buyer_.SetOffers(std::move(sold), std::move(bars));
}

// Where a provider sells offers even a single one is looked at: its price counts.
bool Controller::Chooses() const { return provider_.caps().sells_offers || buyer_.chooses(); }

Wish Controller::WishOf(const Model& model) const {
  const ModelSpec& spec = model.spec;
  return {.min_machines = spec.min_machines,
          .max_machines = spec.max_machines,
          .streams = spec.streams,
          .max_price = spec.max_price,
          .accelerators = spec.accelerators,
          .regions = spec.regions,
          .markets = spec.markets,
          .not_again = model.failed_at,
          .target = spec.target};
}

// After a start that failed though there was a machine: a bad host, or a zone that takes away what it has just given.
bool Controller::TriesElsewhere(Model& model, const Machine& failed) {
  if (!Chooses() || !failed.record.offer.has_value()) return false;
  model.failed_at.push_back(*failed.record.offer);
  return buyer_.HasOpenOffer(WishOf(model), DollarsLeft(model), clock_.Elapsed());
}

// Lets go what is to be replaced, leaves what is to be bought in model.to_buy, and wants as many machines. Returns when
// to choose again if nothing happens.
absl::Duration Controller::ChooseOffers(Model& model, const Demand& demand, double dollars_left, Desired& desired) {
  model.to_buy.clear();
  if (!Chooses() || !buyer_.knows_offers() || desired.max_machines == 0) return absl::InfiniteDuration();
  const absl::Duration now = clock_.Elapsed();
  const bool all_tried = !model.failed_at.empty() && !buyer_.HasOpenOffer(WishOf(model), dollars_left, now);
  if (all_tried || !model.wake.began.has_value()) model.failed_at.clear();
  bool in_use = demand.waiting > 0 || model.spec.min_machines > 0, awake = false;
  for (const auto& [id, machine] : machines_) {
    if (machine.record.model != model.spec.name || !machine.record.offer.has_value()) continue;
    in_use |= machine.leases > 0;
    awake |= machine.record.state == State::kServing;
  }
  const absl::Duration sleeps_at = model.idle_since + desired.idle_timeout;
  if (!in_use && (!awake || now >= sleeps_at)) return absl::InfiniteDuration();  // what is idle goes as PlanModel says
  std::vector<Buyer::Machine> machines;
  double elsewhere = 0;
  int waiting = demand.waiting;
  Wish wish = WishOf(model);
  for (const auto& [id, machine] : machines_) {
    const bool is_others = machine.record.model != model.spec.name;
    if (is_others && machine.record.state != State::kHibernated) elsewhere += PriceOf(machine);
    if (is_others || !machine.record.offer.has_value()) continue;
    if (machine.record.state == State::kHibernated) wish.hibernated.push_back(*machine.record.offer);
    const bool serves = machine.record.state == State::kServing;
    waiting += static_cast<int>(std::clamp<int64_t>(machine.heartbeat.figures.waiting_sequences, 0, kLongestQueue));
    if ((!serves && !IsWaking(machine.record.state)) || machine.interruption.has_value()) continue;
    machines.push_back({.id = id, .offer = *machine.record.offer, .exists = machine.in_market, .serves = serves,
                        .at_risk = machine.at_risk});
  }
  if (OwnDollarsLeft(model) <= dollars_left) elsewhere = 0;  // others do not spend these
  Buyer::Load load = {.waiting = waiting, .start = ExpectedWake(model), .dollars_elsewhere = elsewhere};
  load.fill = model.measured_fill.value_or(load.fill);
  auto decision = buyer_.Decide(model.spec.name, wish, load, machines, FilledVolumes(model), dollars_left, now);
  int there = static_cast<int>(machines.size());
  for (const auto& [id, why] : decision.ends) {
    Machine& machine = machines_[id];
    if (Withholds(machine, "stop", why)) continue;
    --there;
    if (IsWaking(machine.record.state)) {
      Stop(machine, State::kHibernating, why);
    } else {
      RecordServed(now - machine.since, model.wake);
      SetState(machine, State::kDraining, why);
      Write(machine);
    }
  }
  if (!decision.why_none.empty() && machines.empty()) {
    RecordFailure(Failure::kNoCapacity, decision.why_none, absl::ZeroDuration(), now, model.wake);
  }
  model.to_buy.assign(decision.launches.begin(), decision.launches.end());
  // What replaces a machine comes before that one goes.
  const size_t most = std::max(1, desired.max_machines - there);
  if (model.to_buy.size() > most) model.to_buy.resize(most);
  desired.min_machines = there + static_cast<int>(model.to_buy.size());
  desired.max_machines = std::max(desired.max_machines, desired.min_machines);
  if (!decision.why_none.empty() && dollars_left < std::numeric_limits<double>::infinity())
    decision.next = std::min(decision.next, now + UntilTomorrow(clock_.Now()));  // money comes unheard
  if (there < static_cast<int>(machines.size())) return now;  // what is left is another question
  return in_use ? decision.next : std::min(decision.next, sleeps_at);
}

// Where there is no choice: `hibernated_id`, or a new one if that is empty. False: nothing was bought and the model was
// known to get nothing just now.
bool Controller::Buy(Model& model, absl::string_view hibernated_id, absl::string_view why) {
  if (Chooses() && !buyer_.knows_offers()) {
    if (offers_refused_.empty()) return false;  // its offers will come, and with them another plan
    return NoneToBuy(model, absl::StrCat("what is sold is not known: ", offers_refused_));
  }
  std::string none = Chooses() ? "" : buyer_.WhyNotTheOnly(WishOf(model), DollarsLeft(model));
  Machine* hibernated = nullptr;
  std::optional<Offer> offer;
  std::string reason(why);
  if (!Chooses() && none.empty()) {
    if (!hibernated_id.empty()) hibernated = &machines_.find(hibernated_id)->second;
  } else if (model.to_buy.empty()) {
    if (none.empty()) {
      none = absl::StrCat("no zone is known to have a machine just now; the last said: ", model.last_refusal);
    }
    return NoneToBuy(model, std::move(none));
  } else {
    std::tie(offer, reason) = std::move(model.to_buy.front());
    model.to_buy.pop_front();
    for (auto& [id, machine] : machines_) {
      const MachineRecord& record = machine.record;
      if (hibernated == nullptr && record.model == model.spec.name && record.state == State::kHibernated &&
          record.offer.has_value() && SamePlace(*record.offer, *offer)) {
        hibernated = &machine;
      }
    }
  }
  if (options_.dry_run) return NoneToBuy(model, WithholdPurchase(model, hibernated, offer, reason));
  if (hibernated != nullptr) BeginLife(*hibernated, State::kRestoring, reason);
  else Launch(model, std::move(offer), reason);
  return true;
}

// Whoever waits is refused with it, once. False: this model was known to get nothing just now.
bool Controller::NoneToBuy(Model& model, std::string why) {
  const absl::Duration now = clock_.Elapsed();
  const bool news = now >= model.wake.blocked_until;
  RecordFailure(Failure::kNoCapacity, std::move(why), absl::ZeroDuration(), now, model.wake);
  return news;
}

// --- Money

// As it was bought, at its price of now; where there was no choice, as the provider has it.
Offer Controller::SoldAs(const Machine& machine) const {
  Offer offer = machine.record.offer.value_or(Offer{.zone = provider_.caps().zone});
  offer.price_per_hour = PriceOf(machine);
  return offer;
}

double Controller::PriceOf(const Machine& machine) const {
  if (!machine.record.offer.has_value()) return provider_.caps().price_per_hour;
  return machine.record.prices.empty() ? machine.record.offer->price_per_hour : machine.record.prices.back().per_hour;
}

std::string Controller::MarketOf(const Machine& machine) const {
  return machine.record.offer.has_value() ? MarketName(machine.record.offer->market) : provider_.caps().market;
}

// By all models. It is written down cent by cent, so that a restart does not spend it again. A wall clock that steps
// back begins no day; one that was ahead holds the next one up for a day at most.
double Controller::SpentToday() {
  const absl::Duration now = clock_.Elapsed();
  const double dollars = ledger_.Dollars(now);
  const int64_t today = absl::ToUnixSeconds(clock_.Now()) / kDaySeconds;
  if (today > day_.number || (today < day_.number && now - day_.began >= absl::Seconds(kDaySeconds))) {
    day_.number = today;
    day_.began = now;
    day_.before = dollars;
    for (auto& [name, model] : models_) model.before_day = ledger_.DollarsOf(name, now);
    day_.written = 0;
  }
  const double spent = dollars - day_.before;
  if (spent >= day_.written + 0.01) Keep(MakeBook());
  return spent;
}

double Controller::Left(const std::optional<double>& limit, double spent) const {
  if (!limit.has_value() || (options_.dry_run && *limit == 0)) return std::numeric_limits<double>::infinity();
  return *limit - spent;
}

double Controller::OwnDollarsLeft(const Model& model) const {
  if (!model.spec.max_dollars_per_day.has_value()) return std::numeric_limits<double>::infinity();
  return Left(model.spec.max_dollars_per_day,
              ledger_.DollarsOf(model.spec.name, clock_.Elapsed()) - model.before_day);
}

// Of the day's budgets, its own and all models'.
double Controller::DollarsLeft(const Model& model) {
  const double all = Left(options_.max_dollars_per_day, SpentToday()), left = std::min(all, OwnDollarsLeft(model));
  const auto spends = [this](const auto& machine) {
    return machine.second.record.state != State::kHibernated && PriceOf(machine.second) > 0;
  };
  if (left < std::numeric_limits<double>::infinity() && std::any_of(machines_.begin(), machines_.end(), spends)) {
    next_ = std::min(next_, clock_.Elapsed() + kMoneyLooks);
  }
  return left;
}

bool Controller::PaysFor(absl::Duration time, double dollars) const {
  double per_hour = 0;
  for (const auto& [id, machine] : machines_) {
    if (machine.record.state != State::kHibernated) per_hour += PriceOf(machine);
  }
  return dollars > 0 && dollars >= per_hour * absl::FDivDuration(time, absl::Hours(1));
}

// All machines that it has or could have.
bool Controller::CostsMoney(const Model& model) const {
  if (!Chooses()) return provider_.caps().price_per_hour > 0;
  return !buyer_.HasFreeOffer(WishOf(model));
}

void Controller::RefuseForMoney(Model& model, Desired& desired) {
  model.to_buy.clear();
  desired.min_machines = desired.max_machines = 0;
  const absl::Duration until_tomorrow = UntilTomorrow(clock_.Now());
  next_ = std::min(next_, clock_.Elapsed() + until_tomorrow);
  const bool all = options_.max_dollars_per_day.has_value() && SpentToday() >= *options_.max_dollars_per_day;
  GrantParked(model, IntoFull::kYes);
  Refuse(model,
         {AcquireError::Reason::kNoCapacity,
          absl::StrCat(model.spec.name, " cannot be served: ", all ? "the day's " : "its ",
                       all ? *options_.max_dollars_per_day : model.spec.max_dollars_per_day.value_or(0),
                       all ? " dollars (spend" : " dollars a day (machines", ".max_dollars_per_day) are spent"),
          until_tomorrow},
         /*also_who_resumes=*/true);
}

// --- What became of machines, for the market's memory.

void Controller::RecallMarket(Buyer::Memory memory) {
  memory.Move(clock_.Elapsed() - (clock_.Now() - absl::UnixEpoch()));
  buyer_.Recall(memory, clock_.Elapsed());
}

// What became of a machine at once; how answers fared with the ledger, now and then.
void Controller::RememberMarket() {
  if (!std::exchange(market_news_, false)) return;
  Buyer::Memory memory = buyer_.Kept(clock_.Elapsed());
  memory.Move(clock_.Now() - absl::UnixEpoch() - clock_.Elapsed());
  Keep({.market = std::move(memory)});
}

void Controller::NoteBegan(Machine& machine) {
  if (machine.record.offer.has_value() && !std::exchange(machine.in_market, true)) {
    market_news_ = true;
    buyer_.Began(*machine.record.offer, clock_.Elapsed());
  }
}

// By its provider's doing, or so it seems.
void Controller::NoteLost(Machine& machine, absl::Duration serves_until) {
  if (!std::exchange(machine.in_market, false)) return;
  market_news_ = true;
  buyer_.Lost(*machine.record.offer, serves_until, clock_.Elapsed());
}

void Controller::NoteStockOut(const Machine& machine) {
  market_news_ = true;
  buyer_.StockOut(*machine.record.offer, clock_.Elapsed());
}

// Its provider did not make it: the zone's affair, not the model's.
bool Controller::WasRefused(const Machine& machine, const absl::Status& gone) const {
  return machine.record.offer.has_value() && !machine.in_market && !gone.ok() && IsWaking(machine.record.state);
}

void Controller::NoteEnded(Machine& machine, const absl::Status& gone, bool crashed) {
  const absl::Duration now = clock_.Elapsed();
  const State state = machine.record.state;
  if (!machine.in_market) {
    if (WasRefused(machine, gone) && !IsOverQuota(gone)) NoteStockOut(machine);
  } else if (!crashed && !gone.ok() && (IsAnswering(state) || state == State::kLost)) {
    NoteLost(machine, now);
  } else {
    machine.in_market = false;
    market_news_ = true;
    buyer_.Ended(*machine.record.offer, now);
  }
}

}  // namespace spotinference::fleet
