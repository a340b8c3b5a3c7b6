#include "fleet/faults/sim_cloud.h"

#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;
using VolumeState = EmulatedVolume::State;

constexpr absl::Duration kTimeout = absl::Seconds(20);  // of a call without an answer
constexpr absl::Duration kOldest = absl::Seconds(5);    // of a stale list
constexpr int kWrongInARow = 3;
constexpr absl::Duration kWrittenDown = absl::Minutes(1);  // what a controller was told
constexpr int kGigabytes = 100;  // of a volume
constexpr int kBootGigabytes = 30;  // of a machine's own disk

CloudMachine::State StateOf(State state) {
  switch (state) {
    case State::kStarting:
    case State::kRestoring: return CloudMachine::State::kStarting;
    case State::kRunning: return CloudMachine::State::kRunning;
    case State::kStopping: return CloudMachine::State::kStopping;
    case State::kStopped: return CloudMachine::State::kStopped;
    case State::kDeleting: return CloudMachine::State::kDeleting;
    case State::kGone: return CloudMachine::State::kGone;
    case State::kOff:
    case State::kFailed: return CloudMachine::State::kFailed;
  }
  return CloudMachine::State::kUnknown;
}

std::string IdOf(int64_t number) { return absl::StrCat("i-", number); }

}  // namespace

class SimCloudApi : public CloudApi {
 public:
  SimCloudApi(SimCloud& cloud, Death& death, std::function<void(absl::Duration)> pass)
      : cloud_(cloud), death_(death), pass_(std::move(pass)) {}

  const Traits& traits() const override { return cloud_.kind_.traits; }

  absl::StatusOr<std::string> Account() override { return "the only account"; }
  absl::StatusOr<CloudInventory> List() override {
    CloudInventory inventory;
    RETURN_IF_ERROR(Call("list", false, [&] {
      inventory = cloud_.ListNow();
      return absl::OkStatus();
    }));
    return inventory;
  }

  absl::StatusOr<CloudOffers> Offers() override {
    std::vector<OfferNow> offers;
    int64_t changes = 0;
    RETURN_IF_ERROR(Call("offers", false, [&] {
      offers.clear();
      offers.reserve(2 * cloud_.model_.types().size());
      changes = cloud_.price_changes_;
      for (const EmulatedType& type : cloud_.model_.types()) {
        Offer offer = {.provider = type.cloud, .region = type.region, .zone = type.zone, .machine_type = type.type,
                       .accelerator = type.accelerator, .accelerators = type.accelerators,
                       .price_per_hour = type.on_demand_price};
        offers.push_back({offer, std::nullopt, cloud_.SinceOf(type.on_demand_prices)});
        if (!type.spot_price.has_value()) continue;
        offer.market = Market::kSpot;
        offer.price_per_hour = *type.spot_price;
        offers.push_back({std::move(offer), std::nullopt, cloud_.SinceOf(type.spot_prices)});
      }
      return absl::OkStatus();
    }));
    const bool as_they_are = changes == cloud_.price_changes_;  // one may have changed while the answer came
    if (as_they_are && !cloud_.prices_told_at_.has_value()) cloud_.prices_told_at_ = cloud_.sim_.now();
    return CloudOffers{.offers = std::move(offers)};
  }

  absl::StatusOr<std::string> CreateMachine(const MachineOrder& order) override {
    absl::StatusOr<std::string> id = "i-0";  // a liar's
    begun_.erase(order.name);
    deleted_.erase(order.name);
    RETURN_IF_ERROR(Call(absl::StrCat("create ", order.name, " in ", order.offer.zone), true, [&] {
      id = cloud_.Buy(order);
      return id.status();
    }));
    begun_.insert(order.name);
    return id;
  }
  absl::Status StopMachine(const CloudMachine& machine) override {
    return OnMachine("stop ", machine, [&](EmulatedMachine& found) { return cloud_.model_.Stop(found); });
  }
  absl::Status StartMachine(const CloudMachine& machine) override {
    begun_.erase(machine.name);
    deleted_.erase(machine.name);
    RETURN_IF_ERROR(OnMachine("start ", machine, [&](EmulatedMachine& found) { return cloud_.model_.Start(found); }));
    begun_.insert(machine.name);
    return absl::OkStatus();
  }
  absl::Status DeleteMachine(const CloudMachine& machine) override {
    RETURN_IF_ERROR(OnMachine("delete ", machine, [&](EmulatedMachine& found) { return cloud_.model_.Delete(found); }));
    deleted_.insert(machine.name);
    return absl::OkStatus();
  }

