// Notices, hangs, deaths and an admin's orders.
#include <glog/logging.h>

#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "engine/api/status.h"
#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using End = MachineLife::End;

class ControllerInterruptionsTest : public ControllerTest {
 protected:
  // Serves one client on m-1.
  void Serve() {
    client_ = Acquire();
    Ready("m-1");
    provider_.Asked();
    life_ = client_->lease->life();
  }
  // Its engine breaks off: the lease is given back, and the next one is asked for.
  void Move() {
    client_->lease.reset();
    client_ = Acquire(Claim{.cuts = {CutOf(End::kLost)}});
  }
  EngineFigures Noticed(absl::Duration left, bool serves_on = false) {
    return {.notice = EngineNotice{
                .source = "aws", .stops = true, .serves_on = serves_on, .left = left, .reason = "terminate"}};
  }
  int64_t Seconds(const std::string& use) const {  // of the ledger
    absl::Duration time;
    for (const LedgerLine& line : fleet_->LedgerLines()) time += line.use == use ? line.time : absl::ZeroDuration();
    return absl::ToInt64Seconds(time);
  }
  std::string Count() const {
    std::string text;
    for (const InterruptionCount& count : fleet_->Interruptions())
      absl::StrAppend(&text, count.noticed ? "noticed " : "unnoticed ", count.count, ";");
    return text;
  }

  std::unique_ptr<Client> client_;
  std::shared_ptr<MachineLife> life_;
};

TEST_F(ControllerInterruptionsTest, AnInterruptedMachineIsReplacedAtOnceAndTakenWhenItsNoticeRunsOut) {
  Serve();
  ASSERT_TRUE(Interrupt("m-1", absl::Seconds(30)).ok());
  EXPECT_EQ(probe_.Interrupted(), "m-1 30s");
  EXPECT_EQ(provider_.Asked(), "launch m-2");  // beyond max_machines: m-1 is sure to go
  EXPECT_EQ(provider_.last_spec().volume, "m.2");
  EXPECT_EQ(States(), "m-1 draining;m-2 launching;");
  Move();
  EXPECT_EQ(client_->answers, 0);
  Ready("m-2");
  ASSERT_TRUE(client_->lease.has_value());
  EXPECT_EQ(client_->lease->endpoint().machine_id, "m-2");
  Advance(absl::Seconds(29));
  EXPECT_EQ(provider_.Asked(), "");  // it has KV to save
  Advance(absl::Seconds(1));
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  Gone("m-1");
  EXPECT_EQ(States(), "m-2 serving;");
  EXPECT_EQ(Count(), "noticed 1;");
}

// While nobody serves but a machine that will be taken away, answers stay there and new ones come; then they go at
// once.
TEST_F(ControllerInterruptionsTest, AMachineThatIsTakenServesOnUntilAnotherHasRoom) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(119), /*serves_on=*/true));
  EXPECT_EQ(States(), "m-1 draining;m-2 launching;");
  EXPECT_EQ(life_->end(), End::kNone);
  const auto another = Acquire();
  ASSERT_TRUE(another->lease.has_value());
  EXPECT_EQ(another->lease->endpoint().machine_id, "m-1");
  Advance(absl::Seconds(20));
  EXPECT_EQ(probe_.HandedOver(), "");
  Ready("m-2");
  EXPECT_EQ(probe_.HandedOver(), "m-1");
  EXPECT_EQ(life_->end(), End::kNotice);
  Advance(absl::Seconds(5));
  EXPECT_EQ(probe_.HandedOver(), "") << "once";
  const auto third = Acquire();
  EXPECT_EQ(third->lease->endpoint().machine_id, "m-2");
  EXPECT_EQ(Count(), "noticed 1;");
  // What it said before it was asked is no news.
  AnswerFigures(Noticed(absl::Seconds(99), /*serves_on=*/true));
  EXPECT_EQ(probe_.HandedOver(), "");
}

TEST_F(ControllerInterruptionsTest, AnEngineThatWasNotReachedIsAskedAgainToHandOver) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(119), /*serves_on=*/true));
  Ready("m-2");
  EXPECT_EQ(probe_.HandedOver(), "m-1");
  AnswerFigures(EngineFigures{});  // of m-2
  Advance(absl::Seconds(5));
  AnswerFigures(Noticed(absl::Seconds(110), /*serves_on=*/true));
  EXPECT_EQ(probe_.HandedOver(), "m-1");
}

