// Where requests wait when every engine of their model is full: before the machines while another one comes, within
// engines while none does.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "fleet/controller_market_fixture.h"

namespace spotinference::fleet {
namespace {

using ControllerFullEnginesTest = ControllerMarketTest;

// Until it serves, requests wait before the machines, so that it gets its share of them; and by turns of the keys.
TEST_F(ControllerFullEnginesTest, WhileAnotherMachineStartsNobodyIsSentIntoAFullEngine) {
  options_.models[0].max_machines = 2;
  options_.models[0].park.requests = 3;
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.3)});
  auto first = Acquire();
  Ready("m-1");
  auto second = Acquire();
  auto queued = Acquire();
  ASSERT_TRUE(queued->lease.has_value());
  AnswerFigures(EngineFigures{.running_sequences = 2, .waiting_sequences = 400});
  ASSERT_EQ(States(), "m-1 serving;m-2 launching;");
  const auto a = Acquire({.bytes = 1, .key = "a"}), a2 = Acquire({.bytes = 1, .key = "a"}),
             b = Acquire({.bytes = 1, .key = "b"});
  EXPECT_EQ(a->answers + a2->answers + b->answers, 0);
  const auto beyond = Acquire({.bytes = 1, .key = "b"});
  EXPECT_TRUE(a->lease.has_value()) << "the queue is full: the first of it goes into the engine, nobody is turned away";
  EXPECT_EQ(a2->answers + b->answers + beyond->answers, 0);
  const auto resumes = Acquire({.bytes = 1, .key = "b", .begun = true});
  for (auto* done : {&first, &second}) (*done)->lease.reset();
  fleet_->Run();
  EXPECT_EQ(resumes->answers, 0) << "two of four have a seat";
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{.steps = 1, .running_sequences = 2, .waiting_sequences = 1});
  queued->lease.reset();
  fleet_->Run();
  EXPECT_EQ(resumes->answers, 0) << "there is one more in its engine than the fleet knows of";
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{.steps = 2, .running_sequences = 1});
  EXPECT_TRUE(resumes->lease.has_value()) << "its client waits in the middle of its answer";
  EXPECT_EQ(a2->answers + b->answers + beyond->answers, 0);
  const auto last = Acquire({.bytes = 1, .key = "c"});
  EXPECT_EQ(a2->answers + b->answers + beyond->answers + last->answers, 1) << "again one too many";
  Ready("m-2");
  std::string where;
  for (const auto* client : {&a2, &b, &beyond, &last}) {
    ASSERT_TRUE((*client)->lease.has_value());
    where += (*client)->lease->endpoint().machine_id + " ";
  }
  EXPECT_EQ(where, "m-1 m-2 m-2 m-2 ");
}

// An engine that has not been full yet: of many that wait it does not get all while others start.
TEST_F(ControllerFullEnginesTest, TheFirstOfTwoMachinesLeavesTheSecondItsShare) {
  options_.models[0].min_machines = options_.models[0].max_machines = 2;
  options_.models[0].streams = 3;
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.2)});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(Acquire());
  const auto served = [&] {
    return std::count_if(clients.begin(), clients.end(), [](const auto& client) { return client->lease.has_value(); });
  };
  Ready("m-1");
  ASSERT_EQ(States(), "m-1 serving;m-2 launching;");
  EXPECT_EQ(served(), 3);
  AnswerFigures(EngineFigures{});  // of before it had them
  EXPECT_EQ(served(), 3);
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{.running_sequences = 3});
  EXPECT_EQ(served(), 6) << "nobody waits there: it is given more";
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{.running_sequences = 4, .waiting_sequences = 2});
  EXPECT_EQ(served(), 6);
  Ready("m-2");
  EXPECT_EQ(served(), 8);
  EXPECT_EQ(clients[6]->lease->endpoint().machine_id, "m-2");
  EXPECT_EQ(clients[7]->lease->endpoint().machine_id, "m-2");
}

// Its answers come back before it is known that it will be replaced.
TEST_F(ControllerFullEnginesTest, WhileAMachineIsAskedWhetherItLivesNobodyIsSentIntoAFullEngine) {
  options_.models[0].min_machines = options_.models[0].max_machines = 2;
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.2)});
  Ready("m-1");
  Ready("m-2");
  ASSERT_EQ(States(), "m-1 serving;m-2 serving;");
  auto first = Acquire(), second = Acquire();
  AnswerFigures(EngineFigures{.running_sequences = 1, .waiting_sequences = 1});
  AnswerFigures(EngineFigures{.running_sequences = 1, .waiting_sequences = 1});
  const std::string lost = first->lease->endpoint().machine_id;
  first->lease.reset();
  fleet_->ReportBroken(lost, "its answer broke");
  const auto resumes = Acquire({.bytes = 1, .begun = true});
  EXPECT_EQ(resumes->answers, 0);
  Gone(lost, absl::UnavailableError("taken"));
  EXPECT_EQ(resumes->answers, 0);
  Ready("m-3");
  ASSERT_TRUE(resumes->lease.has_value());
  EXPECT_EQ(resumes->lease->endpoint().machine_id, "m-3");
}

// Clients that read slowly hold leases and no seats.
TEST_F(ControllerFullEnginesTest, AnEngineWithFreeSeatsIsNotFull) {
  options_.models[0].max_machines = 2;
  Begin();
  Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.3)});
  const auto first = Acquire();
  Ready("m-1");
  const auto second = Acquire(), third = Acquire();
  AnswerFigures(EngineFigures{.running_sequences = 2, .waiting_sequences = 400});
  ASSERT_EQ(States(), "m-1 serving;m-2 launching;");
  const auto waits = Acquire(), waits_too = Acquire();
  EXPECT_EQ(waits->answers, 0);
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{.steps = 1, .running_sequences = 1});
  EXPECT_TRUE(waits->lease.has_value());
  EXPECT_EQ(waits_too->answers, 0) << "the seat that it said to be free is taken";
}

}  // namespace
}  // namespace spotinference::fleet
