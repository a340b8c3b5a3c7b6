// A provider and a probe that do nothing by themselves: a test reads what they were asked and says
// what happens.
#ifndef FLEET_PROVIDERS_FAKE_PROVIDER_H_
#define FLEET_PROVIDERS_FAKE_PROVIDER_H_

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fleet/probe/probe.h"
#include "fleet/providers/provider.h"

namespace spotinference::fleet {

// Not thread-safe: for a controller that has no thread.
class FakeProvider : public Provider {
 public:
  explicit FakeProvider(std::string name = "fake")
      : caps_{.name = std::move(name), .market = "spot", .zone = "z", .price_per_hour = 3600, .hibernates = true} {}

  // What was asked since the last call, such as "launch m-1, hibernate m-1".
  std::string Asked() { return absl::StrJoin(std::exchange(asked_, {}), ", "); }

  const MachineSpec& last_spec() const { return last_spec_; }

  void Tell(MachineEvent event) {
    if (listener_) listener_(std::move(event));
  }
  void TellStarted(const std::string& id) {
    Tell({.kind = MachineEvent::Kind::kStarted,
          .machine_id = id,
          .handle = absl::StrCat("handle of ", id)});
  }
  void TellDownload(const std::string& id, uint64_t done, uint64_t total) {
    Tell({.kind = MachineEvent::Kind::kDownload, .machine_id = id, .done_bytes = done, .total_bytes = total});
  }
  void TellReady(const std::string& id) {
    Tell({.kind = MachineEvent::Kind::kReady,
          .machine_id = id,
          .endpoint = {.machine_id = id,
                       .address = id + ":1",
                       .token = "t",
                       .model_hash = "abc",
                       .numerics_id = "n"}});
  }
  void TellAdopted(const std::string& id, const std::string& address) {
    Tell({.kind = MachineEvent::Kind::kAdopted,
          .machine_id = id,
          .handle = absl::StrCat("handle of ", id),
          .endpoint = {.machine_id = id, .address = address, .token = "t"}});
  }
  void TellGone(const std::string& id, absl::Status status = absl::OkStatus(), bool crashed = false) {
    Tell({.kind = MachineEvent::Kind::kGone, .machine_id = id, .crashed = crashed, .status = std::move(status)});
  }

  void TellEnded(const std::string& id, bool crashed) {
    Tell({.kind = MachineEvent::Kind::kEnded, .machine_id = id, .crashed = crashed});
  }

  void SellOffers() { caps_.sells_offers = true; }

  const Caps& caps() const override { return caps_; }
  void Listen(absl::AnyInvocable<void(MachineEvent)> listener) override {
    listener_ = std::move(listener);
  }
  void Launch(const MachineSpec& spec) override { Ask("launch", spec); }
  void Restore(const MachineSpec& spec) override { Ask("restore", spec); }
  void Adopt(const MachineSpec& spec, absl::string_view, absl::string_view) override {
    Ask("adopt", spec);
  }
  void Hibernate(absl::string_view id) override {
    asked_.push_back(absl::StrCat("hibernate ", id));
  }
  void Terminate(absl::string_view id) override {
    asked_.push_back(absl::StrCat("terminate ", id));
  }
  void Discard(const MachineSpec& spec) override { Ask("discard", spec); }
  void TerminateLost(absl::string_view id) override { asked_.push_back(absl::StrCat("terminate lost ", id)); }

 private:
  void Ask(absl::string_view what, const MachineSpec& spec) {
    last_spec_ = spec;
    asked_.push_back(absl::StrCat(what, " ", spec.id));
  }

  Caps caps_;
  absl::AnyInvocable<void(MachineEvent)> listener_;
  std::vector<std::string> asked_;
  MachineSpec last_spec_;
};

class FakeProbe : public Probe {
 public:
  // Questions for figures, each with the machine's id.
  std::vector<std::string> figures_asked() const {
    std::vector<std::string> ids;
    for (const auto& [id, done] : open_figures_) ids.push_back(id);
    return ids;
  }

  // To the first of them.
  void AnswerFigures(const absl::StatusOr<EngineFigures>& answer) {
    auto done = std::move(open_figures_.front().second);
    open_figures_.pop_front();
    done(answer);
  }

  // Who waits for a notice, such as "m-1 0", and what ends the first wait.
  std::string awaited() const {
    return absl::StrJoin(open_waits_, ", ", [](std::string* out, const auto& wait) { *out += wait.first; });
  }
  void AnswerWait(const absl::Status& answer) {
    auto done = std::move(open_waits_.front().second);
    open_waits_.pop_front();
    done(answer);
  }

  // Orders to interrupt are answered at once, or, held, by this.
  void HoldOrders() { holds_orders_ = true; }
  void AnswerOrders(const absl::StatusOr<int64_t>& answer) {
    for (auto& done : std::exchange(open_orders_, {})) done(answer);
  }

  // What engines were told since the last call, such as "m-1 30s".
  std::string Interrupted() { return absl::StrJoin(std::exchange(interrupted_, {}), ", "); }

  // Whom engines were asked to hand over from since the last call.
  std::string HandedOver() { return absl::StrJoin(std::exchange(handed_over_, {}), ", "); }

  // Questions of the other kind.
  int open_questions() const { return static_cast<int>(open_.size()); }

  void Answer(const absl::StatusOr<EngineIdentity>& answer) {
    auto open = std::exchange(open_, {});
    for (auto& done : open) done(answer);
  }

  void Ask(const Endpoint&, absl::Duration,
           absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done) override {
    open_.push_back(std::move(done));
  }
  void AskFigures(const Endpoint& endpoint, absl::Duration,
                  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done) override {
    open_figures_.emplace_back(endpoint.machine_id, std::move(done));
  }
  void AwaitNotice(const Endpoint& endpoint, uint64_t notices, absl::Duration,
                   absl::AnyInvocable<void(const absl::Status&)> done) override {
    open_waits_.emplace_back(absl::StrCat(endpoint.machine_id, " ", notices), std::move(done));
  }
  void Interrupt(const Endpoint& endpoint, absl::Duration notice, absl::Duration,
                 absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    interrupted_.push_back(absl::StrCat(endpoint.machine_id, " ", absl::FormatDuration(notice)));
    if (holds_orders_) open_orders_.push_back(std::move(done));
    else done(1);
  }
  void HandOver(const Endpoint& endpoint, absl::Duration,
                absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    handed_over_.push_back(endpoint.machine_id);
    done(1);
  }

 private:
  std::vector<std::string> interrupted_, handed_over_;
  bool holds_orders_ = false;
  std::vector<absl::AnyInvocable<void(absl::StatusOr<int64_t>)>> open_orders_;
  std::vector<absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)>> open_;
  std::deque<std::pair<std::string, absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)>>>
      open_figures_;
  std::deque<std::pair<std::string, absl::AnyInvocable<void(const absl::Status&)>>> open_waits_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_FAKE_PROVIDER_H_