  absl::Status CreateVolume(const std::string& name, const Offer& offer, const std::string& token) override {
    return Call(absl::StrCat("create volume ", name), true, [&]() -> absl::Status {
      for (const auto& [number, volume] : cloud_.model_.volumes()) {
        const bool same =
            cloud_.kind_.tokens ? volume.token == token : volume.name == name && volume.zone == offer.zone;
        if (same) return absl::AlreadyExistsError("there is one");
      }
      cloud_.model_.CreateVolume({.cloud = traits().name,
                                  .name = name,
                                  .zone = offer.zone,
                                  .token = token,
                                  .gigabytes = traits().volume_gigabytes});
      return absl::OkStatus();
    });
  }
  absl::Status AttachVolume(const CloudVolume& volume, const CloudMachine& machine) override {
    return OnVolume("attach ", volume, [&](EmulatedVolume& found) -> absl::Status {
      EmulatedMachine* const to = cloud_.model_.FindMachine(traits().name, SimCloud::NumberOf(machine.id));
      if (to == nullptr) return absl::NotFoundError(machine.id);
      return cloud_.model_.Attach(found, *to, "/dev/v");
    });
  }
  absl::Status DetachVolume(const CloudVolume& volume) override {
    return OnVolume("detach ", volume, [&](EmulatedVolume& found) { return cloud_.model_.Detach(found); });
  }
  absl::Status DeleteVolume(const CloudVolume& volume) override {
    return OnVolume("delete volume ", volume,
                    [&](EmulatedVolume& found) { return cloud_.model_.DeleteVolume(found); });
  }
  absl::StatusOr<std::string> DevicePath(const CloudVolume&, const Offer&) override { return "/dev/v"; }
  absl::StatusOr<CloudRun> LatestRun(const CloudMachine& last) override {
    using enum SimCloud::Kind::Tells;
    absl::StatusOr<CloudRun> run = last.run;
    if (cloud_.kind_.tells == kInLists) return run;
    RETURN_IF_ERROR(Call(absl::StrCat("run of ", last.name), false, [&] {
      if (cloud_.kind_.tells == kByOperations) run = cloud_.RunByOperations(last);
      else if (cloud_.kind_.tells == kByBill) run = cloud_.RunByBill(last);
      else run = RunByOwnOperations(last);
      return run.status();
    }));
    return run;
  }
  absl::Time LastDate() const override { return cloud_.last_date_; }
  void Cancel() override {}

 private:
  using Fate = SimCloud::Fate;

  absl::Status OnMachine(const char* what, const CloudMachine& machine,
                         absl::FunctionRef<absl::Status(EmulatedMachine&)> call) {
    return Call(absl::StrCat(what, machine.name, " (", machine.id, ")"), true, [&]() -> absl::Status {
      EmulatedMachine* const found = cloud_.model_.FindMachine(traits().name, SimCloud::NumberOf(machine.id));
      return found == nullptr ? absl::NotFoundError(machine.id) : call(*found);
    });
  }
  absl::Status OnVolume(const char* what, const CloudVolume& volume,
                        absl::FunctionRef<absl::Status(EmulatedVolume&)> call) {
    return Call(absl::StrCat(what, volume.name), true, [&]() -> absl::Status {
      EmulatedVolume* const found = cloud_.model_.FindVolume(traits().name, SimCloud::NumberOf(volume.id));
      return found == nullptr ? absl::NotFoundError(volume.id) : call(*found);
    });
  }

  absl::StatusOr<CloudRun> RunByOwnOperations(const CloudMachine& last) const {
    CloudRun run = last.run;
    const EmulatedMachine* const machine = cloud_.NewestOf(last.name);
    if (machine == nullptr) return run;
    if (begun_.contains(last.name)) run.began = SimCloud::TimeOf(machine->launched);
    if (run.ended.has_value() || !deleted_.contains(last.name)) return run;
    if (machine->state != State::kGone) return absl::UnavailableError("it is still being deleted");
    run.ended = SimCloud::TimeOf(machine->since);
    return run;
  }