// One that serves takes as many as it has streams for.
TEST_F(ControllerInterruptionsTest, WhereNobodyHasRoomAnswersStay) {
  options_.models[0].min_machines = options_.models[0].max_machines = 2;
  options_.models[0].streams = 2;
  Begin();
  Ready("m-1");
  Ready("m-2");
  const auto a = Acquire(), b = Acquire(), c = Acquire();
  ASSERT_TRUE(a->lease.has_value() && b->lease.has_value() && c->lease.has_value());
  const bool first = a->lease->endpoint().machine_id == "m-1";  // which has two of them
  provider_.Asked();
  AnswerFigures(first ? Noticed(absl::Seconds(119), /*serves_on=*/true) : EngineFigures{});
  AnswerFigures(first ? EngineFigures{} : Noticed(absl::Seconds(119), /*serves_on=*/true));
  EXPECT_EQ(provider_.Asked(), "launch m-3");
  EXPECT_EQ(probe_.HandedOver(), "");
  Ready("m-3");
  EXPECT_EQ(probe_.HandedOver(), first ? "m-1" : "m-2");
}

// A stream's next token tells of it, and hurries the heartbeat.
TEST_F(ControllerInterruptionsTest, ANoticeThatIsReportedIsAskedFor) {
  Serve();
  AnswerFigures(EngineFigures{});
  Advance(absl::Seconds(1));
  EXPECT_TRUE(probe_.figures_asked().empty());
  fleet_->ReportNotice("m-1");
  fleet_->ReportNotice("m-9");
  fleet_->Run();
  AnswerFigures(Noticed(absl::Seconds(119), /*serves_on=*/true));
  EXPECT_EQ(States(), "m-1 draining;m-2 launching;");
}

// Nothing streams, and the next question would come in five seconds: the engine's word alone brings the replacement.
TEST_F(ControllerInterruptionsTest, AnIdleMachinesNoticeIsHeardAndAnsweredAtOnce) {
  options_.models[0].min_machines = 1;
  Begin();
  Ready("m-1");
  AnswerFigures(EngineFigures{.notices = 3});
  EXPECT_EQ(probe_.awaited(), "m-1 3");
  Advance(absl::Seconds(1));
  EXPECT_TRUE(probe_.figures_asked().empty());
  provider_.Asked();
  probe_.AnswerWait(absl::OkStatus());
  fleet_->Run();
  EngineFigures noticed = Noticed(absl::Seconds(119), /*serves_on=*/true);
  noticed.notices = 4;
  AnswerFigures(noticed);
  EXPECT_EQ(provider_.Asked(), "launch m-2") << "in the same instant";
  EXPECT_EQ(probe_.awaited(), "m-1 4") << "what changes next";
}

// A wait that ends without news is begun again with the next answer; one whose news are none is not.
TEST_F(ControllerInterruptionsTest, AnEngineThatSaysNothingNewIsAskedNoMoreOften) {
  Serve();
  AnswerFigures(EngineFigures{});
  EXPECT_EQ(probe_.awaited(), "m-1 0");
  probe_.AnswerWait(absl::DeadlineExceededError("no news"));
  fleet_->Run();
  EXPECT_TRUE(probe_.figures_asked().empty());
  EXPECT_EQ(probe_.awaited(), "");
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{});
  EXPECT_EQ(probe_.awaited(), "m-1 0");
  probe_.AnswerWait(absl::OkStatus());
  fleet_->Run();
  AnswerFigures(EngineFigures{});
  EXPECT_EQ(probe_.awaited(), "");
  EXPECT_TRUE(probe_.figures_asked().empty());
}

// Its sources tell of several ends; the first was withdrawn.
TEST_F(ControllerInterruptionsTest, AnEngineMayHaveMoreTimeThanItSaid) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(30), /*serves_on=*/true));
  Advance(absl::Seconds(5));
  AnswerFigures(Noticed(absl::Seconds(120), /*serves_on=*/true));
  provider_.Asked();
  Advance(absl::Seconds(119));
  EXPECT_EQ(provider_.Asked(), "");
  Advance(absl::Seconds(1));
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
}

