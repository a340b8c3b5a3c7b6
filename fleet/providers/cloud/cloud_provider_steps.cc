// What becomes of a machine, step by step.
#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/api/mutual_tls.h"
#include "engine/api/status.h"
#include "engine/base/status.h"
#include "fleet/ledger/billing.h"
#include "fleet/providers/cloud/cloud_provider.h"
#include "fleet/providers/cloud/held_calls.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/secret.h"

namespace spotinference::fleet {
namespace {

using Goal = Life::Goal;
using State = CloudMachine::State;

constexpr absl::Duration kShortestRun = absl::Seconds(10);  // from the call until it was taken: no boot is shorter

// Whoever asks again without a change gets the same answer.
bool IsPermanent(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status) ||
         absl::IsUnimplemented(status) || absl::IsNotFound(status);
}

// As provider.h has it.
absl::Status Refusal(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) return status;
  if (IsPermanent(status)) return absl::FailedPreconditionError(status.message());
  return absl::UnavailableError(status.message());
}

bool Buys(Next::Do what) {
  return what == Next::Do::kCreateVolume || what == Next::Do::kCreateMachine || what == Next::Do::kStartMachine;
}

// What else changes something in the cloud, in words; "": nothing.
absl::string_view Change(Next::Do what) {
  switch (what) {
    case Next::Do::kStopMachine: return "stop it";
    case Next::Do::kDeleteMachine: return "delete it";
    case Next::Do::kAttach: return "attach its volume";
    case Next::Do::kDetach: return "detach its volume";
    case Next::Do::kDeleteVolume: return "delete its volume";
    default: return "";
  }
}

}  // namespace

// The one whose id is known, unless it is gone and another one of its name is not, as far as its state is known.
const CloudMachine* CloudProvider::Find(const Machine& machine) const {
  const CloudMachine* gone = nullptr;
  const CloudMachine* other = nullptr;
  for (const CloudMachine& candidate : inventory_.machines) {
    if (candidate.name != machine.name) continue;
    const bool is_it = candidate.id == machine.life.machine_id;
    if (candidate.state != State::kGone && is_it) return &candidate;
    const bool is_known = candidate.state != State::kUnknown || machine.life.machine_id.empty();
    if (candidate.state != State::kGone && is_known) other = &candidate;
    if (candidate.state == State::kGone && is_it) gone = &candidate;
  }
  return other != nullptr ? other : gone;
}

const CloudVolume* CloudProvider::FindVolume(const Machine& machine, const CloudMachine* found) const {
  const std::string zone = machine.offer.has_value() ? machine.offer->zone : found != nullptr ? found->zone : "";
  for (const CloudVolume& volume : inventory_.volumes) {
    if (volume.name == machine.volume_name && volume.zone == zone) return &volume;
  }
  return nullptr;
}

const CloudMachine* CloudProvider::FindHolder(const CloudVolume* volume) const {
  for (const CloudMachine& machine : inventory_.machines) {
    if (volume != nullptr && machine.id == volume->machine) return &machine;
  }
  return nullptr;
}

