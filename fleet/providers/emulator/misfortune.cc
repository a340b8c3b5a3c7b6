#include "fleet/providers/emulator/misfortune.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

using State = EmulatedMachine::State;

constexpr absl::Duration kLongest = absl::Minutes(10);  // of what lasts

// What the cloud leaves of a machine that it takes away: what the adapters ask for at its launch.
State TakenTo(const EmulatedMachine& machine) {
  return machine.cloud == "gcp" || machine.cloud == "azure" ? State::kStopped : State::kGone;
}

absl::Duration Gap(double per_hour, std::mt19937_64& random) {
  return absl::Hours(std::exponential_distribution<double>(per_hour)(random));
}

absl::Duration NoticeOf(const EmulatedMachine& machine) { return absl::Seconds(machine.cloud == "aws" ? 120 : 30); }

}  // namespace

Misfortune::Misfortune(uint64_t seed, double per_hour, absl::Duration now)
    : random_(seed), per_hour_(per_hour), new_fields_random_(~seed) {
  if (per_hour_ <= 0) return;
  next_ = now + Gap(per_hour_, random_);
  next_new_fields_ = now + Gap(per_hour_ / Kinds().size(), new_fields_random_);
}

const std::vector<Misfortune::Kind>& Misfortune::Kinds() {
  static const auto& kinds = *new std::vector<Kind>{
      {"take with notice", &Misfortune::TakeWithNotice},
      {"take in silence", &Misfortune::TakeInSilence},
      {"take, and withdraw", &Misfortune::TakeAndWithdraw},
      {"power off", &Misfortune::PowerOff},
      {"rebalance", &Misfortune::Rebalance},
      {"notice twice", &Misfortune::RepeatNotice},
      {"notice of before", &Misfortune::StaleNotice},
      {"metadata outage", &Misfortune::MetadataOutage},
      {"machine's clock", &Misfortune::MachineSkew},
      {"stop never ends", &Misfortune::StopNeverEnds},
      {"attach never ends", &Misfortune::AttachNeverEnds},
      {"dead keep volumes", &Misfortune::DeadKeepVolumes},
      {"late failure", &Misfortune::LateFailure},
      {"no stock", &Misfortune::NoStock},
      {"list lag", &Misfortune::ListLag},
      {"hide", &Misfortune::Hide},
      {"cloud's clock", &Misfortune::CloudSkew},
      {"unreachable", &Misfortune::Unreachable},
      {"down", &Misfortune::Down},
      {"burst", &Misfortune::Burst},
      {"expire", &Misfortune::Expire},
      {"new fields", &Misfortune::NewFields},
  };
  return kinds;
}

std::vector<std::string> Misfortune::Names() {
  std::vector<std::string> names;
  for (const Kind& kind : Kinds()) names.push_back(kind.name);
  return names;
}

void Misfortune::Advance(CloudModel& model, MachineHost& host, absl::Duration now) {
  while (!lasting_.empty() && lasting_.begin()->first <= now) {
    const Undo undo = std::move(lasting_.begin()->second);
    lasting_.erase(lasting_.begin());
    undo(model, host);
  }
  for (; next_ <= now; next_ += Gap(per_hour_, random_)) {
    Bring(Kinds()[random_() % (Kinds().size() - 1)], model, host, now);
  }
  for (; next_new_fields_ <= now; next_new_fields_ += Gap(per_hour_ / Kinds().size(), new_fields_random_)) {
    Bring(Kinds().back(), model, host, now);
  }
}

void Misfortune::Bring(const Kind& kind, CloudModel& model, MachineHost& host, absl::Duration now) {
  const std::string whom = (this->*kind.bring)(model, host, now);
  if (!whom.empty()) happened_.push_back(absl::StrCat(kind.name, ": ", whom));
}

void Misfortune::End(CloudModel& model, MachineHost& host) {
  next_ = next_new_fields_ = absl::InfiniteDuration();
  for (auto& [at, undo] : std::exchange(lasting_, {})) undo(model, host);
  burst_ = 0;
}

