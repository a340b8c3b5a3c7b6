#include "fleet/providers/emulator/cloud_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;
using VolumeState = EmulatedVolume::State;
using Kind = EmulatedOperation::Kind;

// As the clouds' adapters ask for it: a machine that is stopped was hibernated, or deallocated, where there is such a
// thing. https://cloud.google.com/compute/docs/instances/instance-lifecycle: GCP's is only stopped.
BilledState BilledStateOf(const EmulatedMachine& machine, State state) {
  const bool hibernates = machine.cloud == "azure" || machine.cloud == "hyperstack";
  switch (state) {
    case State::kStarting: return BilledState::kStarting;
    case State::kRestoring: return machine.cloud == "hyperstack" ? BilledState::kHibernated : BilledState::kStarting;
    case State::kRunning: return BilledState::kRunning;
    case State::kStopping: return hibernates ? BilledState::kHibernating : BilledState::kStopping;
    case State::kDeleting: return BilledState::kStopping;
    case State::kOff: return BilledState::kStopped;
    case State::kStopped:
    case State::kGone:
    case State::kFailed: break;
  }
  return BilledState::kHibernated;
}

constexpr absl::Duration kPricesKept = absl::Hours(7 * 24);
constexpr absl::Duration kOperationsKept = absl::Hours(1);

bool IsCharged(const EmulatedMachine& machine) { return machine.began.has_value() && !machine.ended.has_value(); }

// Once it has entered `state`. What is deleted while it is stopped costs nothing meanwhile.
bool WillBeCharged(const EmulatedMachine& machine, State state) {
  const bool charged = BillingRulesOf(machine.cloud).charged[static_cast<int>(BilledStateOf(machine, state))];
  return charged && (state != State::kDeleting || IsCharged(machine));
}

bool HoldsStock(State state) { return state != State::kStopped && state != State::kGone && state != State::kFailed; }

bool HasAddress(const EmulatedMachine& machine) { return machine.public_address || machine.is_public; }

// Of those that are taken from a machine that is stopped.
double AddressOfRun(const EmulatedMachine& machine, absl::Duration until) {
  const BillingRules& rules = BillingRulesOf(machine.cloud);
  if (!HasAddress(machine) || rules.address_stays) return 0;
  return rules.address_hour * absl::FDivDuration(until - *machine.began, absl::Hours(1));
}

// Since it was bought, until it is gone.
double HoursOf(const EmulatedMachine& machine, absl::Duration now) {
  const absl::Duration time = (machine.state == State::kGone ? machine.since : now) - machine.bought;
  return absl::FDivDuration(std::max(absl::ZeroDuration(), time), absl::Hours(1));
}

}  // namespace

void CloudModel::Sell(EmulatedType type) {
  EmulatedType* const known = FindType(type.cloud, type.zone, type.type);
  if (known != nullptr) {
    type.on_demand_prices = std::move(known->on_demand_prices);
    type.spot_prices = std::move(known->spot_prices);
  }
  NotePrice(type, type.on_demand_price, type.on_demand_prices);
  if (type.spot_price.has_value()) NotePrice(type, *type.spot_price, type.spot_prices);
  if (known != nullptr) *known = std::move(type);
  else types_.push_back(std::move(type));
}

// What no run that goes on, or ended lately, was charged at is forgotten.
void CloudModel::NotePrice(const EmulatedType& type, double price, std::vector<PriceSpan>& prices) const {
  if (!prices.empty() && prices.back().per_hour == price) return;
  prices.push_back({clock_.Elapsed(), price});
  absl::Duration needed = clock_.Elapsed() - kPricesKept;
  for (const auto& [number, machine] : machines_) {
    const bool of_type = machine.cloud == type.cloud && machine.zone == type.zone && machine.type == type.type;
    if (of_type && IsCharged(machine)) needed = std::min(needed, *machine.began);
  }
  while (prices.size() > 1 && prices[1].since <= needed) prices.erase(prices.begin());
}

