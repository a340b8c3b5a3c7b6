// Answers that go on at another engine: cut at every kind of place, they are the answers that were never cut.
#include <memory>
#include <string>
#include <vector>

#include "engine/api/status.h"
#include "engine/base/captured_log.h"
#include "gateway/openai/api_error.h"
#include "gateway/session/session_fixture.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using fleet::AcquireError;

TEST_F(SessionResumeTest, TheAnswerGoesOnAtTheNextIndex) {
  StartOnM1();
  const auto first = engine_.AwaitCall();
  EXPECT_EQ(Generated(*first), Ids());
  Send(*first, {kHel, kLo}, 0, 2, api::FINISH_REASON_NONE);
  answer_.AwaitPieces(0, 2);
  first->End(kGone);
  const auto second = Resumed();
  api::GenerateRequest expected = first->request();
  expected.add_generated_ids(kHel);
  expected.add_generated_ids(kLo);
  EXPECT_EQ(second->request().SerializeAsString(), expected.SerializeAsString());
  Send(*second, {kHel, kLo, kWor, kLd, kEnd}, 2, 5, api::FINISH_REASON_STOP);
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello world");
  EXPECT_EQ(answer_.choices[0].finish, api::FINISH_REASON_STOP);
  EXPECT_EQ(answer_.started_at, "m1");
  EXPECT_EQ(answer_.usage->generated_tokens, 5);
  EXPECT_EQ(answer_.usage->prompt_tokens, 10);
  ASSERT_EQ(answer_.resumes.size(), 1);
  EXPECT_EQ(answer_.resumes[0].reason, "lost");
  EXPECT_TRUE(answer_.resumes[0].exact);
  EXPECT_EQ(fleet_.broken(), std::vector<std::string>{"m1"});
}

// Who looks for an interruption's id in the log finds the answers that it cut, where they went and why.
TEST_F(SessionResumeTest, TheLogSaysUnderTheInterruptionsIdWhatBecameOfTheAnswer) {
  const CapturedLog log("interruption m1/7");
  Start();
  fleet::Endpoint first = Endpoint("m1");
  first.life = "m1/7";
  fleet_.Resolve(first);
  engine_.AwaitCall()->Send(Event(0, kHel));
  engine_.AwaitCall()->End(kGone);
  Resumed()->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(log.text(), "an answer of m leaves m1, interruption m1/7: gone\n"
                         "an answer of m goes on at m2, interruption m1/7: lost, exact\n");
}

TEST_F(SessionResumeTest, ANoticeIsTheReason) {
  StartOnM1();
  api::Notice notice;
  notice.set_kind(api::Notice::KIND_STOP);
  engine_.AwaitCall()->Send(Event(0, kHel));
  engine_.AwaitCall()->End(ToGrpc(NoticedError(notice)));
  Resumed()->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello");
  ASSERT_EQ(answer_.resumes.size(), 1);
  EXPECT_EQ(answer_.resumes[0].reason, "notice");
}

TEST_F(SessionResumeTest, ANoticeThatAnEngineServesThroughIsToldToTheFleetOnce) {
  StartOnM1();
  const auto call = engine_.AwaitCall();
  api::GenerateEvent event = Event(0, kHel);
  event.set_noticed(true);
  call->Send(event);
  fleet_.AwaitNoticed(1);
  EXPECT_EQ(fleet_.noticed(), std::vector<std::string>{"m1"});
  event = Event(1, kLo);
  event.set_noticed(true);
  call->Send(event);
  Send(*call, {kHel, kLo, kWor, kLd, kEnd}, 2, 5, api::FINISH_REASON_STOP);
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello world");
  EXPECT_EQ(fleet_.noticed().size(), 1);
  EXPECT_EQ(fleet_.acquired(), 1);
}

// What gRPC and a stopping engine make of a cut, beside UNAVAILABLE; and what another engine says that has the port of one
// that is gone: it knows neither the token nor the model.
TEST_F(SessionResumeTest, AStreamThatWasResetIsACutToo) {
  StartOnM1();
  int cuts = 0;
  for (const grpc::StatusCode code :
       {grpc::StatusCode::CANCELLED, grpc::StatusCode::UNKNOWN, grpc::StatusCode::INTERNAL,
        grpc::StatusCode::UNAUTHENTICATED, grpc::StatusCode::FAILED_PRECONDITION}) {
    engine_.AwaitCall(0, ++cuts)->End({code, "reset"});
    Resumed(cuts);
  }
  engine_.AwaitCall(0, cuts + 1)->Send(Event(0, kEnd, api::FINISH_REASON_STOP));
  AwaitEnd();
  EXPECT_EQ(HttpStatus(), 200);
}

