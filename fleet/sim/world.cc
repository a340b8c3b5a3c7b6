#include "fleet/sim/world.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/ledger/billing.h"
#include "fleet/plan/plan.h"
#include "fleet/sim/router.h"

namespace spotinference::fleet::sim {
namespace {

constexpr Nanos kTick = 20 * kSecond;
constexpr Nanos kNever = INT64_MAX;
constexpr Nanos kWarmUp = 900 * kSecond;

struct Machine {
  MachineView view;
  bool alive = false;
  bool volume_filled = false;
  bool loss_told = false;  // to the policy
  Nanos billed_from = -1;
  Nanos use_since = 0;
  Nanos busy = 0, idle = 0, waking = 0;
};

struct Event {
  enum class Kind { kAnswer, kReady, kCapacity, kNotice, kTaken, kDrained, kGone, kTick };
  Nanos at;
  uint64_t serial;  // first scheduled, first run
  Kind kind;
  int slot;  // of a machine; the zone of kCapacity and kNotice
  int id;    // of the machine; the step of kCapacity and kNotice
  bool operator>(const Event& other) const { return std::pair(at, serial) > std::pair(other.at, other.serial); }
};

class World {
 public:
  World(const RecordedMarket& market, Arrivals&& arrivals, Policy& policy, const WorldOptions& options)
      : market_(market),
        profile_(options.profile),
        options_(options),
        arrivals_(std::move(arrivals)),
        policy_(policy),
        random_(options.seed),
        offers_(OffersOf(market)),
        zones_(market.zones.size()),
        router_(market, profile_, policy, result_, [this](int slot, int answers) { NoteAnswers(slot, answers); }),
        held_(zones_),
        volumes_(zones_),
        filled_(zones_) {
    result_.policy = std::string(policy.name());
    result_.market = market.name;
    result_.horizon = market.horizon;
    for (const Offer& offer : offers_) {
      result_.offer_names.push_back(absl::StrCat(offer.market == Market::kSpot ? "spot " : "on-demand ", offer.zone));
    }
    result_.machines.assign(offers_.size(), std::vector<float>(Result::kBins));
  }

  Result Run() {
    for (int zone = 0; zone < zones_; ++zone) ScheduleCapacity(zone, 0);
    Schedule(0, Event::Kind::kTick, 0, 0);
    Nanos next_report = 0;
    while (true) {
      const Nanos arrival = arrivals_.next().at;
      const Nanos completion = router_.next();
      const Nanos event = events_.empty() ? kNever : events_.top().at;
      const Nanos next = std::min({arrival, completion, event});
      if (next >= market_.horizon) break;
      now_ = next;
      if (completion == next) {
        Complete();
      } else if (event == next) {
        Happen();
      } else {
        Arrive();
      }
      if (options_.progress && now_ >= next_report) {
        options_.progress(static_cast<double>(now_) / market_.horizon);
        next_report = now_ + market_.horizon / 100;
      }
    }
    Finish();
    return std::move(result_);
  }

 private:
  bool IsSpot(int offer) const { return offer < zones_; }
  int ZoneOf(int offer) const { return offer % zones_; }
  int CapacityAt(int zone, Nanos at) const {
    const Zone& z = market_.zones[zone];
    const size_t step = at / z.step;
    return step < z.capacity.size() ? z.capacity[step] : 0;
  }

  void Schedule(Nanos at, Event::Kind kind, int slot, int id) { events_.push({at, ++serial_, kind, slot, id}); }

  // The next step at which the zone's capacity falls, and the notice of it.
  void ScheduleCapacity(int zone, size_t step) {
    const Zone& z = market_.zones[zone];
    for (++step; step <= z.capacity.size(); ++step) {
      const int before = z.capacity[step - 1], after = step < z.capacity.size() ? z.capacity[step] : 0;
      if (after >= before) continue;
      const Nanos at = z.step * static_cast<Nanos>(step);
      Schedule(at, Event::Kind::kCapacity, zone, static_cast<int>(step));
      if (profile_.notice_seconds() > 0) {
        Schedule(std::max(now_, at - ToNanos(profile_.notice_seconds())), Event::Kind::kNotice, zone,
                 static_cast<int>(step));
      }
      return;
    }
  }

  // --- Requests

  void Arrive() {
    const Request request = arrivals_.next();
    arrivals_.Pop();
    const bool was_idle = router_.idle();
    router_.Arrive(request, now_);
    if (router_.parked() == 0 || (router_.another_starts() && !was_idle)) return;
    const bool planned = absl::Nanoseconds(now_ - decided_at_) < kPlanHolds;
    if (was_idle || (router_.serves() && !planned)) Decide();
    else if (router_.serves()) router_.Planned(/*another_starts=*/false, now_);
  }