std::string Misfortune::NextOfBurst() {
  if (burst_ == 0) return "";
  --burst_;
  return burst_status_;
}

EmulatedMachine* Misfortune::AnyRunning(CloudModel& model, absl::string_view cloud) {
  std::vector<EmulatedMachine*> running;
  for (auto& [number, machine] : model.machines()) {
    if (machine.state == State::kRunning && (cloud.empty() || machine.cloud == cloud)) running.push_back(&machine);
  }
  const uint64_t drawn = random_();  // also where there is none, so that what comes later is the same
  return running.empty() ? nullptr : running[drawn % running.size()];
}

absl::Duration Misfortune::Between(int least_seconds, int most_seconds) {
  return absl::Seconds(least_seconds + static_cast<int>(random_() % (most_seconds - least_seconds + 1)));
}

std::string Misfortune::TakeWithNotice(CloudModel& model, MachineHost&, absl::Duration) {
  EmulatedMachine* const machine = AnyRunning(model);
  if (machine == nullptr) return "";
  model.TakeAway(*machine, NoticeOf(*machine), TakenTo(*machine), /*silent=*/false);
  return machine->name;
}

std::string Misfortune::TakeInSilence(CloudModel& model, MachineHost&, absl::Duration) {
  EmulatedMachine* const machine = AnyRunning(model);
  const absl::Duration left = Between(0, 10);
  if (machine == nullptr) return "";
  model.TakeAway(*machine, left, TakenTo(*machine), /*silent=*/true);
  return machine->name;
}

std::string Misfortune::TakeAndWithdraw(CloudModel& model, MachineHost&, absl::Duration now) {
  EmulatedMachine* const machine = AnyRunning(model);
  if (machine == nullptr) return "";
  const absl::Duration notice = NoticeOf(*machine);
  model.TakeAway(*machine, notice, TakenTo(*machine), /*silent=*/false);
  Later(now + notice / 2, [number = machine->number](CloudModel& model, MachineHost&) {
    EmulatedMachine& machine = model.machines().at(number);
    if (machine.state == State::kRunning && machine.taken_at.has_value()) model.Withdraw(machine);
  });
  return machine->name;
}

std::string Misfortune::PowerOff(CloudModel& model, MachineHost&, absl::Duration) {
  EmulatedMachine* const machine = AnyRunning(model);
  return machine != nullptr && model.PowerOff(*machine).ok() ? machine->name : "";
}

std::string Misfortune::Tell(CloudModel& model, MachineHost& host, absl::string_view cloud,
                             const std::string& command) {
  const EmulatedMachine* const machine = AnyRunning(model, cloud);
  return machine != nullptr && host.Tell(*machine, command).ok() ? machine->name : "";
}

std::string Misfortune::Rebalance(CloudModel& model, MachineHost& host, absl::Duration) {
  return Tell(model, host, "aws", "aws rebalance");
}

std::string Misfortune::RepeatNotice(CloudModel& model, MachineHost& host, absl::Duration) {
  return Tell(model, host, "", "repeat");
}

std::string Misfortune::StaleNotice(CloudModel& model, MachineHost& host, absl::Duration) {
  return Tell(model, host, "", "fault stale 1");
}

std::string Misfortune::MetadataOutage(CloudModel& model, MachineHost& host, absl::Duration) {
  return Tell(model, host, "", absl::StrCat("outage ", absl::ToInt64Seconds(Between(10, 600))));
}

std::string Misfortune::MachineSkew(CloudModel& model, MachineHost& host, absl::Duration) {
  return Tell(model, host, "", absl::StrCat("skew ", absl::ToInt64Seconds(Between(-600, 600))));
}

std::string Misfortune::Flag(CloudModel& model, absl::Duration now, bool CloudModel::Habits::*flag) {
  model.habits().*flag = true;
  Later(now + Between(60, 600), [flag](CloudModel& model, MachineHost&) { model.habits().*flag = false; });
  return "all";
}

std::string Misfortune::StopNeverEnds(CloudModel& model, MachineHost&, absl::Duration now) {
  return Flag(model, now, &CloudModel::Habits::stop_never_ends);
}

