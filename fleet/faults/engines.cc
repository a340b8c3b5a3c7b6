#include "fleet/faults/engines.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/api/status.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kReserve = absl::Seconds(7);  // of a notice: what an engine keeps to save KV and say goodbye
constexpr absl::Duration kStart = absl::Seconds(20);  // of an engine, mean
constexpr absl::Duration kLife = absl::Minutes(20);   // of one that dies or hangs, mean
constexpr int kSeats = 2;

}  // namespace

std::string Engines::Address(int64_t machine) {
  return absl::StrCat("10.", machine >> 16 & 255, ".", machine >> 8 & 255, ".", machine & 255);
}

int64_t Engines::NumberOf(const std::string& address) {
  int64_t number = 0;
  const absl::string_view host = absl::string_view(address).substr(0, address.find(':'));
  const std::vector<absl::string_view> bytes = absl::StrSplit(host, '.');
  for (size_t i = 1; i < bytes.size(); ++i) {
    int64_t byte = 0;
    if (!absl::SimpleAtoi(bytes[i], &byte)) return 0;
    number = number << 8 | byte;
  }
  return number;
}

bool Engines::Serves(int64_t machine) const {
  const auto found = engines_.find(machine);
  return found != engines_.end() && found->second.serves && !found->second.hangs && !found->second.handed_over;
}

void Engines::Boot(const EmulatedMachine& machine) {
  engines_[machine.number] = {.user_data = machine.user_data, .start = ++starts_};
  StartIfReady(machine.number);
}

void Engines::Attach(const EmulatedMachine& machine, const EmulatedVolume&) {
  attached_[machine.number] = true;
  StartIfReady(machine.number);
}

void Engines::StartIfReady(int64_t machine) {
  const auto found = engines_.find(machine);
  if (found == engines_.end() || found->second.serves || !attached_.contains(machine)) return;
  if (sim_.Chance(faults_.never_serves)) {
    sim_.Note(absl::StrCat("the engine on ", machine, " will never serve"));
    return sim_.Trouble(absl::Minutes(10));
  }
  const auto in_this_start = [this, machine, start = found->second.start](auto what) {
    return [this, machine, start, what] {
      const auto engine = engines_.find(machine);
      if (engine != engines_.end() && engine->second.start == start) what(engine->second);
    };
  };
  const absl::Duration ready = sim_.Around(kStart);
  sim_.After(ready, in_this_start([](Engine& engine) { engine.serves = true; }));
  if (sim_.Chance(faults_.dies)) {
    sim_.After(ready + sim_.Around(kLife), in_this_start([this, machine](Engine& engine) {
                 sim_.Note(absl::StrCat("the engine on ", machine, " dies"));
                 sim_.Trouble(absl::Minutes(1));
                 engine.serves = false;
                 broken_(machine, false);
               }));
  } else if (sim_.Chance(faults_.hangs)) {
    sim_.After(ready + sim_.Around(kLife), in_this_start([this, machine](Engine& engine) {
                 sim_.Note(absl::StrCat("the engine on ", machine, " hangs"));
                 sim_.Trouble(absl::Minutes(1));
                 engine.hangs = true;
                 broken_(machine, true);
               }));
  }
}

void Engines::Halt(const EmulatedMachine& machine) {
  if (engines_.erase(machine.number) > 0) broken_(machine.number, false);
}

void Engines::Notice(const EmulatedMachine& machine, std::optional<absl::Duration> left) {
  const auto found = engines_.find(machine.number);
  if (found == engines_.end()) return;
  NoticesChanged(found->second);
  if (left.has_value()) return GoesIn(machine.number, found->second, *left);
  found->second.taken_at.reset();
  found->second.handed_over = false;
}

void Engines::PutAtRisk(int64_t machine) {
  const auto found = engines_.find(machine);
  if (found == engines_.end()) return;
  found->second.at_risk = true;
  NoticesChanged(found->second);
}

void Engines::EndWait(NoticeWait& wait, const absl::Status& status) {
  if (NoticeWait once = std::exchange(wait, nullptr)) once(status);
}

void Engines::NoticesChanged(Engine& engine) {
  ++engine.notices;
  if (engine.hangs) return;
  for (const std::shared_ptr<NoticeWait>& wait : std::exchange(engine.waits, {})) EndWait(*wait, absl::OkStatus());
}