  void NoteAnswers(int slot, int answers) {
    Machine& machine = machines_[slot];
    if ((machine.view.answers == 0) != (answers == 0)) Account(machine);
    machine.view.answers = answers;
    if (answers == 0) machine.view.idle_since = now_;
  }

  void Complete() {
    const int slot = router_.Complete();
    if (slot < 0) return;
    const Machine& machine = machines_[slot];
    if (machine.view.phase == Phase::kLeaving && machine.view.answers == 0 && !machine_taken_[slot]) {
      Schedule(now_ + ToNanos(profile_.drain_seconds()), Event::Kind::kGone, slot, machine.view.id);
    }
  }

  // --- Machines

  void Happen() {
    const Event event = events_.top();
    events_.pop();
    switch (event.kind) {
      case Event::Kind::kTick: Schedule(now_ + kTick, Event::Kind::kTick, 0, 0); return Decide();
      case Event::Kind::kCapacity: {
        const int zone = event.slot;
        Take(zone, CapacityAt(zone, now_), 0);
        ScheduleCapacity(zone, event.id);
        return;
      }
      case Event::Kind::kNotice:
        return Take(event.slot, CapacityAt(event.slot, market_.zones[event.slot].step * static_cast<Nanos>(event.id)),
                    market_.zones[event.slot].step * static_cast<Nanos>(event.id));
      default: break;
    }
    Machine& machine = machines_[event.slot];
    if (!machine.alive || machine.view.id != event.id) return;
    switch (event.kind) {
      case Event::Kind::kAnswer: return OnAnswer(machine, event.slot);
      case Event::Kind::kReady: return OnReady(machine, event.slot);
      case Event::Kind::kTaken:
      case Event::Kind::kDrained:
      case Event::Kind::kGone: End(machine, event.slot, event.kind == Event::Kind::kTaken); return Decide();
      default: return;
    }
  }

  // The zone keeps `capacity` machines. `at`: those beyond are told that they go then; 0: they are gone.
  void Take(int zone, int capacity, Nanos at) {
    std::vector<int> here;
    for (int slot = 0; slot < static_cast<int>(machines_.size()); ++slot) {
      const Machine& machine = machines_[slot];
      if (!machine.alive || machine.view.offer != zone || machine.billed_from < 0) continue;
      if (!machine_taken_[slot]) here.push_back(slot);
    }
    int excess = static_cast<int>(here.size()) - capacity;  // the warned ones go anyway
    std::shuffle(here.begin(), here.end(), random_);
    for (; excess > 0 && !here.empty(); --excess, here.pop_back()) {
      Machine& machine = machines_[here.back()];
      machine_taken_[here.back()] = true;
      if (at == 0) {
        End(machine, here.back(), true);
        continue;
      }
      Schedule(at, Event::Kind::kTaken, here.back(), machine.view.id);
      Account(machine);
      if (machine.view.phase == Phase::kLeaving) continue;  // as ordered
      policy_.OnLost(zone, at, now_);
      machine.loss_told = true;
      SetPhase(machine, Phase::kLeaving);
      router_.Notice(here.back(), now_);
    }
    Decide();
  }

  void SetPhase(Machine& machine, Phase phase) {
    machine.view.phase = phase;
    machine.view.since = now_;
  }

  void OnAnswer(Machine& machine, int slot) {
    const int offer = machine.view.offer, zone = ZoneOf(offer);
    if (IsSpot(offer) && held_[zone] >= CapacityAt(zone, now_)) {
      ++result_.stock_outs;
      machine.alive = false;
      free_slots_.push_back(slot);
      policy_.OnStockOut(offer, now_);
      return Decide();
    }
    if (machine.view.phase == Phase::kLeaving) {  // ended before it came to be
      machine.alive = false;
      free_slots_.push_back(slot);
      return;
    }
    if (IsSpot(offer)) ++held_[zone];
    machine.billed_from = machine.use_since = now_;
    machine.volume_filled = filled_[zone] > 0;
    machine.volume_filled ? void(--filled_[zone]) : NewVolume(zone);
    ++result_.wakes;
    SetPhase(machine, Phase::kStarting);
    const double fill = machine.volume_filled ? 0 : profile_.weights_gb() / profile_.download_gb_per_s();
    const double left =
        std::max(0.0, profile_.launch_seconds() - profile_.answer_seconds()) + BootSeconds(profile_) + fill;
    Schedule(now_ + ToNanos(left), Event::Kind::kReady, slot, machine.view.id);
    policy_.OnStarted(offer, now_);
    Decide();
  }