const EmulatedType* CloudModel::FindType(const std::string& cloud, const std::string& zone,
                                         const std::string& type) const {
  for (const EmulatedType& known : types_) {
    if (known.cloud == cloud && known.zone == zone && known.type == type) return &known;
  }
  return nullptr;
}

EmulatedType* CloudModel::FindType(const std::string& cloud, const std::string& zone, const std::string& type) {
  return const_cast<EmulatedType*>(std::as_const(*this).FindType(cloud, zone, type));
}

EmulatedMachine* CloudModel::FindMachine(const std::string& cloud, int64_t number) {
  const auto found = machines_.find(number);
  return found == machines_.end() || found->second.cloud != cloud ? nullptr : &found->second;
}

EmulatedVolume* CloudModel::FindVolume(const std::string& cloud, int64_t number) {
  const auto found = volumes_.find(number);
  return found == volumes_.end() || found->second.cloud != cloud ? nullptr : &found->second;
}

void CloudModel::Enter(EmulatedMachine& machine, State state, absl::Duration at) {
  const bool was_charged = IsCharged(machine), is_charged = WillBeCharged(machine, state);
  if (was_charged && !is_charged) {
    machine.dollars += BillOfRun(machine, at);
    machine.address_dollars += AddressOfRun(machine, at);
    machine.ended = at;
  } else if (!was_charged && is_charged) {
    machine.began = at;
    machine.ended.reset();
  }
  if (HoldsStock(machine.state) && !HoldsStock(state)) FreeStock(machine);
  if (machine.state == State::kStopped) machine.stopped += at - machine.since;
  machine.state = state;
  machine.since = at;
  machine.until = absl::InfiniteDuration();
  if (state != State::kRunning && state != State::kStopped && state != State::kGone) return;
  for (EmulatedOperation& operation : operations_) {
    if (operation.machine == machine.number && !operation.done.has_value()) operation.done = at;
  }
}

void CloudModel::Note(Kind kind, const EmulatedMachine& machine, absl::Duration at, bool refused) {
  const absl::Duration oldest = clock_.Elapsed() - kOperationsKept;
  std::erase_if(operations_, [&](const EmulatedOperation& o) { return o.done.has_value() && *o.done < oldest; });
  const bool passes = kind == Kind::kTake || refused;
  operations_.push_back({.number = ++last_operation_,
                         .kind = kind,
                         .cloud = machine.cloud,
                         .zone = machine.zone,
                         .name = machine.name,
                         .machine = machine.number,
                         .refused = refused,
                         .begun = at,
                         .done = passes ? std::optional(at) : std::nullopt,
                         .listed_at = at + habits_.list_lag});
}

void CloudModel::FreeStock(const EmulatedMachine& machine) {
  if (EmulatedType* const type = FindType(machine.cloud, machine.zone, machine.type)) ++type->stock;
}

void CloudModel::Settle(EmulatedMachine& machine, absl::Duration now) {
  if (machine.taken_at > now && machine.state == State::kRunning && host_.MayGo(machine)) machine.taken_at = now;
  if (machine.taken_at.has_value() && *machine.taken_at <= now && machine.state == State::kRunning) {
    const absl::Duration at = *std::exchange(machine.taken_at, std::nullopt);
    host_.Halt(machine);
    machine.why = "taken away";
    machine.reclaimed = true;
    Note(Kind::kTake, machine, at);
    Enter(machine, machine.taken_to, at);
  }
  while (machine.until <= now) {
    const absl::Duration at = machine.until;
    switch (machine.state) {
      case State::kStarting:
      case State::kRestoring:
        Enter(machine, State::kRunning, at);
        host_.Boot(machine);
        break;
      case State::kStopping:
        Enter(machine, State::kStopped, at);
        break;
      case State::kDeleting:
        Enter(machine, State::kGone, at);
        break;
      default:
        machine.until = absl::InfiniteDuration();
    }
  }
  if (machine.state != State::kGone) return;
  host_.Erase(machine);
  machine.keeps_address |= machine.is_public && machine.cloud == "azure" && habits_.keeps_addresses;
  machine.left_address = machine.is_public && machine.keeps_address;
  if (habits_.dead_keep_volumes) return;
  for (auto& [number, volume] : volumes_) {
    if (volume.machine != machine.number) continue;
    volume.machine = 0;
    volume.state = VolumeState::kFree;
    volume.until = absl::InfiniteDuration();
  }
}