  absl::Status Call(const std::string& what, bool changes, absl::FunctionRef<absl::Status()> call) {
    Sim& sim = cloud_.sim_;
    const absl::Duration takes =
        cloud_.faults_.call > absl::ZeroDuration() ? sim.Around(cloud_.faults_.call) : absl::ZeroDuration();
    pass_(takes / 2);
    const Fate fate = cloud_.Draw(what, changes);
    if (changes ? !death_.Step() : death_.dead()) return absl::CancelledError("the caller is dead");
    const absl::Time date = SimCloud::TimeOf(sim.now());
    absl::Status status = absl::UnavailableError("503");
    if (!cloud_.down && fate != Fate::kRefused) {
      status = absl::OkStatus();
      if (fate != Fate::kLie) status = call();
      if (fate == Fate::kTwice) status = call();
    }
    constexpr const char* kFates[] = {"", ", refused", ", its answer is lost", ", twice", ", a lie"};
    const char* const befell = cloud_.down ? "" : kFates[static_cast<int>(fate)];
    if (changes) sim.Note(absl::StrCat(what, ": ", status.ToString(), befell));
    pass_(takes / 2);
    if (!cloud_.down && fate == Fate::kLost) {
      pass_(kTimeout);
      status = absl::DeadlineExceededError("no answer");
    } else if (!cloud_.down && !death_.dead()) {
      cloud_.last_date_ = std::max(cloud_.last_date_, date);
    }
    return death_.dead() ? absl::CancelledError("the caller is dead") : status;
  }

  SimCloud& cloud_;
  Death& death_;
  const std::function<void(absl::Duration)> pass_;
  std::set<std::string> begun_, deleted_;  // machines, by their names, of whose calls the answer was heard
};

const std::vector<SimCloud::Kind>& SimCloud::Kinds() {
  static const auto& kinds = *new std::vector<Kind>{
      {.traits = {.name = "aws", .keeps_stopped = false, .attaches_at_creation = false, .volume_gigabytes = kGigabytes},
       .tokens = true,
       .lists_gone = absl::Hours(1),
       .tells = Kind::Tells::kInLists,
       .tells_prices = true,
       .public_addresses = true,
       .boot_gigabytes = kBootGigabytes},
      {.traits = {.name = "gcp", .keeps_stopped = true, .attaches_at_creation = true, .volume_gigabytes = kGigabytes},
       .tells = Kind::Tells::kByOperations,
       .tells_prices = true,
       .boot_gigabytes = kBootGigabytes},
      {.traits = {.name = "azure",
                  .keeps_stopped = true,
                  .stopped_counts = true,
                  .attaches_at_creation = true,
                  .volume_gigabytes = kGigabytes},
       .tells = Kind::Tells::kByOwnOperations,
       .tells_prices = true,
       .public_addresses = true,
       .boot_gigabytes = kBootGigabytes},
      {.traits = {.name = "hyperstack",
                  .keeps_stopped = true,
                  .stopped_counts = true,
                  .attaches_at_creation = false,
                  .volume_gigabytes = kGigabytes},
       .tells = Kind::Tells::kByBill,
       .public_addresses = true,
       .boot_gigabytes = kBootGigabytes}};
  return kinds;
}

SimCloud::SimCloud(Sim& sim, const Faults& faults, const Kind& kind, MachineHost& host)
    : sim_(sim), faults_(faults), kind_(kind), model_(sim.clock, host) {
  model_.habits() = {.boot = absl::Seconds(20),
                     .stop = absl::Seconds(10),
                     .remove = absl::Seconds(5),
                     .volume = absl::Seconds(2),
                     .attach = absl::Seconds(3),
                     .list_lag = faults.list_lag};
}

std::unique_ptr<CloudApi> SimCloud::Connect(Death& death, std::function<void(absl::Duration)> pass) {
  prices_told_at_.reset();
  last_date_ = absl::InfinitePast();
  return std::make_unique<SimCloudApi>(*this, death, std::move(pass));
}