TEST_F(SessionResumeTest, OnlyTheChoicesThatHaveNotEndedGoOn) {
  StartOnM1(/*n=*/3);
  engine_.AwaitCall(0)->Send(Event(0, kHel));
  engine_.AwaitCall(1)->Send(Event(0, kBang, api::FINISH_REASON_LENGTH));
  answer_.AwaitPieces(0, 1);
  answer_.Await([&] { return answer_.choices[1].finish.has_value(); });
  engine_.AwaitCall(2)->End(kGone);  // which has said nothing yet
  engine_.AwaitCall(0)->AwaitCancelled();
  EXPECT_EQ(Generated(*Resumed(1, 0)), Ids{kHel});
  EXPECT_EQ(Generated(*engine_.AwaitCall(2, 2)), Ids());
  engine_.AwaitCall(2, 2)->Send(Event(0, kWor, api::FINISH_REASON_LENGTH));
  engine_.AwaitCall(0, 2)->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello");
  EXPECT_EQ(answer_.choices[1].text, "!");
  EXPECT_EQ(answer_.choices[2].text, " wor");
  EXPECT_EQ(answer_.usage->generated_tokens, 4);
  EXPECT_EQ(engine_.calls(), 5);  // choice 1 was asked for once
}

// Wherever the cut is: text, logprobs and their grouping are those of the answer without one.
TEST_F(SessionResumeTest, EveryPlaceOfACutGivesTheSameAnswer) {
  const Ids ids = {kHel, kEuro1, kEuro2, kLo, kWor, kBang, kEnd};  // a character and a stop string over two tokens
  request_.stop = {"lo wox"};
  for (size_t cut = 0; cut < ids.size(); ++cut) {
    SCOPED_TRACE(cut);
    Answer answer;
    SessionRequest request = request_;
    request.tokenizer = tokenizer_;
    request.sequences.resize(1);
    request.sequences[0].add_prompt_ids(0);
    request.sequences[0].set_logprobs(true);
    fleet_.ServeAt(Endpoint("m"));
    const auto session = StartSession(request, answer);
    const auto first = engine_.AwaitCall(0, static_cast<int>(2 * cut + 1));
    Send(*first, ids, 0, cut, api::FINISH_REASON_STOP);
    first->End(kGone);  // after the ids: a call ends when its events have been taken
    const auto second = engine_.AwaitCall(0, static_cast<int>(2 * cut + 2));
    EXPECT_EQ(Generated(*second), Ids(ids.begin(), ids.begin() + cut));
    Send(*second, ids, cut, ids.size(), api::FINISH_REASON_STOP);
    answer.AwaitGone();
    EXPECT_EQ(answer.choices[0].text, "Hel€lo wor!");
    const std::vector<Ids> tokens = {{kHel}, {kEuro1, kEuro2}, {kLo, kWor}, {kBang}};
    EXPECT_EQ(answer.choices[0].tokens, tokens);
    EXPECT_EQ(answer.choices[0].finish, api::FINISH_REASON_STOP);
    EXPECT_EQ(answer.usage->generated_tokens, ids.size());
    EXPECT_EQ(answer.resumes.size(), 1);
  }
}

TEST_F(SessionResumeTest, AStopStringThatTheCutSplitsEndsTheAnswer) {
  request_.stop = {"lo wo"};
  StartOnM1();
  Send(*engine_.AwaitCall(), {kHel, kLo}, 0, 2, api::FINISH_REASON_NONE);
  engine_.AwaitCall()->End(kGone);
  const auto second = Resumed();
  second->Send(Event(2, kWor));
  second->AwaitCancelled();
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hel");
  EXPECT_EQ(answer_.choices[0].finish, api::FINISH_REASON_STOP);
  EXPECT_EQ(answer_.usage->generated_tokens, 3);
}

TEST_F(SessionResumeTest, BeforeTheFirstTokenItStartsAtTheNextEngine) {
  StartOnM1(/*n=*/2);
  engine_.AwaitCall(1);
  engine_.AwaitCall(0)->End(kGone);
  engine_.AwaitCall(1)->AwaitCancelled();  // the other choice goes along
  Resumed(1, 1);
  api::GenerateEvent first = Event(0, kHel, api::FINISH_REASON_LENGTH);
  first.set_cached_tokens(4);
  for (const uint32_t choice : {0, 1}) engine_.AwaitCall(choice, 2)->Send(first);
  AwaitEnd();
  EXPECT_EQ(answer_.started_at, "m2");
  EXPECT_EQ(answer_.usage->generated_tokens, 2);
  EXPECT_EQ(answer_.usage->cached_tokens, 4);
}