// As engine/server/interruptions.h has it.
void Engines::GoesIn(int64_t machine, Engine& engine, absl::Duration left) {
  engine.taken_at = sim_.now() + left;
  if (left <= kReserve) return HandOverNow(machine, engine);
  sim_.After(left - kReserve, [this, machine, start = engine.start, taken_at = engine.taken_at] {
    const auto found = engines_.find(machine);
    if (found == engines_.end() || found->second.start != start || found->second.taken_at != taken_at) return;
    HandOverNow(machine, found->second);
  });
}

void Engines::HandOverNow(int64_t machine, Engine& engine) {
  if (std::exchange(engine.handed_over, true)) return;
  broken_(machine, false);
}

Engines::Engine* Engines::Find(const Endpoint& endpoint) {
  const auto found = engines_.find(NumberOf(endpoint.address));
  if (found == engines_.end() || !found->second.serves) return nullptr;
  if (!absl::StrContains(found->second.user_data, endpoint.token)) {
    sim_.Break(absl::StrCat(endpoint.machine_id, " was asked with another machine's token"));
  }
  return &found->second;
}

template <typename Answer>
void Engines::Reply(absl::Duration deadline, const Engine* engine, Answer answer,
                    absl::AnyInvocable<void(Answer)> done) {
  if (engine == nullptr) return done(absl::UnavailableError("nobody listens"));
  if (!engine->hangs) return done(std::move(answer));
  sim_.After(deadline, [done = std::make_shared<absl::AnyInvocable<void(Answer)>>(std::move(done))] {
    (*done)(absl::DeadlineExceededError("no answer"));
  });
}

void Engines::Ask(const Endpoint& endpoint, absl::Duration deadline,
                  absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done) {
  const Engine* const engine = Find(endpoint);
  absl::StatusOr<EngineIdentity> answer = EngineIdentity{kModelHash, "n"};
  if (engine != nullptr && engine->handed_over) answer = absl::UnavailableError("it drains");
  Reply(deadline, engine, std::move(answer), std::move(done));
}

void Engines::AskFigures(const Endpoint& endpoint, absl::Duration deadline,
                         absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done) {
  const Engine* const engine = Find(endpoint);
  EngineFigures figures;
  if (engine != nullptr) {
    figures.notices = engine->notices;
    const int answers = answers_(NumberOf(endpoint.address));
    figures.running_sequences = std::min(answers, kSeats);
    figures.waiting_sequences = answers - figures.running_sequences;
    figures.steps = absl::ToInt64Milliseconds(sim_.now());
  }
  if (engine != nullptr && engine->taken_at.has_value()) {
    figures.notice = EngineNotice{.source = "cloud",
                                  .stops = true,
                                  .serves_on = !engine->handed_over,
                                  .left = *engine->taken_at - sim_.now()};
  } else if (engine != nullptr && engine->at_risk) {
    figures.notice = EngineNotice{.source = "cloud", .stops = false, .serves_on = true};
  }
  Reply(deadline, engine, absl::StatusOr<EngineFigures>(figures), std::move(done));
}

void Engines::AwaitNotice(const Endpoint& endpoint, uint64_t notices, absl::Duration deadline,
                          absl::AnyInvocable<void(const absl::Status&)> done) {
  Engine* const engine = Find(endpoint);
  if (engine == nullptr) return done(absl::UnavailableError("nobody listens"));
  if (engine->notices != notices && !engine->hangs) return done(absl::OkStatus());
  const auto wait = std::make_shared<NoticeWait>(std::move(done));
  engine->waits.push_back(wait);
  sim_.After(deadline, [wait] { EndWait(*wait, absl::DeadlineExceededError("no news")); });
}

void Engines::HandOver(const Endpoint& endpoint, absl::Duration deadline,
                       absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) {
  Engine* const engine = Find(endpoint);
  Reply(deadline, engine, absl::StatusOr<int64_t>(0), std::move(done));
  if (engine == nullptr || engine->hangs || !engine->taken_at.has_value()) return;
  HandOverNow(NumberOf(endpoint.address), *engine);
}

void Engines::Interrupt(const Endpoint& endpoint, absl::Duration notice, absl::Duration deadline,
                        absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) {
  Engine* const engine = Find(endpoint);
  Reply(deadline, engine, absl::StatusOr<int64_t>(0), std::move(done));
  if (engine == nullptr || engine->hangs) return;
  NoticesChanged(*engine);
  GoesIn(NumberOf(endpoint.address), *engine, notice);
}

}  // namespace spotinference::fleet
