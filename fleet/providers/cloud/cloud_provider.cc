#include "fleet/providers/cloud/cloud_provider.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/ledger/billing.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/secret.h"

namespace spotinference::fleet {
namespace {

using Goal = Life::Goal;
using State = CloudMachine::State;

constexpr absl::Duration kSeconds = absl::Seconds(2);  // by which two of a cloud's whole seconds may be out of order

}  // namespace

CloudProvider::CloudProvider(std::unique_ptr<CloudApi> api, Probe& probe, Authority& authority, const Clock& clock,
                             CloudProviderOptions options)
    : api_(std::move(api)),
      probe_(probe),
      authority_(authority),
      clock_(clock),
      options_(std::move(options)),
      caps_{.name = api_->traits().name, .sells_offers = true, .hibernates = true, .outlives_host = true} {
  absl::MutexLock lock(&mailbox_->mutex);
  mailbox_->provider = this;
}

CloudProvider::~CloudProvider() {
  {
    absl::MutexLock lock(&mailbox_->mutex);
    mailbox_->provider = nullptr;
  }
  api_->Cancel();
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void CloudProvider::Start(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] {
      for (;;) {
        while (Work()) {
        }
        absl::MutexLock lock(&mutex_);
        if (ending_) return;
        mutex_.AwaitWithTimeout(absl::Condition(this, &CloudProvider::HasWork), NextDue() - clock_.Elapsed());
      }
    });
  }
}

absl::Duration CloudProvider::Run() {
  while (Work()) {
  }
  absl::MutexLock lock(&mutex_);
  return NextDue();
}

absl::Duration CloudProvider::NextDue() const {
  absl::Duration due = absl::InfiniteDuration();
  for (const Poll* const poll : {&list_, &offers_poll_}) {
    if (!poll->busy) due = std::min(due, poll->due);
  }
  for (const auto& [id, machine] : machines_) {
    if (!machine->stepping) due = std::min(due, machine->due);
  }
  return due;
}

bool CloudProvider::HasWork() const { return ending_ || NextDue() <= clock_.Elapsed(); }

bool CloudProvider::Work() {
  absl::MutexLock lock(&mutex_);
  if (ending_) return false;
  const absl::Duration now = clock_.Elapsed();
  for (const auto& [id, machine] : machines_) {
    if (machine->stepping || machine->due > now) continue;
    const MachinePtr kept = machine;
    kept->stepping = true;
    Step(kept);
    kept->stepping = false;
    return true;
  }
  if (!list_.busy && list_.due <= now) {
    PollList();
    return true;
  }
  if (!offers_poll_.busy && offers_poll_.due <= now) {
    PollOffers();
    return true;
  }
  return false;
}

// --- What is asked.

void CloudProvider::Listen(absl::AnyInvocable<void(MachineEvent)> listener) {
  absl::MutexLock offers_lock(&mutex_);
  absl::MutexLock lock(&listener_mutex_);
  listener_ = std::move(listener);
  if (listener_ && offers_.has_value()) listener_({.kind = MachineEvent::Kind::kOffers, .offers = *offers_});
}

void CloudProvider::Tell(MachineEvent event) {
  absl::MutexLock lock(&listener_mutex_);
  if (listener_) listener_(std::move(event));
}

void CloudProvider::Launch(const MachineSpec& spec) {
  absl::MutexLock lock(&mutex_);
  const MachinePtr machine = Begin(spec);
  if (machine == nullptr) return;
  machine->launched = true;
  machine->asked_after = api_->LastDate();
  if (listed_at_ > -absl::InfiniteDuration()) machine->acted_at = listed_at_;  // no list can have it yet
}

void CloudProvider::Restore(const MachineSpec& spec) {
  absl::MutexLock lock(&mutex_);
  const MachinePtr machine = Begin(spec);
  if (machine == nullptr) return;
  machine->life.kept = Keeps(*machine);
  machine->asked_after = api_->LastDate();
}

void CloudProvider::Adopt(const MachineSpec& spec, absl::string_view handle, absl::string_view address) {
  absl::MutexLock lock(&mutex_);
  const MachinePtr machine = Begin(spec);
  if (machine == nullptr) return;
  machine->life.adopting = machine->adopted = true;
  machine->life.machine_id = std::string(handle);
  machine->address = std::string(address);
  if (handle.empty()) machine->life.create_at = clock_.Elapsed();  // it may have just been asked for
}