void CloudModel::Settle(EmulatedVolume& volume, absl::Duration now) {
  if (volume.until > now) return;
  volume.until = absl::InfiniteDuration();
  const auto machine = machines_.find(volume.machine);
  switch (volume.state) {
    case VolumeState::kAttaching:
      volume.state = VolumeState::kAttached;
      if (machine != machines_.end()) host_.Attach(machine->second, volume);
      break;
    case VolumeState::kDetaching:
      if (machine != machines_.end()) host_.Detach(machine->second, volume);
      volume.machine = 0;
      volume.state = VolumeState::kFree;
      break;
    case VolumeState::kCreating:
      volume.state = VolumeState::kFree;
      break;
    default:
      break;
  }
}

void CloudModel::Advance() {
  const absl::Duration now = clock_.Elapsed();
  for (auto& [number, volume] : volumes_) Settle(volume, now);
  for (auto& [number, machine] : machines_) {
    if (machine.state != State::kGone) Settle(machine, now);
  }
}

absl::Duration CloudModel::NextChange() const {
  absl::Duration next = absl::InfiniteDuration();
  for (const auto& [number, machine] : machines_) {
    if (machine.state == State::kGone) continue;
    next = std::min(next, machine.until);
    if (machine.taken_at.has_value() && machine.state == State::kRunning) next = std::min(next, *machine.taken_at);
  }
  for (const auto& [number, volume] : volumes_) next = std::min(next, volume.until);
  return next;
}

absl::StatusOr<EmulatedMachine*> CloudModel::Buy(EmulatedMachine wanted) {
  Advance();
  EmulatedType* const type = FindType(wanted.cloud, wanted.zone, wanted.type);
  if (type == nullptr) return absl::InvalidArgumentError(absl::StrCat("no ", wanted.type, " in ", wanted.zone));
  if (wanted.spot && !type->spot_price.has_value()) return absl::InvalidArgumentError("it is not sold as spot");
  if (QuotaUsed(*type, wanted.spot) >= habits_.quota) return absl::ResourceExhaustedError("quota");
  if (type->stock <= 0) {
    Note(Kind::kCreate, wanted, clock_.Elapsed(), /*refused=*/true);
    return absl::ResourceExhaustedError("stock");
  }
  --type->stock;
  wanted.number = ++last_number_;
  wanted.price_per_hour = wanted.spot ? *type->spot_price : type->on_demand_price;
  wanted.address = host_.Address(wanted.number);
  wanted.since = wanted.launched = wanted.bought = clock_.Elapsed();
  if (WillBeCharged(wanted, State::kStarting)) wanted.began = wanted.since;
  wanted.until = wanted.since + habits_.boot;
  wanted.listed_at = wanted.since + habits_.list_lag;
  wanted.account = habits_.account;
  Note(Kind::kCreate, wanted, wanted.since);
  return &machines_.emplace(wanted.number, std::move(wanted)).first->second;
}

// What is deallocated or hibernated counts on.
int CloudModel::QuotaUsed(const EmulatedType& type, bool spot) const {
  return std::count_if(machines_.begin(), machines_.end(), [&](const auto& entry) {
    const EmulatedMachine& machine = entry.second;
    if (machine.cloud != type.cloud || machine.spot != spot) return false;
    const EmulatedType* const bought = FindType(machine.cloud, machine.zone, machine.type);
    const bool counts_on = machine.state == State::kStopped && (type.cloud == "azure" || type.cloud == "hyperstack");
    return bought != nullptr && bought->region == type.region && (HoldsStock(machine.state) || counts_on);
  });
}

