// The heartbeat: while a machine serves or drains, its engine is asked for its figures, one
// question at a time. It is no demand: it keeps no machine awake, and where none runs there is no
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

}  // namespace

void Controller::Beat(Machine& machine) {
  Heartbeat& heartbeat = machine.heartbeat;
  if (!IsAnswering(machine.record.state) || machine.suspect || heartbeat.asked) return;
  const absl::Duration now = clock_.Elapsed();
  if (now < heartbeat.due) {
    next_ = std::min(next_, heartbeat.due);
    return;
  }
  heartbeat.asked = true;
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

void Controller::OnFigures(const std::string& id, uint64_t life,
                           const absl::StatusOr<EngineFigures>& figures) {
  const auto found = machines_.find(id);
  if (found == machines_.end() || found->second.life != life) return;
  Machine& machine = found->second;
  Heartbeat& heartbeat = machine.heartbeat;
  if (!IsAnswering(machine.record.state)) return;  // its totals are summed up already
  heartbeat.asked = false;
  if (figures.ok()) {
    heartbeat.figures = *figures;
    heartbeat.failures = 0;
  } else if (++heartbeat.failures == kFailures) {
    heartbeat.failures = 0;
    CheckHealth(machine, absl::StrCat(kFailures, " questions for its figures failed, the last: ",
                                      figures.status().message()));
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