CloudProvider::MachinePtr CloudProvider::Begin(const MachineSpec& spec) {
  if (machines_.contains(spec.id)) return nullptr;
  const auto machine = std::make_shared<Machine>();
  machine->spec = spec;
  machine->name = options_.names.Machine(spec.id);
  machine->volume_name = options_.names.Volume(spec.volume);
  machine->token = NewPurchaseToken();
  machine->due = machine->acted_at = machine->begun = clock_.Elapsed();
  machines_.emplace(spec.id, machine);
  if (!RetryAfter(list_error_).has_value()) list_.due = std::min(list_.due, clock_.Elapsed());
  return machine;
}

void CloudProvider::Hibernate(absl::string_view machine_id) { Aim(machine_id, Goal::kStop); }

void CloudProvider::Terminate(absl::string_view machine_id) {
  absl::MutexLock lock(&mutex_);
  if (Withholds(std::string(machine_id), "delete it")) return;
  if (const auto found = machines_.find(machine_id); found != machines_.end()) {
    Fail(*found->second, absl::OkStatus());
  } else {
    Tell(Absent(machine_id));
  }
}

void CloudProvider::TerminateLost(absl::string_view machine_id) {
  absl::MutexLock lock(&mutex_);
  if (Withholds(std::string(machine_id), "delete it")) return;
  const auto found = machines_.find(machine_id);
  if (found == machines_.end()) return Tell(Absent(machine_id));
  found->second->lost_at = found->second->due = clock_.Elapsed();
  if (list_.failures == 0) list_.due = std::min(list_.due, clock_.Elapsed());
}

void CloudProvider::Discard(const MachineSpec& spec) {
  absl::MutexLock lock(&mutex_);
  if (!options_.buys_nothing.empty()) {  // what it could not buy again
    MachineEvent gone = Absent(spec.id);
    gone.status = absl::FailedPreconditionError(absl::StrCat(options_.buys_nothing, ": nothing is deleted"));
    return Tell(std::move(gone));
  }
  const MachinePtr machine = Begin(spec);
  if (machine == nullptr) return;
  authority_.Forget(spec.id);
  machine->offer = spec.offer;
  machine->life.goal = Goal::kDelete;
  machine->life.discards = true;
  machine->life.stop_since = clock_.Elapsed();
}

MachineEvent CloudProvider::Absent(absl::string_view machine_id) const {
  MachineEvent gone = {.machine_id = std::string(machine_id)};
  const std::string name = options_.names.Machine(machine_id);
  for (const CloudMachine& machine : inventory_.machines) {
    if (machine.name != name || machine.state != State::kStopped) continue;
    gone.public_address = machine.public_address;
    gone.boot_gigabytes = machine.boot_gigabytes;
    gone.kept = true;
  }
  return gone;
}

void CloudProvider::Aim(absl::string_view machine_id, Goal goal) {
  std::optional<Endpoint> engine;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = machines_.find(machine_id);
    const bool keeps = found == machines_.end() ? api_->traits().keeps_stopped : Keeps(*found->second);
    if (goal == Goal::kStop && !keeps) goal = Goal::kDelete;
    if (Withholds(std::string(machine_id), goal == Goal::kStop ? "stop it" : "delete it")) return;
    if (found == machines_.end()) return Tell(Absent(machine_id));
    Machine& machine = *found->second;
    machine.life.goal = goal;
    if (goal == Goal::kDelete) authority_.Forget(machine_id);
    if (!machine.life.stop_since.has_value()) machine.life.stop_since = clock_.Elapsed();
    machine.life.adopting = false;
    machine.due = clock_.Elapsed();
    if (machine.life.serves && !machine.endpoint.address.empty()) {
      machine.life.drained_at = clock_.Elapsed() + options_.drain;
      engine = machine.endpoint;
    }
  }
  // So that it brings its KV to the volume. Whether it heard it or not, its machine is stopped then.
  if (engine.has_value()) probe_.Interrupt(*engine, options_.drain, kProbeDeadline, [](absl::StatusOr<int64_t>) {});
}