void CloudModel::AddFailed(EmulatedMachine wanted) {
  wanted.number = ++last_number_;
  wanted.state = State::kFailed;
  wanted.bought = absl::InfiniteDuration();
  wanted.since = clock_.Elapsed();
  wanted.listed_at = wanted.since + habits_.list_lag;
  wanted.account = habits_.account;
  machines_.emplace(wanted.number, std::move(wanted));
}

absl::Status CloudModel::Stop(EmulatedMachine& machine) {
  Advance();
  if (machine.state != State::kRunning) return absl::FailedPreconditionError("it does not run");
  host_.Halt(machine);
  Note(Kind::kStop, machine, clock_.Elapsed());
  Enter(machine, State::kStopping, clock_.Elapsed());
  machine.taken_at.reset();
  if (!habits_.stop_never_ends) machine.until = clock_.Elapsed() + habits_.stop;
  return absl::OkStatus();
}

absl::Status CloudModel::Start(EmulatedMachine& machine) {
  Advance();
  if (machine.state != State::kStopped) return absl::FailedPreconditionError("it is not stopped");
  EmulatedType* const type = FindType(machine.cloud, machine.zone, machine.type);
  const bool has_stock = type != nullptr && type->stock > 0;
  Note(Kind::kStart, machine, clock_.Elapsed(), /*refused=*/!has_stock);
  if (!has_stock) return absl::ResourceExhaustedError("stock");
  --type->stock;
  machine.launched = clock_.Elapsed();
  machine.reclaimed = false;
  Enter(machine, State::kRestoring, clock_.Elapsed());
  machine.until = clock_.Elapsed() + habits_.boot;
  return absl::OkStatus();
}

absl::Status CloudModel::Delete(EmulatedMachine& machine) {
  Advance();
  if (machine.state == State::kGone || machine.state == State::kDeleting) return absl::OkStatus();
  Note(Kind::kDelete, machine, clock_.Elapsed());
  if (machine.state == State::kFailed) {
    Enter(machine, State::kGone, clock_.Elapsed());
    return absl::OkStatus();
  }
  host_.Halt(machine);
  Enter(machine, State::kDeleting, clock_.Elapsed());
  machine.until = clock_.Elapsed() + habits_.remove;
  return absl::OkStatus();
}

absl::Status CloudModel::PowerOff(EmulatedMachine& machine) {
  if (machine.cloud == "aws") return Delete(machine);
  if (machine.cloud == "gcp") return Stop(machine);
  Advance();
  if (machine.state != State::kRunning) return absl::FailedPreconditionError("it does not run");
  host_.Halt(machine);
  Enter(machine, State::kOff, clock_.Elapsed());
  machine.taken_at.reset();
  return absl::OkStatus();
}

absl::Status CloudModel::SwitchOn(EmulatedMachine& machine) {
  Advance();
  if (machine.state != State::kOff) return absl::FailedPreconditionError("it is not off");
  Enter(machine, State::kRunning, clock_.Elapsed());
  host_.Boot(machine);
  return absl::OkStatus();
}

absl::Status CloudModel::Reboot(EmulatedMachine& machine) {
  Advance();
  if (machine.state != State::kRunning) return absl::FailedPreconditionError("it does not run");
  host_.Halt(machine);
  host_.Boot(machine);
  return absl::OkStatus();
}

void CloudModel::TakeAway(EmulatedMachine& machine, absl::Duration notice, State to, bool silent) {
  Advance();
  machine.taken_at = clock_.Elapsed() + notice;
  machine.taken_to = to;
  if (!silent) host_.Notice(machine, notice);
}

void CloudModel::Withdraw(EmulatedMachine& machine) {
  Advance();
  machine.taken_at.reset();
  host_.Notice(machine, std::nullopt);
}

EmulatedVolume& CloudModel::CreateVolume(EmulatedVolume wanted) {
  Advance();
  wanted.number = ++last_number_;
  wanted.made = clock_.Elapsed();
  wanted.until = wanted.made + habits_.volume;
  wanted.listed_at = clock_.Elapsed() + habits_.list_lag;
  wanted.account = habits_.account;
  return volumes_.emplace(wanted.number, std::move(wanted)).first->second;
}

