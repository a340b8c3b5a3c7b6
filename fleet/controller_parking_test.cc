// The queue of a model that wakes: whose place in it is whose, and what is said to those who get none.
#include <memory>
#include <string>
#include <vector>

#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Reason = AcquireError::Reason;
using End = MachineLife::End;

class ControllerParkingTest : public ControllerTest {
 protected:
  using Clients = std::vector<std::unique_ptr<Client>>;

  ControllerParkingTest() { options_.models[0].park.requests = 4; }

  std::unique_ptr<Client> Come(const std::string& key, size_t bytes = 1) {
    return Acquire(Claim{.bytes = bytes, .key = key});
  }
  Clients ComeMany(const std::string& key, int count, size_t bytes = 1) {
    Clients clients;
    for (int i = 0; i < count; ++i) clients.push_back(Come(key, bytes));
    return clients;
  }
  // Of each: s served, w waits, r refused since the queue is full.
  static std::string Answers(const Clients& clients) {
    std::string text;
    for (const auto& client : clients) {
      const bool refused = client->error.has_value() && client->error->reason == Reason::kQueueFull;
      text += client->lease.has_value() ? 's' : refused ? 'r' : client->answers == 0 ? 'w' : '?';
    }
    return text;
  }
};

TEST_F(ControllerParkingTest, AKeyAloneMayFillTheQueue) {
  Begin();
  const Clients a = ComeMany("a", 6);
  EXPECT_EQ(Answers(a), "wwwwrr");
}

TEST_F(ControllerParkingTest, AnotherKeyGetsItsShareAndTheNewestMakePlace) {
  Begin();
  const Clients a = ComeMany("a", 4), b = ComeMany("b", 4);
  EXPECT_EQ(Answers(a), "wwrr");
  EXPECT_EQ(Answers(b), "wwrr");
  EXPECT_EQ(a[3]->error->message, "4 requests already wait for m to wake");
  const Clients c = ComeMany("c", 2);  // one gives way: then each has its share
  EXPECT_EQ(Answers(a), "wrrr");
  EXPECT_EQ(Answers(b), "wwrr");
  EXPECT_EQ(Answers(c), "wr");
  fleet_->Cancel(b[0]->id);
  const Clients more = ComeMany("a", 2);
  EXPECT_EQ(Answers(more), "wr");
  Ready("m-1");
  EXPECT_EQ(Answers(a), "srrr");
  EXPECT_EQ(Answers(c), "sr");
  EXPECT_EQ(Answers(more), "sr");
}

// By bytes as by requests; and nobody leaves for one that would find no place all the same.
TEST_F(ControllerParkingTest, BytesAreSharedToo) {
  options_.models[0].park.requests = 100;
  options_.models[0].park.bytes = 100;
  Begin();
  const Clients a = ComeMany("a", 10, /*bytes=*/10);
  EXPECT_EQ(Answers(a), "wwwwwwwwww");
  EXPECT_EQ(Come("b", 101)->error->reason, Reason::kQueueFull);
  EXPECT_EQ(Come("b", 51)->error->reason, Reason::kQueueFull);
  EXPECT_EQ(Answers(a), "wwwwwwwwww");
  const auto b = Come("b", 45);
  EXPECT_EQ(b->answers, 0);
  EXPECT_EQ(Answers(a), "wwwwwrrrrr");
  EXPECT_EQ(Come("b", 6)->error->reason, Reason::kQueueFull);
  const auto last = Come("a", 5);
  EXPECT_EQ(last->answers, 0) << "there is room";
}

TEST_F(ControllerParkingTest, WhoResumesMakesPlaceForNobody) {
  Begin();
  Clients a;
  for (int i = 0; i < 5; ++i) a.push_back(Acquire(Claim{.bytes = 1, .key = "a", .cuts = {CutOf(End::kLost)}}));
  a.push_back(Acquire(Claim{.bytes = 1, .key = "a", .begun = true}));
  EXPECT_EQ(Answers(a), "wwwwww");
  EXPECT_EQ(Answers(ComeMany("b", 1)), "r");
  EXPECT_EQ(Answers(a), "wwwwww");
}

TEST_F(ControllerParkingTest, MachinesAreGrantedByTurnsOfTheKeys) {
  Begin();
  std::string order;
  std::vector<Lease> leases;
  for (const std::string name : {"a1", "a2", "a3", "b1"}) {
    fleet_->Acquire("m", {.bytes = 1, .key = name.substr(0, 1)}, [&, name](AcquireResult result) {
      order += name + " ";
      leases.push_back(std::get<Lease>(std::move(result)));
    });
  }
  fleet_->Run();
  Ready("m-1");
  EXPECT_EQ(order, "a1 b1 a2 a3 ");
}