TEST_F(ControllerInterruptionsTest, AShutdownGivesAMachineThatIsTakenItsTimeToDrain) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(119), /*serves_on=*/true));
  Gone("m-2", absl::UnavailableError("no"));
  Advance(absl::Seconds(40));
  provider_.Asked();
  fleet_->BeginShutdown(absl::Seconds(5));
  fleet_->Run();
  EXPECT_EQ(provider_.Asked().find("hibernate m-1"), std::string::npos);
  Advance(absl::Seconds(5));
  EXPECT_NE(provider_.Asked().find("hibernate m-1"), std::string::npos);
}

TEST_F(ControllerInterruptionsTest, ACrashDuringANoticeIsACrash) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(119), /*serves_on=*/true));
  Crash("m-1");
  EXPECT_EQ(life_->end(), End::kCrashed);
}

TEST_F(ControllerInterruptionsTest, AnEngineThatServesOnThroughANoticeIsNotBroken) {
  Serve();
  fleet_->ReportBroken("m-1", "an answer waits for its next token");
  fleet_->Run();
  EngineIdentity identity{"abc", "n"};
  identity.notice = Noticed(absl::Seconds(119), /*serves_on=*/true).notice;
  probe_.Answer(identity);
  fleet_->Run();
  EXPECT_EQ(States(), "m-1 draining;m-2 launching;");
  EXPECT_EQ(life_->end(), End::kNone);
  EXPECT_FALSE(life_->doubted());
  EXPECT_EQ(Acquire()->lease->endpoint().machine_id, "m-1");
}

TEST_F(ControllerInterruptionsTest, AMachineThatIsTakenBeforeItHandedOverWasForetold) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(119), /*serves_on=*/true));
  Gone("m-1", absl::UnavailableError("taken"));
  EXPECT_EQ(life_->end(), End::kNotice);
  EXPECT_EQ(Count(), "noticed 1;");
}

TEST_F(ControllerInterruptionsTest, AnIdleMachineThatIsTakenIsNotReplaced) {
  Serve();
  client_->lease.reset();
  ASSERT_TRUE(Interrupt("m-1", absl::Seconds(2)).ok());
  Advance(absl::Seconds(2));
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
}

TEST_F(ControllerInterruptionsTest, ASecondWordAboutTheSameEndIsNoSecondInterruption) {
  Serve();
  ASSERT_TRUE(Interrupt("m-1", absl::Seconds(30)).ok());
  ASSERT_TRUE(Interrupt("m-1", absl::Seconds(5)).ok());
  AnswerFigures(Noticed(absl::Seconds(29)));
  EXPECT_EQ(Count(), "noticed 1;");
  provider_.Asked();
  Advance(absl::Seconds(5));  // the sooner one counts
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  EXPECT_EQ(Interrupt("m-1", absl::Seconds(5)).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Interrupt("m-9", absl::Seconds(5)).code(), absl::StatusCode::kNotFound);
}

TEST_F(ControllerInterruptionsTest, ANoticeThatTheEngineHeardIsSeenByTheHeartbeat) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(119)));
  EXPECT_EQ(States(), "m-1 draining;m-2 launching;");
  Gone("m-1", absl::UnavailableError("taken"));
  EXPECT_EQ(Count(), "noticed 1;");
  Ready("m-2");
  EXPECT_EQ(States(), "m-2 serving;");
}

// A stream that the engine handed over is reported before the next heartbeat.
TEST_F(ControllerInterruptionsTest, AnEngineThatDrainsByANoticeIsNotLost) {
  Serve();
  fleet_->ReportBroken("m-1", "the engine drains");
  Move();
  engine::v1::Notice notice;
  notice.set_kind(engine::v1::Notice::KIND_STOP);
  notice.set_left_ms(30000);
  probe_.Answer(NoticedError(notice));
  fleet_->Run();
  EXPECT_EQ(States(), "m-1 draining;m-2 launching;");
  EXPECT_EQ(provider_.Asked(), "launch m-2");
}

TEST_F(ControllerInterruptionsTest, AWithdrawnNoticeMeansServingGoesOn) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(30)));
  Move();
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{});
  ASSERT_TRUE(client_->lease.has_value());
  EXPECT_EQ(client_->lease->endpoint().machine_id, "m-1");
  EXPECT_EQ(client_->lease->life()->end(), End::kNone);
  EXPECT_EQ(life_->end(), End::kNotice);
  provider_.Asked();
  Advance(absl::Seconds(30));
  EXPECT_EQ(provider_.Asked(), "");
}