void CloudProvider::Step(const MachinePtr& kept) {
  Machine& machine = *kept;
  machine.due = absl::InfiniteDuration();
  if (machine.lost_at.has_value()) return Judge(machine);
  Life& life = machine.life;
  if (machine.launched && !life.create_at.has_value() && !life.volume_at.has_value()) {
    if (life.goal != Goal::kRun) return End(machine, life.status);
    if (!absl::StrContains(machine.spec.weights, "://")) {
      return End(machine, absl::FailedPreconditionError(absl::StrCat(
                              "the weights are a file of this computer, ", machine.spec.weights, ": a machine of ",
                              caps_.name, " cannot read it; expected hf://… or https://…")));
    }
    if (IsPermanent(list_error_)) return End(machine, absl::FailedPreconditionError(list_error_.message()));
    if (machine.spec.offer.has_value() && HeardAt(machine.spec.offer->zone) < listed_at_) {
      return End(machine, absl::UnavailableError(
                              absl::StrCat(caps_.name, ": ", machine.spec.offer->zone, " cannot be asked now")));
    }
  }
  if (HeardAt(machine) < machine.acted_at) {
    if (list_.failures == 0) list_.due = std::min(list_.due, std::max(clock_.Elapsed(), machine.not_before));
    if (life.adopting && !machine.address.empty()) SpeakTo(machine);
    return;
  }
  if (const auto failure = std::exchange(machine.failure, std::nullopt)) return OnFailure(machine, *failure);
  const CloudMachine* found = Find(machine);
  if (life.goal == Goal::kRun && !life.adopting && found != nullptr && found->state == State::kRunning) {
    TellStarted(machine, found->id);
  }
  const bool to_buy = life.goal == Goal::kRun && !life.adopting && !life.ran && found == nullptr;
  if (to_buy && !machine.offer.has_value() && !ChooseOffer(machine)) return;
  const CloudVolume* const volume = FindVolume(machine, found);
  if (machine.offer.has_value()) {
    VolumeOrder& order = volume_orders_[absl::StrCat(machine.offer->zone, "/", machine.volume_name)];
    order.seen |= volume != nullptr;
    if (volume != nullptr) order.at = HeardAt(machine.offer->zone);
    life.volume_at = order.at;
  }
  if (volume != nullptr) TellVolume(machine, *volume);
  const bool attaches = found != nullptr && found->state == State::kRunning && volume != nullptr &&
                        volume->machine == found->id && !volume->attached;
  if (attaches && !life.first_attach_at.has_value()) life.first_attach_at = clock_.Elapsed();
  const Next next =
      Decide(api_->traits(), options_.limits, life, found, volume, FindHolder(volume), clock_.Elapsed());
  if (!options_.buys_nothing.empty() && Buys(next.what)) return Refuse(machine);
  const absl::string_view change = Change(next.what);
  if (!change.empty() && Withholds(machine.spec.id, change)) {
    // Else the next list is another occasion.
    const bool gone = found == nullptr && life.absence.lists >= options_.limits.absent_lists;
    return gone && next.what == Next::Do::kDeleteMachine ? End(machine, life.status) : void();
  }
  if (next.what != Next::Do::kTellGone) {
    machine.run.reset();
    machine.run_asked_at.reset();
  }
  Do(kept, next, found == nullptr ? CloudMachine() : *found, volume == nullptr ? CloudVolume() : *volume);
}

// Before it is ended: a machine that still runs in a list begun after its engine's end has outlived it.
void CloudProvider::Judge(Machine& machine) {
  const absl::Duration verdict_by = *machine.lost_at + kVerdict;
  if (HeardAt(machine) >= *machine.lost_at) {
    const CloudMachine* const found = Find(machine);
    machine.crashed = found != nullptr && found->state == State::kRunning;
    Tell({.kind = MachineEvent::Kind::kEnded, .machine_id = machine.spec.id, .crashed = machine.crashed});
  } else if (clock_.Elapsed() < verdict_by) {
    machine.due = verdict_by;
    return;
  }
  Fail(machine, absl::OkStatus());
}

// The last door before money is spent.
void CloudProvider::Refuse(Machine& machine) {
  const std::string what = machine.offer.has_value()
                               ? absl::StrCat(machine.offer->machine_type, " in ", machine.offer->zone, " at ",
                                              machine.offer->price_per_hour, " dollars an hour")
                               : absl::StrCat("the machine ", machine.name, " again");
  LOG(INFO) << machine.spec.id << " is not bought, for " << options_.buys_nothing << ": it would be " << what;
  End(machine,
      absl::FailedPreconditionError(absl::StrCat(options_.buys_nothing, ": ", caps_.name, " would buy ", what)));
}

bool CloudProvider::Withholds(const std::string& name, absl::string_view what) {
  if (!options_.changes_nothing) return false;
  LOG_IF(INFO, std::exchange(said_[name], std::string(what)) != what)
      << options_.buys_nothing << ": " << caps_.name << ": " << name << ": would " << what;
  return true;
}

