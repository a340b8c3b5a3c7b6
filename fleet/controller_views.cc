// What the controller shows: a wake's progress, machines, models, what they cost.
#include <algorithm>
#include <string>

#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

using State = MachineState;

}  // namespace

std::optional<WakeProgress> Controller::Progress(absl::string_view model_name) const {
  absl::MutexLock lock(&mutex_);
  const auto model = models_.find(model_name);
  if (model == models_.end()) return std::nullopt;
  // Who is parked already waits for a wake, also before the planner has looked.
  if (!model->second.wake.began.has_value() && model->second.parked.empty()) return std::nullopt;
  WakeProgress progress = {"launching", ExpectedWake(model->second)};
  for (const auto& [id, machine] : machines_) {
    if (machine.record.model != model_name || !IsWaking(machine.record.state)) continue;
    if (machine.record.state == State::kBooting) progress.stage = "booting";
    progress.eta =
        std::max(absl::ZeroDuration(), progress.eta - (clock_.Elapsed() - machine.asked_for));
    if (const auto& download = machine.download; download.has_value() && !download->done()) {
      progress.stage = "downloading";
      const uint64_t came = download->done_bytes - download->before_bytes;
      const double left = came == 0 ? 0 : static_cast<double>(download->total_bytes - download->done_bytes) / came;
      progress.eta += left * download->took;
    }
    break;
  }
  return progress;
}

std::vector<MachineView> Controller::Machines() const {
  absl::MutexLock lock(&mutex_);
  std::vector<MachineView> views;
  for (const auto& [id, machine] : machines_) {
    const MachineRecord& record = machine.record;
    const Offer sold = SoldAs(machine);
    const auto model = models_.find(record.model);
    views.push_back({.id = id,
                     .model = record.model,
                     .state = std::string(MachineStateName(record.state)),
                     .provider = record.provider,
                     .market = MarketOf(machine),
                     .zone = sold.zone,
                     .volume = record.volume,
                     .backend = model == models_.end() ? "" : model->second.spec.backend,
                     .numerics_id = record.numerics_id,
                     .reason = record.reason,
                     .since = record.since,
                     .price_per_hour = sold.price_per_hour,
                     .active = machine.leases});
  }
  return views;
}

std::vector<ModelView> Controller::Models() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ModelView> views;
  for (const auto& [name, model] : models_) {
    views.push_back({.model = name,
                     .parked = static_cast<int>(model.parked.size()),
                     .active = Leases(name),
                     .engines = FiguresOf(model)});
    for (const auto& [id, machine] : machines_) {
      if (machine.record.model != name || !IsWaking(machine.record.state)) continue;
      if (!machine.download.has_value() || machine.download->done()) continue;
      views.back().download_done_bytes += machine.download->done_bytes;
      views.back().download_total_bytes += machine.download->total_bytes;
    }
  }
  return views;
}

void Controller::NoteDecision(absl::string_view model_name, const Machine* machine, absl::string_view action,
                              absl::string_view why, const Offer* place) {
  const Model* const model = FindModel(model_name);
  DecisionView decision = {.at = clock_.Now(),
                           .model = std::string(model_name),
                           .action = std::string(action),
                           .why = std::string(why),
                           .waiting = model == nullptr ? 0 : static_cast<int>(model->parked.size()),
                           .active = Leases(model_name)};
  if (machine != nullptr) {
    const Offer sold = SoldAs(*machine);
    decision.machine = machine->record.id;
    decision.provider = machine->record.provider;
    decision.market = MarketOf(*machine);
    decision.zone = sold.zone;
    decision.price_per_hour = sold.price_per_hour;
  } else if (place != nullptr) {
    decision.provider = place->provider;
    if (action == "would buy") decision.market = MarketName(place->market);  // a volume is in none
    decision.zone = place->zone;
    decision.price_per_hour = place->price_per_hour;
  }
  decisions_.Note(std::move(decision));
}

std::vector<DecisionView> Controller::Decisions() const {
  absl::MutexLock lock(&mutex_);
  return decisions_.Latest();
}

std::vector<LedgerLine> Controller::LedgerLines() const {
  absl::MutexLock lock(&mutex_);
  std::vector<LedgerLine> lines;
  for (const Ledger::Entry& entry : ledger_.Entries(clock_.Elapsed())) {
    lines.push_back({entry.model, entry.market, std::string(UseName(entry.use)), entry.time, entry.dollars, entry.key,
                     entry.on_demand_dollars, entry.tokens, entry.replacing_dollars});
  }
  return lines;
}

}  // namespace spotinference::fleet
