// The heartbeat: while a machine serves or drains, its engine is asked for its figures, one
// question at a time, and meanwhile waits to be told of a notice, so that the next question comes at
// once where there is one. It is no demand: it keeps no machine awake, and where none runs there is no
// timer. A failure is ignored until there are several in a row; then the engine's health is asked
// for, as if somebody had reported it broken. What an engine counts between its last answer and its
// end is lost.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/controller.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kHeartbeat = absl::Seconds(5);  // also the deadline of a question
constexpr int kFailures = 3;
constexpr absl::Duration kNoticeWait = absl::Minutes(1);
// A step computes 256 tokens at most: at 5 tokens/s, the slowest machine worth having, 51 s.
constexpr absl::Duration kLongestStep = absl::Seconds(60);

}  // namespace

void Controller::Beat(Machine& machine) {
  Heartbeat& heartbeat = machine.heartbeat;
  if (!IsAnswering(machine.record.state) || machine.suspect || heartbeat.asked_at.has_value()) return;
  const absl::Duration now = clock_.Elapsed();
  if (now < heartbeat.due) {
    next_ = std::min(next_, heartbeat.due);
    return;
  }
  heartbeat.asked_at = now;
  if (heartbeat.answered) heartbeat.granted_before = heartbeat.granted;
  heartbeat.due = now + kHeartbeat;
  effects_.push_back([this, endpoint = machine.endpoint, life = machine.life] {
    probe_.AskFigures(
        endpoint, kHeartbeat,
        [this, inbox = inbox_, id = endpoint.machine_id,
         life](absl::StatusOr<EngineFigures> figures) {
          inbox->Post(
              [this, id, life, figures = std::move(figures)] { OnFigures(id, life, figures); });
        });
  });
}

// Whoever knows of something that the next answer tells.
void Controller::BeatAtOnce(const std::string& id, uint64_t life) {
  const auto found = machines_.find(id);
  if (found != machines_.end() && found->second.life == life) found->second.heartbeat.due = clock_.Elapsed();
}

// An engine that changes its mind without a new number is not listened to again.
void Controller::AwaitNotice(Machine& machine) {
  Heartbeat& heartbeat = machine.heartbeat;
  const uint64_t known = heartbeat.figures.notices;
  if (heartbeat.awaits_notice || heartbeat.changed_from == known) return;
  heartbeat.awaits_notice = true;
  effects_.push_back([this, endpoint = machine.endpoint, life = machine.life, known] {
    probe_.AwaitNotice(endpoint, known, kNoticeWait,
                       [this, inbox = inbox_, id = endpoint.machine_id, life, known](const absl::Status& status) {
                         inbox->Post([this, id, life, known, changed = status.ok()] {
                           OnNoticeAwaited(id, life, known, changed);
                         });
                       });
  });
}

void Controller::OnNoticeAwaited(const std::string& id, uint64_t life, uint64_t known, bool changed) {
  const auto found = machines_.find(id);
  if (found == machines_.end() || found->second.life != life) return;
  found->second.heartbeat.awaits_notice = false;
  if (!changed) return;
  found->second.heartbeat.changed_from = known;
  BeatAtOnce(id, life);
}

void Controller::OnFigures(const std::string& id, uint64_t life,
                           const absl::StatusOr<EngineFigures>& figures) {
  const auto found = machines_.find(id);
  if (found == machines_.end() || found->second.life != life) return;
  Machine& machine = found->second;
  Heartbeat& heartbeat = machine.heartbeat;
  if (!IsAnswering(machine.record.state)) return;  // its totals are summed up already
  const absl::Duration asked_at = *std::exchange(heartbeat.asked_at, std::nullopt);
  if (figures.ok()) {
    heartbeat.failures = 0;
    Compare(machine, *figures, asked_at);
  } else if (++heartbeat.failures == kFailures) {
    heartbeat.failures = 0;
    CheckHealth(machine, absl::StrCat(kFailures, " questions for its figures failed, the last: ",
                                      figures.status().message()));
  }
}

// An engine whose loop stands still while sequences have a seat hangs; a long prefill takes steps all the while.
void Controller::Compare(Machine& machine, const EngineFigures& figures, absl::Duration asked_at) {
  Heartbeat& heartbeat = machine.heartbeat;
  const bool stalls = figures.running_sequences > 0 && heartbeat.figures.running_sequences > 0 &&
                      figures.steps == heartbeat.figures.steps;
  heartbeat.figures = figures;
  heartbeat.answered = true;
  heartbeat.granted -= std::exchange(heartbeat.granted_before, 0);
  if (figures.waiting_sequences > 0) {
    heartbeat.seats = figures.running_sequences;
    if (Model* const model = FindModel(machine.record.model); model != nullptr) model->seats = heartbeat.seats;
  }
  machine.at_risk = figures.notice.has_value() && !figures.notice->stops;
  AwaitNotice(machine);
  if (!stalls) heartbeat.stalled_since.reset();
  else if (!heartbeat.stalled_since.has_value()) heartbeat.stalled_since = clock_.Elapsed();
  if (figures.notice.has_value() && figures.notice->stops) {
    HearNotice(machine, *figures.notice, asked_at);
  } else {
    OnNoNotice(machine, asked_at);
  }
  if (stalls && clock_.Elapsed() - *heartbeat.stalled_since >= kLongestStep) {
    Lose(machine, MachineLife::End::kStalled,
         absl::StrCat("its engine has taken no step for ", absl::FormatDuration(kLongestStep)));
  }
}

void Controller::EndHeartbeat(Machine& machine) {
  if (Model* const model = FindModel(machine.record.model); model != nullptr)
    model->ended += machine.heartbeat.figures.totals;
  machine.heartbeat = {};
}

EngineFigures Controller::FiguresOf(const Model& model) const {
  EngineFigures sum = {.totals = model.ended};
  for (const auto& [id, machine] : machines_) {
    if (machine.record.model == model.spec.name) sum += machine.heartbeat.figures;
  }
  return sum;
}

}  // namespace spotinference::fleet