// --- What the cloud as a whole says.

absl::StatusOr<CloudInventory> CloudProvider::List(bool knows_account) const {
  if (!knows_account && options_.check_account != nullptr) {
    ASSIGN_OR_RETURN(const std::string account, api_->Account());
    RETURN_IF_ERROR(options_.check_account(account));
  }
  return api_->List();
}

void CloudProvider::PollList() {
  list_.busy = true;
  const absl::Duration begun = clock_.Elapsed();
  const bool knows_account = knows_account_;
  mutex_.Unlock();
  absl::StatusOr<CloudInventory> inventory = List(knows_account);
  mutex_.Lock();
  const absl::Status heard = inventory.ok() ? Hear(inventory->unheard, list_) : inventory.status();
  if (!heard.ok()) inventory = heard;
  // Whoever asks for credentials again may get another account's.
  knows_account_ = inventory.ok() || (knows_account && !absl::IsUnauthenticated(inventory.status()));
  list_.busy = false;
  NoteListError(inventory.status());
  if (!inventory.ok()) {
    for (auto& [id, machine] : machines_)
      machine->due = std::min(machine->due, std::max(clock_.Elapsed(), machine->not_before));
    LOG(WARNING) << caps_.name << ": cannot list machines: " << inventory.status();
    list_.due = clock_.Elapsed() + BackOff(++list_.failures, inventory.status());
    return;
  }
  list_.failures = 0;
  date_ = api_->LastDate();
  date_at_ = clock_.Elapsed();
  OnList(*std::move(inventory), begun);
}

// What cannot be listed is not bought, and a plan is to know that before: the offers are told anew.
void CloudProvider::NoteListError(const absl::Status& status) {
  const std::string before = WhyUnlisted();
  list_error_ = status;
  const std::string now = WhyUnlisted();
  if (now == before || !offers_.has_value()) return;
  if (now.empty()) {
    if (!RetryAfter(offers_error_).has_value()) offers_poll_.due = std::min(offers_poll_.due, clock_.Elapsed());
    return;
  }
  ApplyBars(*offers_);
  Tell({.kind = MachineEvent::Kind::kOffers, .offers = *offers_});
}

std::string CloudProvider::WhyUnlisted() const {
  if (absl::IsUnauthenticated(list_error_)) {
    return absl::StrCat("that ", caps_.name, " refuses its credentials (", list_error_.message(), ")");
  }
  if (!absl::IsPermissionDenied(list_error_)) return "";
  return absl::StrCat("that machines of ", caps_.name, " cannot be listed (", list_error_.message(), ")");
}

// A place that fails now and then fails the whole answer, which is asked for again soon: what is decided without it,
// such as where to buy, would be decided wrong. It waits as one of them told, and no longer than for a place.
absl::Status CloudProvider::Hear(const std::vector<UnheardPlace>& unheard, Poll& poll) {
  std::map<std::string, absl::Duration> since;
  absl::Status status;
  absl::Duration wait = absl::InfiniteDuration();
  for (const UnheardPlace& place : unheard) {
    const auto known = poll.unheard.find(place.place);
    const absl::Duration first = known == poll.unheard.end() ? clock_.Elapsed() : known->second;
    since.emplace(place.place, first);
    if (clock_.Elapsed() - first >= kUnheard) continue;
    const absl::Duration told = RetryAfter(place.status).value_or(absl::ZeroDuration());
    wait = std::min({wait, told, first + kUnheard - clock_.Elapsed()});
    status = absl::UnavailableError(absl::StrCat(place.place, ": ", place.status.message()));
  }
  poll.unheard = std::move(since);
  const bool is_told = !status.ok() && wait > absl::ZeroDuration();
  return is_told ? WithRetryAfter(std::move(status), wait) : status;
}

