// A controller without a thread between a fake provider, a fake probe and a store in memory.
#ifndef FLEET_CONTROLLER_FIXTURE_H_
#define FLEET_CONTROLLER_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "fleet/controller.h"
#include "fleet/providers/fake_provider.h"
#include "fleet/store/memory_store.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {

class ControllerTest : public testing::Test {
 protected:
  ControllerTest() {
    options_.models = {
        {.name = "m", .weights = "/w", .model_hash = "abc", .idle_timeout = absl::Seconds(90)}};
    options_.on_wake = [this](absl::string_view model, absl::string_view stage,
                              absl::Duration took) {
      wakes_.push_back(absl::StrCat(model, " ", stage, " ", absl::FormatDuration(took)));
    };
    Begin();
  }

  // A new life of the controller on the same store.
  void Begin() {
    fleet_.reset();
    auto fleet = Controller::Create(options_, clock_, store_, provider_, probe_);
    ASSERT_TRUE(fleet.ok()) << fleet.status();
    fleet_ = *std::move(fleet);
    fleet_->Run();
  }

  struct Client {
    std::optional<Lease> lease;
    std::optional<AcquireError> error;
    int answers = 0;
    Fleet::WaitId id = 0;
  };

  std::unique_ptr<Client> Acquire(size_t bytes = 1, const std::string& model = "m") {
    return Acquire(Claim{.bytes = bytes}, model);
  }
  std::unique_ptr<Client> Acquire(const Claim& claim, const std::string& model = "m") {
    auto client = std::make_unique<Client>();
    client->id = fleet_->Acquire(model, claim, [client = client.get()](AcquireResult result) {
      ++client->answers;
      if (auto* lease = std::get_if<Lease>(&result)) client->lease.emplace(std::move(*lease));
      if (auto* error = std::get_if<AcquireError>(&result)) client->error = std::move(*error);
    });
    fleet_->Run();
    return client;
  }

  void Advance(absl::Duration d) {
    clock_.Advance(d);
    fleet_->Run();
  }

  void Ready(const std::string& id) {
    provider_.TellStarted(id);
    provider_.TellReady(id);
    fleet_->Run();
  }

  void Gone(const std::string& id, absl::Status status = absl::OkStatus()) {
    provider_.TellGone(id, std::move(status));
    fleet_->Run();
  }

  // The answers to an admin's orders, and what follows from them.
  absl::Status Interrupt(const std::string& id, absl::Duration notice) {
    return Answered([&](Fleet::OrderDone done) { fleet_->Interrupt(id, notice, std::move(done)); });
  }
  absl::Status Kill(const std::string& id) {
    return Answered([&](Fleet::OrderDone done) { fleet_->Kill(id, std::move(done)); });
  }
  absl::Status Hibernate(const std::string& id) {
    return Answered([&](Fleet::OrderDone done) { fleet_->Hibernate(id, std::move(done)); });
  }
  absl::Status WakeUp(const std::string& model) {
    return Answered([&](Fleet::OrderDone done) { fleet_->WakeModel(model, std::move(done)); });
  }
  absl::Status Answered(absl::FunctionRef<void(Fleet::OrderDone)> order) {
    std::optional<absl::Status> answer;
    order([&answer](absl::Status status) {
      EXPECT_FALSE(answer.has_value());
      answer = std::move(status);
    });
    fleet_->Run();
    return answer.value_or(absl::UnknownError("never answered"));
  }

  static Claim::Cut CutOf(MachineLife::End end, bool alone = false) {
    const auto life = std::make_shared<MachineLife>();
    life->EndBy(end);
    return {life, alone};
  }

  // Its engine died by itself.
  void Crash(const std::string& id) {
    provider_.TellGone(id, absl::UnavailableError("signal 11"), /*crashed=*/true);
    fleet_->Run();
  }

  // To the oldest question for figures.
  void AnswerFigures(const absl::StatusOr<EngineFigures>& figures) {
    ASSERT_FALSE(probe_.figures_asked().empty());
    probe_.AnswerFigures(figures);
    fleet_->Run();
  }

  std::string States() const {
    std::string text;
    for (const MachineView& machine : fleet_->Machines())
      absl::StrAppend(&text, machine.id, " ", machine.state, ";");
    return text;
  }

  Controller::Options options_;
  FakeClock clock_;
  MemoryStore store_;
  FakeProvider provider_;
  FakeProbe probe_;
  std::vector<std::string> wakes_;
  std::unique_ptr<Controller> fleet_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_CONTROLLER_FIXTURE_H_