int64_t SimCloud::NumberOf(const std::string& id) {
  int64_t number = 0;
  return absl::SimpleAtoi(id.substr(2), &number) ? number : 0;
}

bool SimCloud::IsListed(const EmulatedMachine& machine) const {
  const bool forgotten = machine.state == State::kGone && sim_.now() - machine.since >= kind_.lists_gone;
  return model_.IsListed(machine) && !forgotten;
}

CloudRun SimCloud::ListedRunOf(const EmulatedMachine& machine) const {
  using enum Kind::Tells;
  if (!machine.began.has_value() || kind_.tells == kByBill) return {};
  const bool by_stop = kind_.tells == kByOperations && machine.state != State::kDeleting;  // its last stop is listed
  const bool is_over = machine.ended.has_value() && (kind_.tells == kInLists || machine.state == State::kStopped || by_stop);
  if (kind_.tells != kByOperations && !is_over) return {};
  CloudRun run;
  if (kind_.tells != kByOwnOperations) run.began = TimeOf(*machine.began);
  if (is_over) run.ended = TimeOf(*machine.ended);
  run.reclaimed = machine.reclaimed && kind_.tells == kInLists;
  return run;
}

const EmulatedMachine* SimCloud::NewestOf(const std::string& name) const {
  const EmulatedMachine* newest = nullptr;
  for (const auto& [number, machine] : model_.machines()) {
    if (machine.name == name) newest = &machine;
  }
  return newest;
}

// A machine that is taken away and then deleted, and that no list had in between, seems to have run until it was
// deleted; of one that vanishes without that nothing is told.
absl::StatusOr<CloudRun> SimCloud::RunByOperations(const CloudMachine& last) const {
  const EmulatedMachine* const machine = NewestOf(last.name);
  if (machine == nullptr) return CloudRun();
  const bool is_gone = machine->state == State::kGone;
  const bool is_over = is_gone || machine->state == State::kStopped;
  CloudRun run = {.began = TimeOf(machine->launched), .reclaimed = machine->reclaimed};
  if (last.run.began >= run.began) run.began = last.run.began;
  if (last.run.ended >= run.began) run.ended = last.run.ended;
  else if (is_over && !machine->reclaimed) run.ended = TimeOf(machine->ended.value_or(machine->since));
  else if (is_gone && machine->ended < machine->since) run.ended = TimeOf(machine->since);
  else return absl::UnavailableError("no operation has ended it");
  return run;
}

absl::StatusOr<CloudRun> SimCloud::RunByBill(const CloudMachine& last) {
  const EmulatedMachine* const machine = model_.FindMachine(kind_.traits.name, last.id.empty() ? 0 : NumberOf(last.id));
  if (machine == nullptr || machine->state == State::kGone) return CloudRun();
  if (!machine->ended.has_value()) return absl::UnavailableError("it is not over");
  return CloudRun{.began = TimeOf(*machine->began), .ended = TimeOf(*machine->ended)};
}

std::optional<absl::Time> SimCloud::SinceOf(const std::vector<PriceSpan>& prices) const {
  return kind_.tells_prices ? std::optional(TimeOf(prices.back().since)) : std::nullopt;
}

bool SimCloud::PricesAreKnown() const {
  return prices_told_at_.has_value() && sim_.now() - *prices_told_at_ >= kWrittenDown;
}

void SimCloud::ChangePrice(EmulatedType type, double spot_price) {
  sim_.Note(absl::StrCat("spot in ", type.zone, " costs ", spot_price));
  type.spot_price = spot_price;
  model_.Sell(std::move(type));
  ++price_changes_;
  prices_told_at_.reset();
}

absl::Time SimCloud::TimeOf(absl::Duration at) { return absl::FromUnixSeconds(1767225600) + at; }

SimCloud::Fate SimCloud::Draw(const std::string& what, bool changes) {
  int& wrong = wrong_in_a_row_[what.substr(0, what.find(' '))];
  Fate fate = Fate::kDone;
  if (down) {
    sim_.Trouble();
  } else if (wrong < kWrongInARow) {
    if (sim_.Chance(faults_.refused)) fate = Fate::kRefused;
    else if (sim_.Chance(faults_.lost)) fate = Fate::kLost;
    else if (changes && sim_.Chance(faults_.repeated)) fate = Fate::kTwice;
    else if (changes && sim_.Chance(faults_.lies)) fate = Fate::kLie;
  }
  wrong = fate == Fate::kDone ? 0 : wrong + 1;
  if (fate != Fate::kDone) sim_.Trouble();
  return fate;
}