// Its figures were asked for before the notice came, and its health after that.
TEST_F(ControllerInterruptionsTest, ALateAnswerWithdrawsNoNewerNotice) {
  Serve();
  fleet_->ReportBroken("m-1", "the engine drains");
  Advance(absl::Seconds(1));
  engine::v1::Notice notice;
  notice.set_kind(engine::v1::Notice::KIND_STOP);
  notice.set_left_ms(30000);
  probe_.Answer(NoticedError(notice));
  fleet_->Run();
  EXPECT_EQ(States(), "m-1 draining;m-2 launching;");
  Advance(absl::Seconds(1));
  AnswerFigures(EngineFigures{});
  EXPECT_EQ(States(), "m-1 draining;m-2 launching;");
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{});  // this one was asked for later
  EXPECT_EQ(States(), "m-1 serving;m-2 terminating;");
}

// One that the engine does not know of is not withdrawn by its silence.
TEST_F(ControllerInterruptionsTest, AnOrderThatTheEngineMissedStands) {
  Serve();
  ASSERT_TRUE(Interrupt("m-1", absl::Seconds(3)).ok());
  AnswerFigures(EngineFigures{});
  provider_.Asked();
  Advance(absl::Seconds(3));
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
}

TEST_F(ControllerInterruptionsTest, AWithdrawnNoticeWithdrawsNoOrder) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(30)));
  ASSERT_TRUE(Interrupt("m-1", absl::Seconds(60)).ok());
  AnswerFigures(Noticed(absl::Seconds(30)));  // the order makes it asked at once
  Advance(absl::Seconds(5));
  AnswerFigures(EngineFigures{});
  EXPECT_TRUE(absl::StrContains(States(), "m-1 draining")) << States();
  provider_.Asked();
  Advance(absl::Seconds(30));
  EXPECT_EQ(provider_.Asked(), "") << "the notice would have run out";
  Advance(absl::Seconds(25));
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
}

// Asked before it has taken the order, it would say nothing of it, and be asked again seconds later.
TEST_F(ControllerInterruptionsTest, WhetherAnEngineServesOnIsAskedOnceItHasTheOrder) {
  Serve();
  AnswerFigures(EngineFigures{});
  probe_.HoldOrders();
  ASSERT_TRUE(Interrupt("m-1", absl::Seconds(30)).ok());
  EXPECT_EQ(probe_.figures_asked().size(), 0);
  probe_.AnswerOrders(0);
  fleet_->Run();
  ASSERT_EQ(probe_.figures_asked().size(), 1);
  AnswerFigures(Noticed(absl::Seconds(30), /*serves_on=*/true));
  EXPECT_TRUE(Acquire()->lease.has_value()) << "nobody else serves";
}

TEST_F(ControllerInterruptionsTest, AnOrderThatCannotBeWrittenDownIsNotSaidToBe) {
  Serve();
  store_.FailWith(absl::ResourceExhaustedError("no space left"));
  EXPECT_TRUE(absl::IsResourceExhausted(Interrupt("m-1", absl::Seconds(3))));
}

TEST_F(ControllerInterruptionsTest, AKilledMachineIsGoneWithoutAWord) {
  Serve();
  ASSERT_TRUE(Kill("m-1").ok());
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  EXPECT_EQ(life_->end(), End::kKilled);
  Move();
  Gone("m-1");
  EXPECT_EQ(provider_.Asked(), "launch m-2");
  EXPECT_EQ(Count(), "unnoticed 1;");
}