  void NewVolume(int zone) {
    ++volumes_[zone];
    result_.volume_dollars += BillingRulesOf(market_.zones[zone].provider).volume_gb_month * profile_.volume_gb() *
                              static_cast<double>(market_.horizon - now_) / kHour / 730;
  }

  void OnReady(Machine& machine, int slot) {
    if (machine.view.phase != Phase::kStarting) return;
    Account(machine);
    machine.view.idle_since = now_;
    machine.volume_filled = true;
    SetPhase(machine, Phase::kServing);
    router_.Open(slot, now_);
    Decide();
  }

  // Before its use changes: adds the time since the last change to the use that it had.
  void Account(Machine& machine) {
    Nanos& use = machine.view.phase == Phase::kStarting ? machine.waking
                 : machine.view.answers > 0             ? machine.busy
                                                        : machine.idle;
    use += now_ - machine.use_since;
    machine.use_since = now_;
  }

  void End(Machine& machine, int slot, bool taken) {
    const int offer = machine.view.offer, zone = ZoneOf(offer);
    Account(machine);
    SetPhase(machine, Phase::kLeaving);
    BillMachine(machine, taken);
    if (IsSpot(offer)) --held_[zone];
    if (machine.volume_filled) {
      ++filled_[zone];
    } else {
      --volumes_[zone];  // half full: deleted; it stays paid for
    }
    result_.interruptions += taken;
    router_.Close(slot, taken, now_);
    machine.alive = false;
    machine_taken_[slot] = false;
    free_slots_.push_back(slot);
    if (machine.loss_told) return;
    taken ? policy_.OnLost(offer, now_, now_) : policy_.OnEnded(offer, now_);
  }

  void BillMachine(const Machine& machine, bool taken) {
    const int offer = machine.view.offer;
    const Zone& zone = market_.zones[ZoneOf(offer)];
    std::vector<PriceSpan> prices;
    if (!IsSpot(offer)) {
      prices.push_back({absl::ZeroDuration(), zone.on_demand});
    } else if (zone.spot.size() == 1) {
      prices.push_back({absl::ZeroDuration(), zone.spot[0]});
    } else {
      for (Nanos at = machine.billed_from / zone.step * zone.step; at < now_; at += zone.step) {
        const double price = zone.spot_at(at);
        if (prices.empty() || prices.back().per_hour != price) prices.push_back({absl::Nanoseconds(at), price});
      }
      if (prices.empty()) prices.push_back({absl::ZeroDuration(), zone.spot_at(now_)});
    }
    const double dollars = BillOfRun(BillingRulesOf(zone.provider), IsSpot(offer) ? Market::kSpot : Market::kOnDemand,
                                     absl::Nanoseconds(machine.billed_from), absl::Nanoseconds(now_), taken, prices);
    result_.machine_dollars += dollars;
    if (!IsSpot(offer)) result_.on_demand_machine_dollars += dollars;
    for (GpuHours* hours : {&result_.hours, IsSpot(offer) ? &result_.spot_hours : nullptr}) {
      if (hours == nullptr) continue;
      hours->busy += static_cast<double>(machine.busy) / kHour;
      hours->idle += static_cast<double>(machine.idle) / kHour;
      hours->waking += static_cast<double>(machine.waking) / kHour;
    }
    const double bin = static_cast<double>(market_.horizon) / Result::kBins;
    for (int b = static_cast<int>(machine.billed_from / bin); b < Result::kBins && b * bin < now_; ++b) {
      const double overlap = std::min<double>(now_, (b + 1) * bin) - std::max<double>(machine.billed_from, b * bin);
      result_.machines[offer][b] += static_cast<float>(overlap / bin);
    }
  }

  // --- Orders

  void Decide() {
    if (deciding_) return;
    deciding_ = true;
    decided_at_ = now_;
    router_.Expire(now_);
    View view = {.now = now_,
                 .needed = std::min(profile_.max_machines(), router_.Needed(now_)),
                 .parked = router_.parked(),
                 .resuming = router_.resuming(),
                 .waiting = router_.waiting(),
                 .idle_since = router_.idle_since(),
                 .idle = router_.idle(),
                 .filled = {}};
    for (size_t i = 0; i < offers_.size(); ++i) view.filled.push_back(filled_[ZoneOf(i)]);
    for (size_t i = 0; i < offers_.size(); ++i) {
      if (IsSpot(i)) offers_[i].price_per_hour = market_.zones[i].spot_at(now_);
    }
    view.offers = offers_;
    views_.clear();
    for (const Machine& machine : machines_) {
      if (machine.alive) views_.push_back(machine.view);
    }
    view.machines = views_;
    const Orders orders = policy_.Decide(view);
    for (const Orders::End& end : orders.ends) OrderEnd(end);
    for (const Orders::Launch& launch : orders.launches) OrderLaunch(launch);
    if (orders.refuses) router_.RefuseParked(now_);
    router_.Planned(std::any_of(machines_.begin(), machines_.end(),
                                [](const Machine& machine) {
                                  return machine.alive && (machine.view.phase == Phase::kAsked ||
                                                           machine.view.phase == Phase::kStarting);
                                }),
                    now_);
    deciding_ = false;
  }