CloudInventory SimCloud::ListNow() {
  model_.Advance();
  const bool stale = sim_.Chance(faults_.stale);
  if (stale && sim_.now() - listed_at_ <= kOldest) return listed_;
  CloudInventory inventory;
  inventory.machines.reserve(model_.machines().size());
  inventory.volumes.reserve(model_.volumes().size());
  for (const auto& [number, machine] : model_.machines()) {
    if (!IsListed(machine)) continue;
    CloudMachine& to = inventory.machines.emplace_back();
    to = {.id = IdOf(number), .name = machine.name, .zone = machine.zone, .type = machine.type,
          .market = machine.spot ? Market::kSpot : Market::kOnDemand, .state = StateOf(machine.state)};
    if (machine.state == State::kRunning) to.address = machine.address;
    to.public_address = machine.public_address && (to.state == CloudMachine::State::kStarting || !to.address.empty());
    to.boot_gigabytes = machine.boot_gigabytes;
    to.run = ListedRunOf(machine);
    if (stale && sim_.Chance(0.1)) to.state = CloudMachine::State::kUnknown;
  }
  for (const auto& [number, volume] : model_.volumes()) {
    if (!model_.IsListed(volume)) continue;
    inventory.volumes.push_back({.id = IdOf(number), .name = volume.name, .zone = volume.zone,
                                 .ready = volume.state != VolumeState::kCreating,
                                 .machine = volume.machine == 0 ? "" : IdOf(volume.machine),
                                 .attached = volume.state == VolumeState::kAttached,
                                 .gigabytes = static_cast<double>(volume.gigabytes),
                                 .made = TimeOf(volume.made)});
  }
  if (faults_.stale > 0) {
    listed_ = inventory;
    listed_at_ = sim_.now();
  }
  inventory.failures = std::exchange(failures_, {});
  return inventory;
}

absl::StatusOr<std::string> SimCloud::Buy(const MachineOrder& order) {
  model_.Advance();
  if (const auto late = purchases_.find(order.token); late != purchases_.end() && late->second == 0) return IdOf(0);
  if (kind_.tokens && !forgets_tokens) {
    if (const auto known = purchases_.find(order.token); known != purchases_.end()) return IdOf(known->second);
  } else if (!kind_.tokens) {
    for (const auto& [number, machine] : model_.machines()) {
      if (machine.name != order.name || machine.state == State::kGone) continue;
      return absl::AlreadyExistsError("there is a machine of that name");
    }
  }
  EmulatedVolume* const volume =
      kind_.traits.attaches_at_creation ? model_.FindVolume(kind_.traits.name, NumberOf(order.volume_id)) : nullptr;
  if (kind_.traits.attaches_at_creation && (volume == nullptr || volume->state != VolumeState::kFree)) {
    return absl::FailedPreconditionError("the volume is in use");
  }
  if (sim_.Chance(faults_.late)) {
    sim_.Trouble(absl::Minutes(1));
    purchases_[order.token] = 0;
    failures_.push_back({order.name, absl::ResourceExhaustedError("no stock, after all")});
    return IdOf(0);
  }
  const absl::StatusOr<EmulatedMachine*> machine =
      model_.Buy({.cloud = kind_.traits.name,
                  .name = order.name,
                  .zone = order.offer.zone,
                  .type = order.offer.machine_type,
                  .token = order.token,
                  .user_data = order.user_data,
                  .spot = order.offer.market == Market::kSpot,
                  .public_address = kind_.public_addresses,
                  .boot_gigabytes = kind_.boot_gigabytes});
  if (machine.status().message() == "quota") return OverQuota("the quota is used up");
  if (!machine.ok()) return machine.status();
  if (volume != nullptr) (void)model_.Attach(*volume, **machine, "/dev/v");
  purchases_[order.token] = (*machine)->number;
  return IdOf((*machine)->number);
}

}  // namespace spotinference::fleet
