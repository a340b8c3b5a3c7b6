// Answers that would keep a machine for nothing: its engine has no room for them, or their client does not read.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway/openai/api_error.h"
#include "gateway/session/session_fixture.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

const grpc::Status kFull(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many sequences wait");

class SessionWaitTest : public SessionResumeTest {};

TEST_F(SessionWaitTest, AnEngineThatIsFullIsLeftForOneThatHasRoom) {
  request_.full_engine = absl::Milliseconds(1);
  StartOnM1();
  const auto first = engine_.AwaitCall();
  Send(*first, {kHel}, 0, 1, api::FINISH_REASON_NONE);
  answer_.AwaitPieces(0, 1);
  first->End(kGone);
  Resumed()->End(kFull);
  fleet_.AwaitAcquired(3);
  EXPECT_EQ(fleet_.leases(), 0) << "it keeps no place where there is none";
  EXPECT_EQ(fleet_.last_claim().cuts.size(), 1) << "a full engine is no cut";
  fleet::Endpoint free = Endpoint("m3");
  free.numerics_id = "other";
  fleet_.Resolve(free);
  const auto again = engine_.AwaitCall(0, 3);
  EXPECT_EQ(Generated(*again), Ids({kHel}));
  Send(*again, {kHel, kLo, kEnd}, 1, 3, api::FINISH_REASON_STOP);
  AwaitEnd();
  EXPECT_EQ(fleet_.broken(), std::vector<std::string>{"m1"});
  EXPECT_EQ(answer_.choices[0].text, "Hello");
  ASSERT_EQ(answer_.resumes.size(), 1);
  EXPECT_FALSE(answer_.resumes[0].exact) << "of the engine that said the next id, not of the full one";
}

// A true status for 15 s, then a comment, and one each 5 s.
TEST(SessionRequestTest, AParkedStreamIsSilentForFifteenSecondsAndThenForFive) {
  EXPECT_EQ(SessionRequest{}.first_silence, absl::Seconds(15));
  EXPECT_EQ(SessionRequest{}.silence, absl::Seconds(5));
}

// More often than it may be cut, and no longer than a request may wait.
TEST_F(SessionWaitTest, FullEnginesAreAskedForAsLongAsARequestMayWait) {
  request_.full_engine = absl::Milliseconds(1);
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  engine_.AwaitCall()->End(kGone);
  fleet_.AwaitAcquired(2);
  const int asks = kMostVainCuts + 5;
  for (int ask = 1; ask <= asks; ++ask) {
    if (ask == asks) clock_.Advance(kLongestFull);
    fleet_.Resolve(Endpoint("m2"));
    engine_.AwaitCall(0, ask + 1)->End(kFull);
    if (ask < asks) fleet_.AwaitAcquired(ask + 2);
  }
  AwaitEnd();
  EXPECT_EQ(HttpStatus(), 503);
  EXPECT_EQ(answer_.error.message(), "every engine of m was full for 9m45s");
  EXPECT_EQ(fleet_.broken().size(), 1);
  EXPECT_EQ(fleet_.last_claim().cuts.size(), 1);
}

// The client has the one choice: the other is not turned away any more, though nothing was cut.
TEST_F(SessionWaitTest, AChoiceThatFoundNoRoomComesBackAsOneThatHasBegun) {
  request_.full_engine = absl::Milliseconds(1);
  StartOnM1(/*n=*/2);
  engine_.AwaitCall(0)->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  engine_.AwaitCall(1)->End(kFull);
  engine_.AwaitCall(1, 2);  // where the other one runs
  EXPECT_EQ(fleet_.acquired(), 1);
  engine_.AwaitCall(0)->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  answer_.Await([&] { return answer_.choices[0].finish.has_value(); });
  engine_.AwaitCall(1, 2)->End(kFull);
  fleet_.AwaitAcquired(2);
  EXPECT_TRUE(fleet_.last_claim().resumes());
  EXPECT_TRUE(fleet_.last_claim().cuts.empty());
  fleet_.Resolve(Endpoint("m2"));
  engine_.AwaitCall(1, 3)->Send(Event(0, kBang, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[1].text, "!");
  EXPECT_TRUE(answer_.resumes.empty());
  EXPECT_EQ(engine_.calls(), 4);  // choice 0 was asked for once
}

// While the choices of an answer begin, one is refused and asked for again: none is asked for twice at a time.
TEST_F(SessionWaitTest, ARefusalAmongManyChoicesIsNoCut) {
  constexpr int kChoices = 400;
  request_.full_engine = absl::ZeroDuration();
  SessionRequest other = request_;  // keeps a connection to m2 open, so that a refusal comes while others still begin
  other.tokenizer = tokenizer_;
  other.sequences.resize(1);
  other.sequences[0].mutable_sampling()->set_choice(kChoices);
  Answer answer;
  const auto keeper = StartSession(other, answer);
  fleet_.Resolve(Endpoint("m2"));
  engine_.AwaitCall(kChoices);
  StartOnM1(kChoices);
  engine_.AwaitCall(0)->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  for (int i = 0; i < kChoices; ++i) engine_.AwaitCall(i);
  engine_.AwaitCall(0)->End(kGone);
  fleet_.AwaitAcquired(3);
  constexpr int kRefusals = 20;
  std::thread full([&] {
    for (int i = 0; i < kRefusals; ++i) engine_.AwaitCall(1, 2 + i)->End(kFull);  // choice 0 is there, if no other yet
  });
  fleet_.Resolve(Endpoint("m2"));
  full.join();
  const auto last = engine_.AwaitCall(1, 2 + kRefusals);  // while the others run, it waits for its turn where they are
  for (int i = 2; i < kChoices; ++i) engine_.AwaitCall(i, 2)->Send(Event(0, kBang, api::FINISH_REASON_LENGTH));
  engine_.AwaitCall(0, 2)->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  last->Send(Event(0, kBang, api::FINISH_REASON_LENGTH));
  answer_.AwaitGone();
  keeper->Cancel();
  AwaitEnd();
  EXPECT_EQ(fleet_.acquired(), 3);
  EXPECT_EQ(fleet_.broken().size(), 1);
  EXPECT_EQ(answer_.resumes.size(), 1);
  EXPECT_EQ(answer_.usage->generated_tokens, kChoices + 1);
}

// A client that does not read is no sign of a sick engine.
TEST_F(SessionWaitTest, APausedAnswerAsksAfterNobody) {
  answer_.pause = true;
  request_.silence = absl::Milliseconds(1);
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  clock_.Advance(kEngineSilence);
  fleet_.AwaitProgress(5);
  EXPECT_TRUE(fleet_.broken().empty());
  session_->Cancel();
  AwaitEnd();
}

// Nothing is read for it, so that its call's end does not come: the lease is given back all the same, or the machine
// could not say goodbye.
TEST_F(SessionWaitTest, APausedAnswerLeavesAMachineThatIsHandedOver) {
  answer_.pause = true;
  StartOnM1();
  const auto first = engine_.AwaitCall();
  first->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  first->Send(Event(1, kLo));  // on its way, and never taken
  first->End(kGone);
  fleet_.last_life()->EndBy(fleet::MachineLife::End::kNotice);
  fleet_.AwaitAcquired(2);
  fleet_.AwaitReleased();
  const auto second = Resumed();
  EXPECT_EQ(Generated(*second), Ids{kHel});
  second->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  EXPECT_EQ(answer_.pieces(0), 1);
  session_->Continue();
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello");
  ASSERT_EQ(answer_.resumes.size(), 1);
  EXPECT_EQ(answer_.resumes[0].reason, "notice");
}

// A client that does not read is not sent more by the engine that goes on.
TEST_F(SessionWaitTest, APausedAnswerStaysPaused) {
  answer_.pause = true;
  StartOnM1(/*n=*/2);
  engine_.AwaitCall(0)->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  engine_.AwaitCall(1)->End(kGone);
  const auto second = Resumed();
  engine_.AwaitCall(1, 2);
  second->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  engine_.AwaitCall(1, 2)->Send(Event(0, kBang, api::FINISH_REASON_LENGTH));
  EXPECT_EQ(answer_.pieces(0), 1);
  EXPECT_EQ(answer_.pieces(1), 0);
  {
    absl::MutexLock lock(&answer_.mutex);
    answer_.pause = false;
  }
  session_->Continue();
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello");
  EXPECT_EQ(answer_.choices[1].text, "!");
}

}  // namespace
}  // namespace spotinference