// What was last known of places that could not be asked, so that nothing in them seems to be gone.
void CloudProvider::KeepUnheard(CloudInventory& inventory) {
  std::map<std::string, absl::Duration> unheard;
  for (const UnheardPlace& place : inventory.unheard) {
    const auto since = unheard_.find(place.place);
    if (since == unheard_.end()) LOG(WARNING) << caps_.name << ": cannot ask " << place.place << ": " << place.status;
    unheard.emplace(place.place, since == unheard_.end() ? listed_at_ : since->second);
    const auto keep = [&](const auto& from, auto& to) {
      for (const auto& old : from) {
        if (absl::StartsWith(old.zone, place.place)) to.push_back(old);
      }
    };
    keep(inventory_.machines, inventory.machines);
    keep(inventory_.volumes, inventory.volumes);
  }
  for (const auto& [place, since] : unheard_) {
    if (!unheard.contains(place)) LOG(INFO) << caps_.name << ": " << place << " can be asked again";
  }
  unheard_ = std::move(unheard);
}

absl::Duration CloudProvider::HeardAt(absl::string_view zone) const {
  absl::Duration at = listed_at_;
  for (const auto& [place, heard] : unheard_) {
    if (absl::StartsWith(zone, place)) at = std::min(at, heard);
  }
  return at;
}

// Where nobody knows where it is, it may be in any place.
absl::Duration CloudProvider::HeardAt(const Machine& machine) const {
  for (const auto& offer : {machine.offer, machine.spec.offer}) {
    if (offer.has_value()) return HeardAt(offer->zone);
  }
  if (!machine.last.zone.empty()) return HeardAt(machine.last.zone);
  if (machine.launched) return listed_at_;
  absl::Duration at = listed_at_;
  for (const auto& [place, heard] : unheard_) at = std::min(at, heard);
  return at;
}

void CloudProvider::OnList(CloudInventory inventory, absl::Duration begun) {
  KeepUnheard(inventory);
  inventory_ = std::move(inventory);
  listed_at_ = begun;
  bool busy = false, awaits_volume = false, outdated = false;
  for (auto& [id, machine] : machines_) {
    Life& life = machine->life;
    for (const CloudInventory::Failure& failure : inventory_.failures) {
      if (failure.name == machine->name) machine->failure = failure;
    }
    busy |= !options_.changes_nothing && (life.goal != Goal::kRun || !life.serves);
    outdated |= begun < machine->acted_at;
    if (HeardAt(*machine) < std::max(begun, machine->acted_at)) continue;
    const CloudMachine* const found = Find(*machine);
    const CloudVolume* const volume = FindVolume(*machine, found);
    awaits_volume |= life.goal == Goal::kRun && !life.create_at.has_value() && (volume == nullptr || !volume->ready) &&
                     life.volume_at.has_value() && begun - *life.volume_at < kVolume;
    life.heard_at = begun;
    life.absence.Note(found != nullptr, begun);
    life.holder.Note(volume == nullptr || volume->machine.empty() || FindHolder(volume) != nullptr, begun);
    life.volume.Note(volume != nullptr, begun);
    if (found != nullptr && found->state != State::kGone) {
      life.seen = true;
      life.remains_at.reset();
      life.machine_id = found->id;
      const CloudRun before = machine->last.run;
      machine->last = *found;
      machine->public_address |= found->public_address;
      if (found->boot_gigabytes > 0) machine->boot_gigabytes = found->boot_gigabytes;
      // What is being deleted, and had stopped, has not run since.
      if (found->state == State::kDeleting && !found->run.ended.has_value()) machine->last.run.ended = before.ended;
      const bool boots = found->state == State::kStarting || found->state == State::kRunning;
      machine->boots |= boots;
      life.ran |= boots && (life.create_at.has_value() || life.start_at.has_value() || life.serves);
      if (life.ran && found->state == State::kRunning) machine->ran_by = std::min(machine->ran_by, date_ + kSeconds);
    }
    machine->due = std::min(machine->due, std::max(clock_.Elapsed(), machine->not_before));
  }
  SweepOrphans();
  busy |= !options_.changes_nothing && !strays_.empty();
  const absl::Duration poll = outdated        ? absl::ZeroDuration()  // a call has ended since it was begun
                              : awaits_volume ? options_.volume_poll
                              : busy          ? options_.busy_poll
                                              : options_.idle_poll;
  list_.due = std::max(list_.due, clock_.Elapsed() + poll);
}