std::string Misfortune::AttachNeverEnds(CloudModel& model, MachineHost&, absl::Duration now) {
  return Flag(model, now, &CloudModel::Habits::attach_never_ends);
}

std::string Misfortune::DeadKeepVolumes(CloudModel& model, MachineHost&, absl::Duration now) {
  return Flag(model, now, &CloudModel::Habits::dead_keep_volumes);
}

std::string Misfortune::LateFailure(CloudModel& model, MachineHost&, absl::Duration now) {
  return Flag(model, now, &CloudModel::Habits::late_failure);
}

std::string Misfortune::NoStock(CloudModel& model, MachineHost&, absl::Duration now) {
  const absl::Duration end = now + Between(60, 600);
  std::string whom;
  for (const EmulatedType& type : model.types()) {
    EmulatedType& dry = *model.FindType(type.cloud, type.zone, type.type);
    if (random_() % 2 == 0 || dry.stock <= 0) continue;
    Later(end, [cloud = type.cloud, zone = type.zone, name = type.type, lost = std::exchange(dry.stock, 0)](
                   CloudModel& model, MachineHost&) { model.FindType(cloud, zone, name)->stock += lost; });
    absl::StrAppend(&whom, whom.empty() ? "" : ", ", type.zone);
  }
  return whom;
}

std::string Misfortune::ListLag(CloudModel& model, MachineHost&, absl::Duration now) {
  model.habits().list_lag = Between(5, 30);
  Later(now + Between(60, 600),
        [](CloudModel& model, MachineHost&) { model.habits().list_lag = absl::ZeroDuration(); });
  return "all";
}

// A fleet believes lists that lack a machine for a minute, as it has to believe something.
std::string Misfortune::Hide(CloudModel& model, MachineHost&, absl::Duration now) {
  EmulatedMachine* const machine = AnyRunning(model);
  const absl::Duration time = Between(5, 40);
  if (machine == nullptr || machine->listed_at + absl::Minutes(2) > now) return "";
  model.Hide(*machine, time);
  return machine->name;
}

std::string Misfortune::CloudSkew(CloudModel& model, MachineHost&, absl::Duration now) {
  model.set_skew(Between(-600, 600));
  Later(now + Between(60, 600), [](CloudModel& model, MachineHost&) { model.set_skew(absl::ZeroDuration()); });
  return "all";
}

std::string Misfortune::Unreachable(CloudModel& model, MachineHost&, absl::Duration now) {
  const uint64_t drawn = random_();
  const absl::Duration end = now + Between(60, 600);
  if (model.types().empty()) return "";
  model.habits().unreachable = model.types()[drawn % model.types().size()].region;
  Later(end, [](CloudModel& model, MachineHost&) { model.habits().unreachable.clear(); });
  return model.habits().unreachable;
}

std::string Misfortune::Down(CloudModel&, MachineHost&, absl::Duration now) {
  ++down_;
  Later(now + Between(10, static_cast<int>(absl::ToInt64Seconds(kLongest))),
        [this](CloudModel&, MachineHost&) { --down_; });
  return "all";
}

std::string Misfortune::Burst(CloudModel&, MachineHost&, absl::Duration) {
  constexpr const char* kStatuses[] = {"429", "500", "503"};
  burst_status_ = kStatuses[random_() % std::size(kStatuses)];
  burst_ = 3 + static_cast<int>(random_() % 28);
  return absl::StrCat(burst_, " of ", burst_status_);
}

std::string Misfortune::NewFields(CloudModel& model, MachineHost&, absl::Duration now) {
  model.habits().new_fields = true;
  Later(now + absl::Seconds(60 + static_cast<int>(new_fields_random_() % 541)),
        [](CloudModel& model, MachineHost&) { model.habits().new_fields = false; });
  return "all";
}

std::string Misfortune::Expire(CloudModel& model, MachineHost&, absl::Duration) {
  model.ExpireTokens();
  return "all";
}

}  // namespace spotinference::fleet