  void Note(const std::string& what, const std::string& why) {
    if (result_.decisions.size() < Result::kDecisions) result_.decisions.push_back({now_, what, why});
  }

  void OrderLaunch(const Orders::Launch& launch) {
    int slot = static_cast<int>(machines_.size());
    if (free_slots_.empty()) {
      machines_.emplace_back();
      machine_taken_.push_back(false);
    } else {
      slot = free_slots_.back();
      free_slots_.pop_back();
    }
    machines_[slot] = Machine{.view = {.id = ++last_id_, .offer = launch.offer, .since = now_},
                              .alive = true};
    machine_taken_[slot] = false;
    ++result_.launches;
    Note(absl::StrCat("launch ", result_.offer_names[launch.offer]), launch.why);
    Schedule(now_ + ToNanos(profile_.answer_seconds()), Event::Kind::kAnswer, slot, last_id_);
  }

  void OrderEnd(const Orders::End& order) {
    for (int slot = 0; slot < static_cast<int>(machines_.size()); ++slot) {
      Machine& machine = machines_[slot];
      if (!machine.alive || machine.view.id != order.machine || machine.view.phase == Phase::kLeaving) continue;
      Note(absl::StrCat("end ", result_.offer_names[machine.view.offer]), order.why);
      const Phase was = machine.view.phase;
      if (was != Phase::kAsked) Account(machine);
      SetPhase(machine, Phase::kLeaving);
      if (was == Phase::kAsked) return;
      router_.Drain(slot);
      const bool drained = was == Phase::kStarting || machine.view.answers == 0;
      const Nanos limit = drained ? 0 : absl::ToInt64Nanoseconds(Desired().drain_limit);
      Schedule(now_ + limit + ToNanos(profile_.drain_seconds()), drained ? Event::Kind::kGone : Event::Kind::kDrained,
               slot, machine.view.id);
      return;
    }
  }

  void Finish() {
    now_ = market_.horizon;
    deciding_ = true;
    for (int slot = 0; slot < static_cast<int>(machines_.size()); ++slot) {
      if (machines_[slot].alive && machines_[slot].billed_from >= 0) End(machines_[slot], slot, false);
    }
    router_.EndAll(now_);
  }

  const RecordedMarket& market_;
  const Profile& profile_;
  const WorldOptions& options_;
  Arrivals arrivals_;
  Policy& policy_;
  std::mt19937_64 random_;
  std::vector<Offer> offers_;
  const int zones_;
  Result result_;
  Router router_;

  Nanos now_ = 0, decided_at_ = 0;
  uint64_t serial_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<Event>> events_;
  std::vector<Machine> machines_;
  std::vector<bool> machine_taken_;  // by slot: its provider takes it, and has said so
  std::vector<int> free_slots_;
  std::vector<MachineView> views_;
  int last_id_ = 0;
  std::vector<int> held_, volumes_, filled_;  // by zone: spot machines, volumes, and those that are full and free
  bool deciding_ = false;
};

}  // namespace

bool IsCounted(const Request& request, const RecordedMarket& market, const Profile& profile) {
  return request.at >= kWarmUp && request.at < market.horizon - ToNanos(profile.max_wait_seconds());
}

std::vector<Offer> OffersOf(const RecordedMarket& market) {
  std::vector<Offer> offers;
  for (const Market kind : {Market::kSpot, Market::kOnDemand}) {
    for (const Zone& zone : market.zones) {
      offers.push_back({.provider = zone.provider,
                        .region = zone.region,
                        .zone = zone.name,
                        .market = kind,
                        .machine_type = zone.machine_type,
                        .accelerator = market.accelerator,
                        .accelerators = market.accelerators,
                        .price_per_hour = kind == Market::kSpot ? zone.spot_at(0) : zone.on_demand});
    }
  }
  return offers;
}

Result Simulate(const RecordedMarket& market, Arrivals arrivals, Policy& policy, const WorldOptions& options) {
  return World(market, std::move(arrivals), policy, options).Run();
}

}  // namespace spotinference::fleet::sim