void CloudProvider::ApplyBars(std::vector<OfferNow>& offers) const {
  const std::string unlisted = WhyUnlisted();
  for (OfferNow& now : offers) {
    if (!unlisted.empty()) now.barred = unlisted;
    now.bars_restores |= !unlisted.empty();
    for (const Bar& bar : bars_) {
      const bool holds = bar.offer.region == now.offer.region && bar.offer.market == now.offer.market &&
                         bar.offer.machine_type == now.offer.machine_type;
      if (holds && now.barred.empty()) now.barred = bar.why;
      now.bars_restores |= holds && bar.restores;
    }
  }
}

void CloudProvider::NoteBar(const Machine& machine, const absl::Status& status) {
  const std::optional<Offer>& offer = machine.offer.has_value() ? machine.offer : machine.spec.offer;
  if (!offer.has_value()) return;
  const bool restores = !machine.launched || !KeepsRoom(*offer);
  bars_.push_back({*offer, std::string(status.message()), restores, clock_.Elapsed() + kOverQuota});
  if (!offers_.has_value()) return;
  ApplyBars(*offers_);
  Tell({.kind = MachineEvent::Kind::kOffers, .offers = *offers_});
}

bool CloudProvider::Keeps(const Machine& machine) const {
  for (const auto& offer : {machine.offer, machine.spec.offer}) {
    if (offer.has_value()) return api_->KeepsStopped(offer->machine_type);
  }
  return api_->KeepsStopped(machine.last.type);
}

bool CloudProvider::KeepsRoom(const Offer& offer) const {
  return api_->traits().stopped_counts && api_->KeepsStopped(offer.machine_type);
}

std::string CloudProvider::WhyBarred(const Offer& offer) const {
  if (!offers_.has_value()) return "";
  for (const OfferNow& now : *offers_) {
    if (SamePlace(now.offer, offer)) return now.barred;
  }
  return "";
}

void CloudProvider::PollOffers() {
  offers_poll_.busy = true;
  mutex_.Unlock();
  absl::StatusOr<CloudOffers> answer = api_->Offers();
  mutex_.Lock();
  const absl::Status status = answer.ok() ? Hear(answer->unheard, offers_poll_) : answer.status();
  offers_poll_.busy = false;
  offers_error_ = status;
  for (auto& [id, machine] : machines_)
    machine->due = std::min(machine->due, std::max(clock_.Elapsed(), machine->not_before));
  if (!status.ok()) {
    LOG(WARNING) << caps_.name << ": cannot ask for prices and stock: " << status;
    offers_poll_.due = clock_.Elapsed() + BackOff(++offers_poll_.failures, status);
    if (!offers_.has_value() && (absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status))) {
      Tell({.kind = MachineEvent::Kind::kOffers,
            .status = absl::Status(status.code(), absl::StrCat(caps_.name, ": ", status.message()))});
    }
    return;
  }
  offers_poll_.failures = 0;
  offers_poll_.due = clock_.Elapsed() + options_.offers_poll;
  std::vector<OfferNow>& offers = answer->offers;
  // Neither what a slip of the cloud seems to give away, nor what has no stock.
  std::erase_if(offers, [](const OfferNow& now) {
    return !(now.offer.price_per_hour > 0) || !std::isfinite(now.offer.price_per_hour);
  });
  const double volume_per_hour = VolumePerHour(BillingRulesOf(caps_.name), api_->traits().volume_gigabytes);
  priced_.clear();
  for (OfferNow& now : offers) {
    now.offer.volume_per_hour = volume_per_hour;
    priced_.push_back(now.offer);
  }
  std::erase_if(offers, [](const OfferNow& now) { return now.stock.value_or(1) <= 0; });
  const std::string error(answer->quotas.message());
  LOG_IF(WARNING, !error.empty() && error != quotas_error_) << caps_.name << ": cannot ask for quotas: " << error;
  quotas_error_ = error;
  std::erase_if(bars_, [&](const Bar& bar) { return bar.until <= clock_.Elapsed(); });
  for (OfferNow& now : offers) now.bars_restores = !now.barred.empty() && !KeepsRoom(now.offer);
  ApplyBars(offers);
  offers_ = offers;
  Tell({.kind = MachineEvent::Kind::kOffers, .offers = std::move(offers)});
}

}  // namespace spotinference::fleet