absl::Status CloudModel::Attach(EmulatedVolume& volume, EmulatedMachine& machine, std::string device) {
  Advance();
  if (volume.state != VolumeState::kFree) return absl::FailedPreconditionError("the volume is in use");
  if (volume.zone != machine.zone) return absl::InvalidArgumentError("volume and machine are in different zones");
  if (machine.state == State::kGone || machine.state == State::kDeleting || machine.state == State::kFailed) {
    return absl::FailedPreconditionError("the machine is gone");
  }
  volume.machine = machine.number;
  volume.device = std::move(device);
  volume.state = VolumeState::kAttaching;
  if (!habits_.attach_never_ends) volume.until = clock_.Elapsed() + habits_.attach;
  return absl::OkStatus();
}

absl::Status CloudModel::Detach(EmulatedVolume& volume) {
  Advance();
  if (volume.machine == 0) return absl::FailedPreconditionError("the volume is not attached");
  volume.state = VolumeState::kDetaching;
  volume.until = clock_.Elapsed() + habits_.attach;
  return absl::OkStatus();
}

absl::Status CloudModel::DeleteVolume(EmulatedVolume& volume) {
  Advance();
  if (volume.state != VolumeState::kFree) return absl::FailedPreconditionError("the volume is in use");
  deleted_volumes_dollars_ += Bill(volume);
  volumes_.erase(volume.number);
  return absl::OkStatus();
}

std::string CloudModel::NewToken(absl::string_view begin, absl::Duration good_for) {
  const std::string token = absl::StrCat(begin, ".emulated-", ++last_token_);
  tokens_[token] = clock_.Elapsed() + good_for;
  return token;
}

bool CloudModel::IsGood(const std::string& token) const {
  const auto known = tokens_.find(token);
  return known != tokens_.end() && clock_.Elapsed() < known->second;
}

std::string CloudModel::PrivateAddress(const EmulatedMachine& machine) {
  if (!machine.is_public) return machine.address;
  return absl::StrCat("10.0.", machine.number / 250, ".", 1 + machine.number % 250);
}

double CloudModel::BillOfRun(const EmulatedMachine& machine, absl::Duration until) const {
  const EmulatedType& type = *FindType(machine.cloud, machine.zone, machine.type);  // of which it was bought
  return fleet::BillOfRun(BillingRulesOf(machine.cloud), machine.spot ? Market::kSpot : Market::kOnDemand,
                          *machine.began, until, machine.reclaimed,
                          machine.spot ? type.spot_prices : type.on_demand_prices);
}

double CloudModel::Bill(const EmulatedVolume& volume) const {
  return VolumePerHour(BillingRulesOf(volume.cloud), static_cast<double>(volume.gigabytes)) *
         absl::FDivDuration(clock_.Elapsed() - volume.made, absl::Hours(1));
}

double CloudModel::Bill(const EmulatedMachine& machine) const {
  return machine.dollars + (IsCharged(machine) ? BillOfRun(machine, clock_.Elapsed()) : 0);
}

double CloudModel::AddressBill(const EmulatedMachine& machine) const {
  const BillingRules& rules = BillingRulesOf(machine.cloud);
  if (rules.address_stays) return HasAddress(machine) ? rules.address_hour * HoursOf(machine, clock_.Elapsed()) : 0;
  return machine.address_dollars + (IsCharged(machine) ? AddressOfRun(machine, clock_.Elapsed()) : 0);
}

double CloudModel::BootDiskBill(const EmulatedMachine& machine) const {
  const BillingRules& rules = BillingRulesOf(machine.cloud);
  const double per_hour = VolumePerHour(rules, machine.boot_gigabytes);
  if (!rules.boot_disk_asleep) return per_hour * HoursOf(machine, clock_.Elapsed());
  const bool sleeps = machine.state == State::kStopped;
  const absl::Duration now = sleeps ? clock_.Elapsed() - machine.since : absl::ZeroDuration();
  return per_hour * absl::FDivDuration(machine.stopped + now, absl::Hours(1));
}

}  // namespace spotinference::fleet