TEST_F(ControllerInterruptionsTest, AHibernatedMachineComesBackWhenSomebodyAsks) {
  Serve();
  ASSERT_TRUE(Hibernate("m-1").ok());
  EXPECT_EQ(provider_.Asked(), "hibernate m-1");
  EXPECT_EQ(life_->end(), End::kHibernated);
  Move();
  Gone("m-1");
  EXPECT_EQ(provider_.Asked(), "restore m-1");
  EXPECT_EQ(Count(), "");
  EXPECT_EQ(Hibernate("m-1").code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ControllerInterruptionsTest, AnOrderedWakeNeedsNoRequest) {
  EXPECT_EQ(WakeUp("x").code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WakeUp("m").ok());
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  Ready("m-1");
  ASSERT_TRUE(WakeUp("m").ok());  // it is awake
  Advance(absl::Seconds(89));
  EXPECT_EQ(provider_.Asked(), "");
  Advance(absl::Seconds(1));
  EXPECT_EQ(provider_.Asked(), "hibernate m-1");  // as after any last request
}

TEST_F(ControllerInterruptionsTest, AnOrderedWakeEndsAtItsCap) {
  ASSERT_TRUE(WakeUp("m").ok());
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  Advance(absl::Minutes(10));
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  Gone("m-1");
  Advance(absl::Hours(1));
  EXPECT_EQ(provider_.Asked(), "");
}

// The fleet died between the order and the launch.
TEST_F(ControllerInterruptionsTest, AnOrderedWakeOutlivesTheFleet) {
  ASSERT_TRUE(store_.Write({.wake_records = {{"m", {.ordered_until = clock_.Now() - absl::Seconds(1)}}}}, Store::Sync::kOrdered).ok());
  Begin();
  EXPECT_EQ(provider_.Asked(), "") << "its time is up";
  // The clock was set back.
  ASSERT_TRUE(store_.Write({.wake_records = {{"m", {.ordered_until = clock_.Now() + absl::Hours(9)}}}}, Store::Sync::kOrdered).ok());
  Begin();
  EXPECT_EQ(provider_.Asked(), "launch m-1");
  Gone("m-1", absl::UnavailableError("no"));
  EXPECT_EQ(provider_.Asked(), "launch m-2");
  Advance(absl::Minutes(10));
  EXPECT_EQ(provider_.Asked(), "terminate m-2") << "no order lasts longer than a wake";
  Gone("m-2");
  Begin();
  EXPECT_EQ(provider_.Asked(), "") << "what is over is forgotten";
}

TEST_F(ControllerInterruptionsTest, AnOrderedWakeThatCannotBeWrittenDownIsNotSaidToBe) {
  store_.FailWith(absl::ResourceExhaustedError("full"));
  EXPECT_EQ(WakeUp("m"), absl::ResourceExhaustedError("full"));
}

TEST_F(ControllerInterruptionsTest, AnEngineThatTakesNoStepHangs) {
  Serve();
  const auto beat = [this](int64_t steps, int64_t running) {
    AnswerFigures(EngineFigures{.steps = steps, .running_sequences = running});
    Advance(absl::Seconds(5));
  };
  for (int i = 0; i < 30; ++i) beat(7 + i, 1);  // a long prefill takes steps
  for (int i = 0; i < 30; ++i) beat(36, 0);     // nobody reads, or nobody is there
  beat(36, 1);
  for (int i = 0; i < 12; ++i) beat(36, 1);
  EXPECT_EQ(States(), "m-1 serving;");
  AnswerFigures(EngineFigures{.steps = 36, .running_sequences = 1});
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  EXPECT_EQ(life_->end(), End::kStalled);
  EXPECT_EQ(EndName(life_->end()), "hang");
}

TEST_F(ControllerInterruptionsTest, AnEngineThatDoesNotAnswerHangsAndOneThatRefusesIsLost) {
  Serve();
  fleet_->ReportBroken("m-1", "an answer waits");
  fleet_->Run();
  probe_.Answer(absl::DeadlineExceededError("no answer"));
  fleet_->Run();
  EXPECT_EQ(life_->end(), End::kHang);
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  Gone("m-1");
  Move();
  Ready("m-2");
  life_ = client_->lease->life();
  fleet_->ReportBroken("m-2", "reset");
  fleet_->Run();
  probe_.Answer(absl::UnavailableError("connection refused"));
  fleet_->Run();
  EXPECT_EQ(life_->end(), End::kNone);  // until its provider says how it ended
  EXPECT_TRUE(life_->doubted());
  Gone("m-2");
  EXPECT_EQ(life_->end(), End::kLost);
  EXPECT_EQ(Count(), "unnoticed 2;");
}

// From when it serves nobody any more until it is gone, whoever still holds a lease.
TEST_F(ControllerInterruptionsTest, WhatIsTakenOrDiesIsLostUntilItsEnd) {
  Serve();
  Advance(absl::Seconds(100));
  ASSERT_TRUE(Interrupt("m-1", absl::Seconds(30)).ok());
  Advance(absl::Seconds(5));
  EXPECT_EQ(Seconds("lost"), 0);
  Move();
  EXPECT_EQ(Seconds("busy"), 105);
  Advance(absl::Seconds(25));
  Advance(absl::Seconds(3));
  Gone("m-1");
  EXPECT_EQ(Seconds("lost"), 28);
  Ready("m-2");
  ASSERT_TRUE(client_->lease.has_value());
  Advance(absl::Seconds(10));
  fleet_->ReportBroken("m-2", "reset");
  fleet_->Run();
  probe_.Answer(absl::UnavailableError("connection refused"));
  fleet_->Run();
  Advance(absl::Seconds(7));
  Gone("m-2");
  EXPECT_EQ(Seconds("lost"), 28 + 7);
  EXPECT_EQ(Seconds("busy"), 105 + 10);
}

// An idle one that serves on could serve.
TEST_F(ControllerInterruptionsTest, WhatServesOnThroughANoticeIsNotLostBeforeItHandsOver) {
  Serve();
  AnswerFigures(Noticed(absl::Seconds(119), /*serves_on=*/true));
  client_->lease.reset();
  fleet_->Run();
  Advance(absl::Seconds(20));
  Ready("m-2");
  Advance(absl::Seconds(4));
  EXPECT_EQ(Seconds("idle"), 20 + 4) << "m-1, and then m-2";
  EXPECT_EQ(Seconds("lost"), 4);
}

// A start in the place of what was taken or died is what an interruption costs; one from zero is not.
TEST_F(ControllerInterruptionsTest, StartsInTheirPlaceAreToldApart) {
  MachineEvent offers = {.kind = MachineEvent::Kind::kOffers};
  for (const char* zone : {"a", "b"}) {
    offers.offers.push_back({.offer = {.provider = "aws", .zone = zone, .price_per_hour = 3600}, .stock = std::nullopt});
  }
  provider_.Tell(std::move(offers));
  client_ = Acquire();
  Advance(absl::Seconds(50));
  Ready("m-1");
  Gone("m-1", absl::UnavailableError("taken"));
  Move();
  Advance(absl::Seconds(70));
  double waking = 0, replacing = 0;
  for (const LedgerLine& line : fleet_->LedgerLines()) {
    if (line.use == "waking") waking += line.dollars;
    replacing += line.replacing_dollars;
  }
  EXPECT_NEAR(waking, 60 + 70, 1e-9) << "a minute at least";
  EXPECT_NEAR(replacing, 70, 1e-9);
}

// Ten quick kills in a row: what has served is no failed start.
TEST_F(ControllerInterruptionsTest, TheDeathOfWhatServedPutsNoModelIntoBackOff) {
  client_ = Acquire();
  for (int i = 1; i <= 10; ++i) {
    Ready(absl::StrCat("m-", i));
    ASSERT_TRUE(client_->lease.has_value()) << i;
    client_->lease->life()->NoteServed();
    Gone(absl::StrCat("m-", i), absl::UnavailableError("signal 9"));
    Move();
  }
  EXPECT_EQ(Count(), "unnoticed 10;");
}

// What is logged while it lives.
class Lines : public google::LogSink {
 public:
  Lines() { google::AddLogSink(this); }
  ~Lines() override { google::RemoveLogSink(this); }
  void send(google::LogSeverity, const char*, const char*, int, const std::tm*, const char* text,
            size_t size) override {
    lines_.emplace_back(text, size);
  }
  std::vector<std::string> Without(const std::string& heading) const {
    std::vector<std::string> others;
    for (const std::string& line : lines_) {
      if (!absl::StartsWith(line, heading)) others.push_back(line);
    }
    return others;
  }
  size_t size() const { return lines_.size(); }

 private:
  std::vector<std::string> lines_;
};

// From its first word to the machine that serves in its place.
TEST_F(ControllerInterruptionsTest, AnInterruptionsWholeLifeIsInTheLogUnderOneId) {
  for (const bool noticed : {true, false}) {
    const std::string lost = noticed ? "m-1" : "m-2", next = noticed ? "m-2" : "m-3";
    auto client = Acquire();
    if (noticed) Ready(lost);
    Lines lines;
    if (noticed) {
      ASSERT_TRUE(Interrupt(lost, absl::Seconds(9)).ok());
      Ready(next);
      client->lease.reset();
      client = Acquire();
      Advance(absl::Seconds(9));
      Gone(lost);
    } else {
      Gone(lost, absl::UnavailableError("taken away"));
      client->lease.reset();
      client = Acquire();
      Ready(next);
    }
    EXPECT_TRUE(client->lease.has_value());
    EXPECT_EQ(lines.Without(absl::StrCat("interruption ", lost, "/")), std::vector<std::string>());
    EXPECT_GE(lines.size(), 6);
  }
}

}  // namespace
}  // namespace spotinference::fleet