void CloudProvider::Do(const MachinePtr& kept, const Next& next, const CloudMachine& found, const CloudVolume& volume) {
  Machine& machine = *kept;
  Life& life = machine.life;
  const absl::Duration now = clock_.Elapsed();
  switch (next.what) {
    case Next::Do::kWait:
      if (life.drained_at.has_value() && *life.drained_at > now) machine.due = *life.drained_at;
      return;
    case Next::Do::kCreateVolume:
      return CreateVolume(machine);
    case Next::Do::kCreateMachine:
      return Create(machine, volume);
    case Next::Do::kStartMachine:
      return StartAgain(machine, found);
    case Next::Do::kStopMachine:
      life.stop_at = now;
      if (!Call(machine, "stop it", [&] { return api_->StopMachine(found); }).ok()) life.stop_at.reset();
      return;
    case Next::Do::kDeleteMachine:
      return Delete(machine, found.id.empty() ? machine.last : found);
    case Next::Do::kAttach:
      life.attach_at = now;
      if (!life.first_attach_at.has_value()) life.first_attach_at = now;
      if (!Call(machine, "attach its volume", [&] { return api_->AttachVolume(volume, found); }).ok())
        life.attach_at.reset();
      return;
    case Next::Do::kDetach:
      LOG(WARNING) << machine.spec.id << ": its volume is still attached to " << volume.machine << ", which is dead";
      life.detach_at = now;
      if (!life.first_attach_at.has_value()) life.first_attach_at = now;
      if (!Call(machine, "detach its volume", [&] { return api_->DetachVolume(volume); }).ok()) life.detach_at.reset();
      return;
    case Next::Do::kDeleteVolume:
      return DeleteVolume(machine, volume);
    case Next::Do::kProbe:
      return ProbeEngine(kept, found);
    case Next::Do::kTellAdopted:
      life.adopting = false;
      life.serves = true;
      life.ran = found.state == State::kRunning;
      machine.started = true;
      machine.endpoint = EndpointOf(machine, machine.address);
      return Tell({.kind = MachineEvent::Kind::kAdopted,
                   .machine_id = machine.spec.id,
                   .handle = found.id,
                   .endpoint = machine.endpoint,
                   .public_address = machine.public_address,
                   .boot_gigabytes = machine.boot_gigabytes});
    case Next::Do::kFail:
      return Fail(machine, next.status);
    case Next::Do::kTellGone:
      if (HearOfRun(machine)) End(machine, next.status);
      return;
  }
}

void CloudProvider::DeleteVolume(Machine& machine, const CloudVolume& volume) {
  machine.life.volume_delete_at = clock_.Elapsed();
  machine.life.volume = {};
  const absl::Status status = Call(machine, "delete its volume", [&, volume] { return api_->DeleteVolume(volume); });
  if (status.ok() || absl::IsNotFound(status)) return;
  machine.life.volume_delete_at.reset();
  if (IsPermanent(status)) End(machine, Refusal(status));
}

void CloudProvider::Delete(Machine& machine, const CloudMachine& found) {
  machine.life.delete_at = clock_.Elapsed();
  machine.life.absence = {};
  const absl::Status status = Call(machine, "delete it", [&, found] { return api_->DeleteMachine(found); });
  machine.life.not_there = absl::IsNotFound(status);
  if (!status.ok() && !absl::IsNotFound(status)) machine.life.delete_at.reset();
}

absl::Status CloudProvider::Call(Machine& machine, absl::string_view what, absl::FunctionRef<absl::Status()> call) {
  mutex_.Unlock();
  const absl::Status status = call();
  mutex_.Lock();
  machine.acted_at = clock_.Elapsed();
  if (status.ok()) {
    machine.failures = 0;
    machine.not_before = -absl::InfiniteDuration();
  } else {
    LOG(WARNING) << machine.spec.id << ": cannot " << what << ": " << status;
    machine.not_before = clock_.Elapsed() + BackOff(++machine.failures, status);
  }
  machine.due = std::max(clock_.Elapsed(), machine.not_before);
  return status;
}