// What the gateway's log calls the end of a machine is what the fleet's does.
TEST_F(ControllerParkingTest, ALeaseNamesTheLifeOfItsMachine) {
  Begin();
  const auto client = Come("a");
  Ready("m-1");
  EXPECT_EQ(client->lease->endpoint().life, "m-1/1");
}

// Of requests that came while the model was awake: within the target or not.
TEST_F(ControllerParkingTest, FirstTokensAreHeldToTheModelsTarget) {
  options_.models[0].target = {absl::Seconds(2), 0.01};
  options_.models[0].park.requests = 0;
  Begin();
  const auto budget = [this] {
    Advance(absl::Seconds(20));  // it is written down now and then
    return store_.Load()->market.budgets["m"];
  };
  const auto answer = [this](absl::Duration waited, int tokens) {
    const auto client = Acquire();
    for (int i = 0; i < tokens; ++i) client->lease->CountToken();
    client->lease->NoteWaited(waited);
    client->lease.reset();
    fleet_->Run();
  };
  ASSERT_TRUE(WakeUp("m").ok());
  Ready("m-1");
  answer(absl::Seconds(2), 1);
  EXPECT_EQ(budget().total, 1);
  EXPECT_EQ(budget().missed, 0);
  answer(absl::Seconds(3), 1);
  EXPECT_EQ(budget().missed, 1);
  answer(absl::Seconds(1), 0);
  EXPECT_EQ(budget().total, 2) << "its client left by itself";
  answer(absl::Seconds(3), 0);
  EXPECT_EQ(budget().missed, 2) << "it left for want of an answer";
  answer(absl::InfiniteDuration(), 0);
  EXPECT_EQ(budget().missed, 3) << "the engine was full";
  auto client = Acquire();
  client->lease.reset();  // it went elsewhere, or was one that had begun before
  EXPECT_EQ(budget().total, 4);
}

// Until another machine serves in the place of one that was lost, however many starts that takes.
TEST_F(ControllerParkingTest, WhoComesWhileAMachineIsReplacedComesToAnAwakeModel) {
  options_.models[0].target = {absl::Seconds(2), 0.01};
  Begin();
  const auto budget = [this] {
    Advance(absl::Seconds(16));  // it is written down now and then
    return store_.Load()->market.budgets["m"];
  };
  auto client = Acquire();
  Ready("m-1");
  const auto served = [](Client& client, absl::Duration waited) {
    ASSERT_TRUE(client.lease.has_value());
    client.lease->CountToken();
    client.lease->NoteWaited(waited);
    client.lease.reset();
  };
  served(*Acquire(), absl::Seconds(1));
  Gone("m-1", absl::UnavailableError("taken"));
  client->lease.reset();
  auto leaves = Acquire(), stays = Acquire();
  EXPECT_EQ(States(), "m-2 launching;");
  Advance(absl::Seconds(1));
  fleet_->Cancel(Acquire()->id);
  Gone("m-2", absl::InternalError("a bad host"));
  EXPECT_EQ(States(), "m-3 launching;");
  const auto comes = Acquire();
  Advance(absl::Seconds(2));
  fleet_->Cancel(leaves->id);
  EXPECT_EQ(budget().missed, 1) << "it left for want of an answer";
  EXPECT_EQ(budget().total, 2) << "of that one, and of who was served";
  Ready("m-3");
  served(*stays, absl::Seconds(40));
  served(*comes, absl::Seconds(39));
  fleet_->Run();
  EXPECT_EQ(budget().missed, 3);
}

// The mean of the wakes so far, three tenths of it the latest.
TEST_F(ControllerParkingTest, WhoIsRefusedIsToldHowLongAWakeTakes) {
  options_.models[0].park.requests = 1;
  Begin();
  const auto told_before_a_wake_of = [&](absl::Duration wake) {
    const auto waits = Come("a");
    const absl::Duration told = Come("a")->error->retry_after;
    Advance(wake);
    Ready("m-1");
    EXPECT_TRUE(waits->lease.has_value());
    waits->lease.reset();
    fleet_->Run();
    Advance(absl::Seconds(90));  // it is idle, and hibernates
    Advance(absl::Seconds(2));
    Gone("m-1");
    return told;
  };
  EXPECT_EQ(told_before_a_wake_of(absl::Seconds(8)), absl::Seconds(5)) << "none was measured yet";
  EXPECT_EQ(told_before_a_wake_of(absl::Seconds(4)), absl::Seconds(8));
  EXPECT_EQ(told_before_a_wake_of(absl::Seconds(4)), absl::Milliseconds(6800));  // 0.7 × 8 s + 0.3 × 4 s
  const auto waits = Come("a");
  EXPECT_EQ(Come("b")->error->retry_after, absl::Milliseconds(5960));  // 0.7 × 6.8 s + 0.3 × 4 s
}

}  // namespace
}  // namespace spotinference::fleet
