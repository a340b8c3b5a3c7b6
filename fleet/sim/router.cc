#include "fleet/sim/router.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fleet/plan/plan.h"
#include "fleet/sim/world.h"

namespace spotinference::fleet::sim {
namespace {

bool Erase(std::vector<int>& slots, int slot) { return std::erase(slots, slot) > 0; }

}  // namespace

Router::Router(const RecordedMarket& market, const Profile& profile, Policy& policy, Result& result,
               OnAnswers on_answers)
    : market_(market),
      profile_(profile),
      policy_(policy),
      result_(result),
      on_answers_(std::move(on_answers)),
      target_wait_(ToNanos(profile.target_wait_seconds())),
      max_wait_(ToNanos(profile.max_wait_seconds())),
      limits_{.requests = static_cast<size_t>(profile.park_requests()), .longest = absl::Nanoseconds(max_wait_)},
      load_(profile.streams(), TargetOf(profile)) {}

bool Router::Counts(const Request& request) const { return IsCounted(request, market_, profile_); }

int Router::Needed(Nanos now) {
  return load_.Needed(absl::Nanoseconds(now), waiting(), static_cast<int>(open_.size()), StartTime(profile_));
}

// --- Requests: Controller::Acquire, Grant, and so on.

void Router::Arrive(const Request& request, Nanos now) {
  load_.Arrived(absl::Nanoseconds(now));
  policy_.OnArrived(now);
  if (Counts(request)) ++result_.requests;
  Acquire({.request = request}, now);
}

bool Router::IsAwake(Nanos now) const {
  return present_ > 0 || (lost_at_ >= 0 && absl::Nanoseconds(now - lost_at_) <= Desired().wake_cap);
}

void Router::Acquire(Task task, Nanos now) {
  task.queued = 0;
  task.awake = true;
  const bool may_park = task.resumes || limits_.requests > 0;
  // Nobody overtakes who waits.
  const int slot = parked_.empty() || !may_park ? FindAdmitting(may_park ? IntoFull::kNo : IntoFull::kYes) : -1;
  if (slot >= 0) return Give(slot, std::move(task), now);
  task.parked_at = now;
  task.awake = IsAwake(now);
  Claim claim = {.key = absl::StrCat(task.request.key), .begun = task.begun};
  if (task.resumes) {
    claim.cuts.push_back(cut_);
  } else {
    std::optional<std::vector<ParkingQueue::Id>> leave;
    do {
      leave = parked_.WhoMakesPlace(claim, limits_);
    } while ((!leave.has_value() || !leave->empty()) && GrantFirstParked(now));
    if (!leave.has_value()) return TurnAway(task, result_.refused, now);
    for (const ParkingQueue::Id id : *leave) TurnAway(Unpark(id), result_.refused, now);
  }
  parked_.Park(++last_id_, std::move(claim), task.awake, limits_, absl::Nanoseconds(now));
  tasks_.emplace(last_id_, std::move(task));
}

// Engines' word of what waits there is here at once.
int Router::FindAdmitting(IntoFull into_full) const {
  int best = -1;
  Destination first;
  for (const std::vector<int>* const slots : {&open_, &leaving_}) {
    for (const int slot : *slots) {
      const Engine& engine = engines_[slot];
      const Destination here = {engine.free.empty(), slots == &leaving_, engine.answers()};
      if (best >= 0 && !(here < first)) continue;
      best = slot;
      first = here;
    }
  }
  return best >= 0 && MaySend(first, into_full, another_starts_) ? best : -1;
}

void Router::GiveParked(ParkingQueue::Id id, int slot, Nanos now) {
  Task task = Unpark(id);
  const Nanos parked = now - task.parked_at;
  task.queued = absl::Nanoseconds(parked) < kPlanHolds ? 0 : parked;
  Give(slot, std::move(task), now);
}

void Router::GrantParked(Nanos now, IntoFull into_full) {
  if (parked_.empty() || FindAdmitting(into_full) < 0) return;
  for (const ParkingQueue::Id id : parked_.ByTurns()) {
    const int slot = FindAdmitting(into_full);
    if (slot < 0) return;
    GiveParked(id, slot, now);
  }
}

bool Router::GrantFirstParked(Nanos now) {
  const int slot = FindAdmitting(IntoFull::kYes);
  if (slot < 0 || parked_.empty()) return false;
  GiveParked(parked_.ByTurns().front(), slot, now);
  return true;
}

void Router::Planned(bool another_starts, Nanos now) {
  another_starts_ = another_starts;
  GrantParked(now, IntoFull::kIfNoneComes);
}

void Router::Give(int slot, Task task, Nanos now) {
  NoteAnswers(slot, 1, now);
  Engine& engine = engines_[slot];
  if (!engine.free.empty()) return Start(slot, task, now);
  engine.queue.push_back(std::move(task));
  ++queued_;
}

void Router::NoteAnswers(int slot, int more, Nanos now) {
  on_answers_(slot, engines_[slot].answers() + more);
  answers_ += more;
}

Router::Task Router::Unpark(ParkingQueue::Id id) {
  parked_.Remove(id);
  return std::move(tasks_.extract(id).mapped());
}

void Router::TurnAway(const Task& task, int64_t& count, Nanos now) {
  if (!task.begun) policy_.OnAnswered({.refused = true, .awake = task.awake}, now);
  if (!task.begun && Counts(task.request)) ++count;
}

void Router::Expire(Nanos now) {
  for (const ParkingQueue::Id id : parked_.Expired(absl::Nanoseconds(now))) {
    TurnAway(Unpark(id), result_.timed_out, now);
    NoteIdle(now);
  }
}

void Router::RefuseParked(Nanos now) {
  GrantParked(now, IntoFull::kYes);
  for (const ParkingQueue::Id id : parked_.ToRefuse(/*also_who_resumes=*/false)) {
    TurnAway(Unpark(id), result_.refused, now);
    NoteIdle(now);
  }
}

void Router::EndAll(Nanos now) {
  for (const ParkingQueue::Id id : parked_.ToRefuse(/*also_who_resumes=*/true)) {
    TurnAway(Unpark(id), result_.timed_out, now);
  }
}

// --- Within engines.

void Router::Start(int slot, const Task& task, Nanos now) {
  Engine& engine = engines_[slot];
  const int stream = engine.free.back();
  engine.free.pop_back();
  Running& running = engine.streams[stream];
  running = {task, now, now + PrefillTime(profile_, task.request.prompt_tokens), ++serial_};
  completions_.push(
      {running.first + DecodeTime(profile_, task.request.generated_tokens), running.serial, slot, stream});
}

// A client leaves that has waited for its longest.
void Router::StartQueued(int slot, Nanos now) {
  Engine& engine = engines_[slot];
  while (!engine.queue.empty() && !engine.free.empty()) {
    const Task task = std::move(engine.queue.front());
    const Nanos waited = now - task.request.at;
    const bool leaves = !task.begun && waited > max_wait_;
    if (leaves) NoteAnswers(slot, -1, now);
    engine.queue.pop_front();
    --queued_;
    if (!leaves) {
      Start(slot, task, now);
      continue;
    }
    policy_.OnAnswered({.queued = task.queued, .waited = waited, .awake = task.awake}, now);
    if (Counts(task.request)) ++result_.timed_out;
  }
}

void Router::NoteFirstToken(const Running& running, Nanos now) {
  const Task& task = running.task;
  if (task.begun) return;
  const Nanos wait = running.first - task.request.at;
  policy_.OnAnswered({.queued = task.queued, .waited = wait, .awake = task.awake}, now);
  if (!Counts(task.request)) return;
  result_.waits.Add(wait);
  result_.within_target += wait <= target_wait_;
}

int Router::Complete() {
  const auto [now, serial, slot, stream] = completions_.top();
  completions_.pop();
  Engine& engine = engines_[slot];
  if (stream >= static_cast<int>(engine.streams.size()) || engine.streams[stream].serial != serial) return -1;
  Running& running = engine.streams[stream];
  NoteFirstToken(running, now);
  load_.Served(absl::Nanoseconds(now), absl::Nanoseconds(now - running.start));
  policy_.OnServed(now - running.start, now);
  NoteAnswers(slot, -1, now);
  running.serial = 0;
  engine.free.push_back(stream);
  StartQueued(slot, now);
  GrantParked(now, IntoFull::kNo);
  HandOverWhereThereIsRoom(now);
  NoteIdle(now);
  return slot;
}

// --- Machines.

void Router::Open(int slot, Nanos now) {
  if (slot >= static_cast<int>(engines_.size())) engines_.resize(slot + 1);
  Engine& engine = engines_[slot];
  engine.streams.assign(profile_.streams(), {});
  for (int stream = 0; stream < profile_.streams(); ++stream) engine.free.push_back(stream);
  open_.push_back(slot);
  ++present_;
  lost_at_ = -1;
  GrantParked(now, IntoFull::kNo);
  HandOverWhereThereIsRoom(now);
}

void Router::Notice(int slot, Nanos now) {
  if (Erase(open_, slot)) leaving_.push_back(slot);
  HandOverWhereThereIsRoom(now);
}

void Router::Drain(int slot) { Erase(open_, slot); }

void Router::Close(int slot, bool taken, Nanos now) {
  if (slot >= static_cast<int>(engines_.size()) || engines_[slot].streams.empty()) return;
  if (taken) lost_at_ = now;
  Erase(open_, slot);
  Erase(leaving_, slot);
  --present_;
  MoveAnswers(slot, now);
  engines_[slot] = {};
  NoteIdle(now);
}

// In the order in which they came to this machine.
void Router::MoveAnswers(int slot, Nanos now) {
  Engine& engine = engines_[slot];
  if (engine.answers() == 0) return;
  NoteAnswers(slot, -engine.answers(), now);
  std::vector<Running> running;
  for (int stream = 0; stream < static_cast<int>(engine.streams.size()); ++stream) {
    if (engine.streams[stream].serial == 0) continue;
    running.push_back(std::move(engine.streams[stream]));
    engine.streams[stream].serial = 0;
  }
  std::sort(running.begin(), running.end(), [](const Running& a, const Running& b) { return a.serial < b.serial; });
  std::deque<Task> tasks = std::move(engine.queue);
  queued_ -= static_cast<int>(tasks.size());
  engine.queue.clear();
  engine.free.clear();
  for (int stream = 0; stream < profile_.streams(); ++stream) engine.free.push_back(stream);
  result_.moved += static_cast<int64_t>(running.size());
  for (auto each = running.rbegin(); each != running.rend(); ++each) {
    Task& task = each->task;
    if (now >= each->first) {
      NoteFirstToken(*each, now);
      task.begun = true;
      const int64_t told = static_cast<int64_t>((now - each->first) * profile_.decode_tokens_per_s() / kSecond);
      const int32_t more = static_cast<int32_t>(std::min<int64_t>(told, task.request.generated_tokens));
      task.request.prompt_tokens += more;
      task.request.generated_tokens -= more;
    }
    tasks.push_front(std::move(task));
  }
  for (Task& task : tasks) {
    task.resumes = true;
    Acquire(std::move(task), now);
  }
}

// As the controller's, of the same name.
void Router::HandOverWhereThereIsRoom(Nanos now) {
  if (leaving_.empty() || open_.empty()) return;
  int room = 0;
  for (const int slot : open_) room += std::max(0, profile_.streams() - engines_[slot].answers());
  const std::vector<int> leaving = leaving_;
  for (const int slot : leaving) {
    if (!FindsRoom(engines_[slot].answers(), profile_.streams(), room)) continue;
    room -= std::min(engines_[slot].answers(), profile_.streams());
    Erase(leaving_, slot);
    MoveAnswers(slot, now);
  }
}

}  // namespace spotinference::fleet::sim