bool CloudProvider::ChooseOffer(Machine& machine) {
  std::vector<Offer> offers;
  if (machine.spec.offer.has_value()) {
    offers = {*machine.spec.offer};
  } else if (!offers_.has_value()) {
    if (IsPermanent(offers_error_)) Fail(machine, absl::FailedPreconditionError(offers_error_.message()));
    return false;  // it is due when they come
  } else {
    for (const OfferNow& now : *offers_) offers.push_back(now.offer);
  }
  const auto refused = [&](const Offer& offer) {
    return std::any_of(machine.refused.begin(), machine.refused.end(),
                       [&](const Offer& o) { return SamePlace(o, offer); });
  };
  const auto has_volume = [&](const Offer& offer) {
    return std::any_of(inventory_.volumes.begin(), inventory_.volumes.end(), [&](const CloudVolume& volume) {
      return volume.name == machine.volume_name && volume.zone == offer.zone;
    });
  };
  // A restored machine is to have its volume; another machine could start without it.
  const bool keeps_volume = !machine.launched && std::any_of(offers.begin(), offers.end(), has_volume);
  const Offer* best = nullptr;
  std::string barred;
  for (const Offer& offer : offers) {
    const bool is_there = !machine.launched && api_->KeepsStopped(offer.machine_type);
    if (std::string why = is_there ? "" : WhyBarred(offer); !why.empty()) {
      barred = std::move(why);
      continue;
    }
    if (refused(offer) || (keeps_volume && !has_volume(offer)) || HeardAt(offer.zone) < listed_at_) continue;
    const auto rank = [&](const Offer& o) { return std::pair(!has_volume(o), o.price_per_hour); };
    if (best == nullptr || rank(offer) < rank(*best)) best = &offer;
  }
  if (best == nullptr && !barred.empty()) {
    Fail(machine, OverQuota(absl::StrCat(caps_.name, ": ", barred)));
    return false;
  }
  if (best == nullptr) {
    Fail(machine, absl::ResourceExhaustedError(
                      absl::StrCat(caps_.name, " has no machine: ",
                                   machine.refused.empty() ? "no offer has stock" : "all that was asked was refused")));
    return false;
  }
  machine.offer = *best;
  LOG(INFO) << machine.spec.id << ": " << best->machine_type << " in " << best->zone << ", "
            << (best->market == Market::kSpot ? "spot" : "on demand") << " at " << best->price_per_hour
            << " dollars an hour";
  return true;
}

void CloudProvider::CreateVolume(Machine& machine) {
  const Offer offer = *machine.offer;
  VolumeOrder& order = volume_orders_[absl::StrCat(offer.zone, "/", machine.volume_name)];
  if (order.token.empty() || order.seen) order = {.token = NewPurchaseToken()};
  order.at = clock_.Elapsed();
  machine.life.volume_at = order.at;
  const absl::Status status = Call(machine, "create its volume", [&, token = order.token] {
    return api_->CreateVolume(machine.volume_name, offer, token);
  });
  const bool refused = IsPermanent(status) || absl::IsResourceExhausted(status) || absl::IsFailedPrecondition(status);
  if (RetryAfter(status).has_value()) order.at = -absl::InfiniteDuration();  // it was not made
  if (!refused) return;  // it was made, or may have been: that will show in a list
  order = {};
  if (absl::IsFailedPrecondition(status)) return OnBusy(machine, status);
  Fail(machine, Refusal(status));
}

void CloudProvider::Create(Machine& machine, const CloudVolume& volume) {
  Life& life = machine.life;
  const std::optional<absl::Duration> before = life.create_at;  // of a try that may have bought it
  MachineOrder order = {
      .name = machine.name, .token = machine.token, .offer = *machine.offer, .user_data = "", .volume_id = volume.id};
  life.create_at = clock_.Elapsed();
  life.delete_at.reset();  // of what was left of an earlier one
  life.seen = life.not_there = false;
  life.machine_id.clear();
  life.absence = {};
  machine.last = {};
  std::string id;
  const MachineSpec spec = machine.spec;
  std::string enrolment_token = machine.enrolment_token;
  const absl::Status status = Call(machine, "buy it", [&]() -> absl::Status {
    if (enrolment_token.empty()) {
      ASSIGN_OR_RETURN(enrolment_token, authority_.Expect(spec.id));
    }
    ASSIGN_OR_RETURN(const std::string device, api_->DevicePath(volume, order.offer));
    order.user_data =
        BootScript(options_.boot, spec, {authority_.gateway().authority, enrolment_token}, device);
    absl::StatusOr<std::string> created = api_->CreateMachine(order);
    if (created.ok()) id = *created;
    return created.status();
  });
  machine.enrolment_token = enrolment_token;
  if (life.goal == Goal::kDelete) authority_.Forget(spec.id);  // decided meanwhile
  life.create_broke = false;
  if (status.ok()) {  // it is started when a list has it running: until then there may turn out to be no stock
    life.machine_id = id;
    life.first_attach_at.reset();
    machine.last = {.id = id, .name = machine.name, .zone = order.offer.zone};
    return;
  }
  if (absl::IsAlreadyExists(status)) return;
  if (IsPermanent(status) || absl::IsFailedPrecondition(status) || absl::IsResourceExhausted(status)) {
    return OnCreateRefused(machine, status, before);
  }
  life.create_broke = true;
  if (IsHeld(status)) life.create_at = before;
}