TEST_F(SessionResumeTest, AnEngineNobodyListensAtIsLost) {
  std::string dead;
  {
    const FakeEngine gone;
    dead = gone.address();
  }
  Start();
  fleet_.Resolve(fleet::Endpoint{"m1", dead, "", "", ""});
  fleet_.AwaitAcquired(2);
  fleet_.Resolve(Endpoint("m2"));
  engine_.AwaitCall()->Send(Event(0, kHel, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hel");
}

// The last id has come without the word that it is the last: no engine is asked what the ids say.
TEST_F(SessionResumeTest, AtTheLastTokenTheAnswerIsWhole) {
  for (const bool stop_id : {false, true}) {
    Answer answer;
    SessionRequest request = request_;
    request.tokenizer = tokenizer_;
    request.sequences.resize(1);
    request.sequences[0].add_prompt_ids(0);
    request.sequences[0].set_max_tokens(2);
    request.sequences[0].add_stop_ids(kBang);  // a token with a text that must not be seen
    fleet_.ServeAt(Endpoint("m"));
    const auto session = StartSession(request, answer);
    const auto call = engine_.AwaitCall(0, stop_id ? 2 : 1);
    call->Send(Event(0, kHel));
    call->Send(Event(1, stop_id ? kBang : kLo));
    call->End(kGone);
    answer.AwaitGone();
    EXPECT_EQ(answer.choices[0].text, stop_id ? "Hel" : "Hello");
    EXPECT_EQ(answer.choices[0].finish, stop_id ? api::FINISH_REASON_STOP : api::FINISH_REASON_LENGTH);
    EXPECT_EQ(answer.usage->generated_tokens, 2);
    EXPECT_TRUE(answer.resumes.empty());
  }
  EXPECT_EQ(engine_.calls(), 2);
}

TEST_F(SessionResumeTest, AConstraintGoesAlongWithItsIds) {
  request_.sequences.resize(1);
  request_.sequences[0].mutable_constraint()->set_json_schema(R"({"type":"object"})");
  Start(0);
  fleet_.Resolve(Endpoint("m1"));
  Send(*engine_.AwaitCall(), {kHel, kLo}, 0, 2, api::FINISH_REASON_NONE);
  engine_.AwaitCall()->End(kGone);
  const auto second = Resumed();
  EXPECT_EQ(second->request().constraint().json_schema(), R"({"type":"object"})");
  EXPECT_EQ(Generated(*second), (Ids{kHel, kLo}));
  second->Send(Event(2, kEnd, api::FINISH_REASON_STOP));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello");
}

TEST_F(SessionResumeTest, CutsInARow) {
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  engine_.AwaitCall()->End(kGone);
  Resumed(1)->End(kGone);  // without a word
  const auto third = Resumed(2);
  EXPECT_EQ(Generated(*third), Ids{kHel});
  third->Send(Event(1, kLo));
  third->End(kGone);
  const auto fourth = Resumed(3);
  EXPECT_EQ(Generated(*fourth), (Ids{kHel, kLo}));
  fourth->Send(Event(2, kBang, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello!");
  EXPECT_EQ(answer_.usage->generated_tokens, 3);
  EXPECT_EQ(answer_.resumes.size(), 3);
}

// Choice 0 is being told ids by the old engine while choice 1's end begins a new attempt: whichever of them still came
// counts once.
TEST_F(SessionResumeTest, LateEventsOfAnOldAttemptAreDropped) {
  const Ids ids(40, kHel);
  fleet_.ServeAt(Endpoint("m"));
  int calls = 0;  // of choice 0
  for (int round = 0; round < 30; ++round) {
    Answer answer;
    SessionRequest request = request_;
    request.tokenizer = tokenizer_;
    request.sequences.resize(2);
    request.sequences_per_prompt = 2;
    for (int i = 0; i < 2; ++i) request.sequences[i].mutable_sampling()->set_choice(i);
    const auto session = StartSession(request, answer);
    const auto old = engine_.AwaitCall(0, ++calls);
    engine_.AwaitCall(1, 2 * round + 1)->End(kGone);
    Send(*old, ids, 0, ids.size(), api::FINISH_REASON_LENGTH);
    engine_.AwaitCall(1, 2 * round + 2)->Send(Event(0, kBang, api::FINISH_REASON_LENGTH));
    // Where the old engine had said all of choice 0, no other one is asked for it.
    std::shared_ptr<FakeEngine::Call> current;
    while (current == nullptr && !answer.Gone()) current = engine_.AwaitCall(0, calls + 1, absl::Milliseconds(1));
    if (current != nullptr) {
      ++calls;
      Send(*current, ids, current->request().generated_ids_size(), ids.size(), api::FINISH_REASON_LENGTH);
    }
    answer.AwaitGone();
    EXPECT_EQ(answer.choices[0].pieces, ids.size());
    EXPECT_EQ(answer.usage->generated_tokens, ids.size() + 1);
  }
}

TEST_F(SessionResumeTest, WhatTheModelItselfCannotDoIsNoCut) {
  StartOnM1();
  const auto call = engine_.AwaitCall();
  Send(*call, {kHel}, 0, 1, api::FINISH_REASON_NONE);
  answer_.AwaitPieces(0, 1);
  call->End({grpc::StatusCode::DATA_LOSS, "none of 3 logits is finite"});
  AwaitEnd();
  EXPECT_EQ(openai::ToApiError(answer_.error).code, "engine_lost");
  EXPECT_EQ(answer_.error.message(), "the model cannot go on: none of 3 logits is finite");
  EXPECT_TRUE(answer_.resumes.empty());
  EXPECT_TRUE(fleet_.broken().empty());
}

TEST_F(SessionResumeTest, PastTheBoundItEndsWithAnErrorAndNeverCleanly) {
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  for (int cuts = 1; cuts <= static_cast<int>(kMostVainCuts); ++cuts) {
    engine_.AwaitCall(0, cuts)->End(kGone);
    Resumed(cuts);
  }
  engine_.AwaitCall(0, kMostVainCuts + 1)->End(kGone);
  AwaitEnd();
  fleet_.AwaitBroken(kMostVainCuts + 1);
  EXPECT_EQ(HttpStatus(), 500);
  EXPECT_EQ(openai::ToApiError(answer_.error).code, "engine_lost");
  EXPECT_FALSE(answer_.choices[0].finish.has_value());
  EXPECT_FALSE(answer_.usage.has_value());
  EXPECT_EQ(fleet_.acquired(), kMostVainCuts + 1);
}

// However often it is cut: what is said is never said in vain.
TEST_F(SessionResumeTest, AnAnswerThatGetsSomewhereIsNeverGivenUp) {
  const int cuts = kMostVainCuts + 5;
  StartOnM1();
  for (int id = 0; id < cuts; ++id) {
    const auto call = id == 0 ? engine_.AwaitCall() : Resumed(id);
    EXPECT_EQ(Generated(*call), Ids(id, kHel));
    call->Send(Event(id, kHel));
    call->End(kGone);
  }
  Resumed(cuts)->Send(Event(cuts, kBang, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.usage->generated_tokens, cuts + 1);
  EXPECT_EQ(answer_.resumes.size(), cuts);
}

TEST_F(SessionResumeTest, AnotherNumericsIdGoesOnAndIsNotExact) {
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  engine_.AwaitCall()->End(kGone);
  fleet::Endpoint other = Endpoint("m2");
  other.numerics_id = "other";
  fleet_.Resolve(other);
  engine_.AwaitCall(0, 2)->Send(Event(1, kLo));
  engine_.AwaitCall(0, 2)->End(kGone);
  fleet_.AwaitAcquired(3);
  other.machine_id = "m3";
  fleet_.Resolve(other);
  engine_.AwaitCall(0, 3)->Send(Event(2, kBang, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello!");
  ASSERT_EQ(answer_.resumes.size(), 2);
  EXPECT_FALSE(answer_.resumes[0].exact);
  EXPECT_TRUE(answer_.resumes[1].exact);
}

TEST_F(SessionResumeTest, SilenceDuringAResumeGetsAWord) {
  request_.silence = absl::Milliseconds(1);
  fleet_.SetProgress(fleet::WakeProgress{"booting", absl::Seconds(3)});
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  engine_.AwaitCall()->End(kGone);
  fleet_.AwaitAcquired(2);
  clock_.Advance(absl::Milliseconds(1));
  answer_.AwaitSilences(1);
  {
    absl::MutexLock lock(&answer_.mutex);
    EXPECT_EQ(answer_.silences[0], "booting");
  }
  Resumed()->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello");
}

TEST_F(SessionResumeTest, AnEngineThatSaysNothingIsAskedAfterAndLeftWhenItHangs) {
  request_.silence = absl::Milliseconds(1);  // ticks; the fake clock decides
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  const auto life = fleet_.last_life();
  EXPECT_TRUE(life->served());
  clock_.Advance(kEngineSilence);
  fleet_.AwaitBroken(1);
  EXPECT_EQ(fleet_.acquired(), 1);  // it is well, as far as anybody knows
  life->EndBy(fleet::MachineLife::End::kHang);
  clock_.Advance(kHealthKnown);
  const auto second = Resumed();
  engine_.AwaitCall()->AwaitCancelled();
  second->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello");
  EXPECT_EQ(answer_.resumes[0].reason, "hang");
}

// Some 8 KiB of prompt: it is sent whole again, and what the first engine had computed of it counts for nothing.
TEST_F(SessionResumeTest, ACutDuringALongPrefill) {
  constexpr int kPrompt = 2000;
  request_.sequences.resize(1);
  for (int i = 0; i < kPrompt; ++i) request_.sequences[0].add_prompt_ids(i % kEnd);
  request_.sequences[0].mutable_sampling()->set_seed(7);
  request_.first_silence = request_.silence = absl::Milliseconds(1);  // ticks; the fake clock decides
  Start(0);
  fleet_.Resolve(Endpoint("m1"));
  const auto first = engine_.AwaitCall();
  clock_.Advance(absl::Milliseconds(1));
  answer_.AwaitSilences(1);  // it computes, and the client hears that nothing is lost
  first->End(kGone);
  const auto second = Resumed();
  EXPECT_EQ(second->request().SerializeAsString(), first->request().SerializeAsString());
  EXPECT_EQ(second->request().prompt_ids_size(), kPrompt);
  api::GenerateEvent event = Event(0, kHel, api::FINISH_REASON_LENGTH);
  event.set_cached_tokens(1024);  // what had come to the volume
  second->Send(event);
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hel");
  EXPECT_EQ(answer_.started_at, "m2");
  EXPECT_EQ(answer_.usage->prompt_tokens, kPrompt);
  EXPECT_EQ(answer_.usage->cached_tokens, 1024);
  EXPECT_EQ(answer_.usage->generated_tokens, 1);
  ASSERT_EQ(answer_.resumes.size(), 1);
  EXPECT_TRUE(answer_.resumes[0].exact);
}

// A long prefill: while its health is asked after, nobody else is sent to an engine.
TEST_F(SessionResumeTest, AnEngineThatIsWellIsAskedAgainOnlyAfterAnotherSilence) {
  request_.silence = absl::Milliseconds(1);  // ticks; the fake clock decides
  StartOnM1();
  engine_.AwaitCall();
  for (size_t questions = 1; questions <= 3; ++questions) {
    clock_.Advance(kEngineSilence);
    fleet_.AwaitBroken(questions);
    clock_.Advance(kHealthKnown);
    fleet_.AwaitProgress(4);
    clock_.Advance(kEngineSilence - absl::Milliseconds(1));
    fleet_.AwaitProgress(4);
    EXPECT_EQ(fleet_.broken().size(), questions);
  }
  EXPECT_EQ(fleet_.acquired(), 1);
  session_->Cancel();
  AwaitEnd();
}

TEST_F(SessionResumeTest, AClientThatLeavesDuringAResumeFreesEverything) {
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  engine_.AwaitCall()->End(kGone);
  fleet_.AwaitAcquired(2);
  session_->Cancel();
  fleet_.AwaitCancelled(1);
  AwaitEnd();
  EXPECT_FALSE(answer_.usage.has_value());
  EXPECT_TRUE(answer_.error.ok());
}

// It ran alone on an engine that crashed: no other one is to, and the client is told not to try again.
TEST_F(SessionResumeTest, AnAnswerThatCrashesEnginesEndsWithAnError) {
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  engine_.AwaitCall()->End(kGone);
  fleet_.AwaitAcquired(2);
  fleet_.Resolve(AcquireError{AcquireError::Reason::kPoison, "every engine that worked on it crashed"});
  AwaitEnd();
  EXPECT_EQ(HttpStatus(), 500);
  EXPECT_EQ(answer_.error.message(), "every engine that worked on it crashed");
  EXPECT_FALSE(answer_.choices[0].finish.has_value());
  EXPECT_FALSE(answer_.usage.has_value());
}

TEST_F(SessionResumeTest, WhatTheFleetRefusesInMidStreamIsSaid) {
  StartOnM1();
  engine_.AwaitCall()->Send(Event(0, kHel));
  engine_.AwaitCall()->End(kGone);
  fleet_.AwaitAcquired(2);
  fleet_.Resolve(AcquireError{AcquireError::Reason::kWakeTimeout, "it did not wake"});
  AwaitEnd();
  EXPECT_EQ(HttpStatus(), 504);
  EXPECT_FALSE(answer_.choices[0].finish.has_value());
}

}  // namespace
}  // namespace spotinference