void CloudProvider::OnFailure(Machine& machine, const CloudInventory::Failure& failure) {
  Life& life = machine.life;
  LOG(WARNING) << machine.spec.id << ": the cloud could not do it after all: " << failure.status;
  const CloudMachine* const found = Find(machine);
  if (life.serves || (found != nullptr && found->state == State::kRunning)) return;  // so it says, and yet it runs
  machine.due = clock_.Elapsed();
  if (life.start_at.has_value()) return OnStartRefused(machine, failure.status);
  if (!life.create_at.has_value()) return;
  if (failure.remains && !life.seen) life.remains_at = clock_.Elapsed();
  OnCreateRefused(machine, failure.status, std::nullopt);
}

void CloudProvider::OnCreateRefused(Machine& machine, const absl::Status& status, std::optional<absl::Duration> doubt) {
  machine.life.create_at = doubt;
  machine.life.machine_id.clear();
  machine.life.ran = false;
  if (machine.life.goal != Goal::kRun) return;  // it was told to end meanwhile
  if (absl::IsFailedPrecondition(status)) return OnBusy(machine, status);
  if (!absl::IsResourceExhausted(status)) return Fail(machine, Refusal(status));
  if (machine.spec.offer.has_value() || doubt.has_value()) return Fail(machine, status);
  if (IsOverQuota(status)) NoteBar(machine, status);
  machine.refused.push_back(*machine.offer);
  machine.offer.reset();
  machine.token = NewPurchaseToken();
  machine.due = clock_.Elapsed();
  machine.not_before = -absl::InfiniteDuration();
}

void CloudProvider::StartAgain(Machine& machine, const CloudMachine& found) {
  if (absl::IsNotFound(authority_.ExpectAgain(machine.spec.id))) {
    return Fail(machine, absl::UnavailableError("its key is not known to this fleet any more: it could never serve"));
  }
  const std::optional<absl::Duration>& started = machine.life.may_start_at;
  const bool was_bought = machine.launched || machine.life.create_at.has_value();
  machine.ran_before |= was_bought || (started.has_value() && clock_.Elapsed() - *started >= kShortestRun);
  machine.life.start_at = machine.life.may_start_at = clock_.Elapsed();
  machine.last.run = {};
  const absl::Status status = Call(machine, "start it again", [&] { return api_->StartMachine(found); });
  if (status.ok()) return;
  machine.life.start_at.reset();
  if (absl::IsNotFound(status)) return;  // a list will say so
  if (absl::IsResourceExhausted(status) || IsPermanent(status)) OnStartRefused(machine, status);
}

void CloudProvider::OnStartRefused(Machine& machine, const absl::Status& status) {
  machine.life.start_at.reset();
  machine.life.may_start_at.reset();
  machine.life.ran = false;
  if (machine.life.goal != Goal::kRun) return;
  if (machine.launched) return Fail(machine, Refusal(status));
  End(machine, Refusal(status), /*kept=*/true);  // it stays as it is
}

// What it needs is another's just now, as a rule a disk that somebody is still letting go of.
void CloudProvider::OnBusy(Machine& machine, const absl::Status& status) {
  Life& life = machine.life;
  if (!life.first_attach_at.has_value()) life.first_attach_at = clock_.Elapsed();
  if (clock_.Elapsed() - *life.first_attach_at < options_.limits.attach) return;
  Fail(machine, absl::UnavailableError(status.message()));
}

void CloudProvider::TellStarted(Machine& machine, const std::string& handle) {
  if (std::exchange(machine.started, true)) return;
  Tell({.kind = MachineEvent::Kind::kStarted,
        .machine_id = machine.spec.id,
        .handle = handle,
        .public_address = machine.public_address,
        .boot_gigabytes = machine.boot_gigabytes});
}

// Where the cloud says neither its age nor its size: from now on, and as large as one is made.
void CloudProvider::TellVolume(Machine& machine, const CloudVolume& volume) {
  if (std::exchange(machine.volume_told, true)) return;
  VolumeNews news = {.name = machine.spec.volume,
                     .gigabytes = volume.gigabytes > 0 ? volume.gigabytes : api_->traits().volume_gigabytes,
                     .made = volume.made.value_or(clock_.Now())};
  news.per_hour = VolumePerHour(BillingRulesOf(caps_.name), news.gigabytes);
  Tell({.kind = MachineEvent::Kind::kVolume, .machine_id = machine.spec.id, .volume = std::move(news)});
}

// A machine that nobody speaks to powers itself off, and it need not suffer for lists that fail.
void CloudProvider::SpeakTo(Machine& machine) {
  if (machine.next_probe <= clock_.Elapsed()) {
    machine.next_probe = clock_.Elapsed() + kSpeak;
    const Endpoint endpoint = EndpointOf(machine, machine.address);
    mutex_.Unlock();
    probe_.Ask(endpoint, kProbeDeadline, [](const absl::StatusOr<EngineIdentity>&) {});
    mutex_.Lock();
  }
  machine.due = machine.next_probe;
}

void CloudProvider::ProbeEngine(const MachinePtr& kept, const CloudMachine& found) {
  Machine& machine = *kept;
  if (machine.identity.has_value()) return OnIdentity(machine);
  if (machine.probing || found.address.empty()) return;
  if (machine.next_probe > clock_.Elapsed()) {
    machine.due = machine.next_probe;
    return;
  }
  machine.probing = true;
  machine.endpoint = EndpointOf(machine, absl::StrCat(found.address, ":", options_.boot.engine_port));
  const Endpoint endpoint = machine.endpoint;
  mutex_.Unlock();
  probe_.Ask(endpoint, kProbeDeadline, [mailbox = mailbox_, kept](absl::StatusOr<EngineIdentity> identity) {
    absl::MutexLock lock(&mailbox->mutex);
    if (mailbox->provider == nullptr) return;
    absl::MutexLock provider_lock(&mailbox->provider->mutex_);
    kept->identity = std::move(identity);
    kept->probing = false;
    kept->due = mailbox->provider->clock_.Elapsed();
  });
  mutex_.Lock();
}

void CloudProvider::OnIdentity(Machine& machine) {
  const absl::StatusOr<EngineIdentity> identity = *std::exchange(machine.identity, std::nullopt);
  if (!identity.ok()) {  // it still boots
    if (const auto download = DownloadOf(identity.status())) {
      Tell({.kind = MachineEvent::Kind::kDownload,
            .machine_id = machine.spec.id,
            .done_bytes = download->done_bytes(),
            .total_bytes = download->total_bytes()});
    }
    machine.next_probe = clock_.Elapsed() + options_.probe_interval;
    machine.due = machine.next_probe;
    return;
  }
  if (!machine.spec.model_hash.empty() && identity->model_hash != machine.spec.model_hash) {
    return Fail(machine,
                absl::FailedPreconditionError(absl::StrCat("the engine serves a model with hash ", identity->model_hash,
                                                           ", not ", machine.spec.model_hash)));
  }
  machine.life.serves = machine.life.ran = true;
  machine.endpoint.model_hash = identity->model_hash;
  machine.endpoint.numerics_id = identity->numerics_id;
  Tell({.kind = MachineEvent::Kind::kReady, .machine_id = machine.spec.id, .endpoint = machine.endpoint});
}

void CloudProvider::Fail(Machine& machine, absl::Status status) {
  machine.life.goal = Goal::kDelete;
  if (!options_.changes_nothing) authority_.Forget(machine.spec.id);
  machine.life.adopting = false;
  machine.life.status = std::move(status);
  machine.life.drained_at.reset();
  machine.lost_at.reset();
  machine.due = clock_.Elapsed();
}

Endpoint CloudProvider::EndpointOf(const Machine& machine, const std::string& address) const {
  Endpoint endpoint;
  endpoint.machine_id = machine.spec.id;
  endpoint.address = address;
  endpoint.credentials = CredentialsTo(authority_.gateway(), authority_.NameOf(machine.spec.id));
  return endpoint;
}

}  // namespace spotinference::fleet
