#include "gateway/session/session.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gateway/openai/api_error.h"
#include "gateway/session/session_fixture.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using fleet::AcquireError;

TEST_F(SessionTest, TextComesInWholeCharactersAndEndsWithTheStopToken) {
  ServeAtOnce();
  Start();
  const auto call = engine_.AwaitCall();
  EXPECT_EQ(call->request().model_hash(), "hash-of-m");
  EXPECT_EQ(call->authorization(), "Bearer secret");
  call->Send(Event(0, kHel));
  call->Send(Event(1, kLo));
  call->Send(Event(2, kEuro1));
  call->Send(Event(3, kEuro2));
  call->Send(Event(4, kEuro1));
  call->Send(Event(5, kEnd, api::FINISH_REASON_STOP));
  AwaitEnd();
  call->End(grpc::Status::OK);
  EXPECT_EQ(answer_.started_at, "m1");
  EXPECT_EQ(answer_.choices[0].text, "Hello€\xef\xbf\xbd");  // half a character at the end becomes U+FFFD
  EXPECT_EQ(answer_.choices[0].pieces, 4);
  EXPECT_EQ(answer_.choices[0].finish, api::FINISH_REASON_STOP);
  ASSERT_TRUE(answer_.usage.has_value());
  EXPECT_EQ(answer_.usage->generated_tokens, 6);
}

// For the load and the service that the fleet plans with.
TEST_F(SessionTest, TheFleetHearsHowLongTheFirstTokenTook) {
  ServeAtOnce();
  Start();
  const auto call = engine_.AwaitCall();
  clock_.Advance(absl::Seconds(3));
  api::GenerateEvent first = Event(0, kHel);
  first.set_waited_ms(2500);
  call->Send(first);
  answer_.AwaitPieces(0, 1);
  clock_.Advance(absl::Seconds(1));
  call->Send(Event(1, kEnd, api::FINISH_REASON_STOP));
  AwaitEnd();
  EXPECT_EQ(fleet_.last_use().tokens, 2);
  EXPECT_EQ(fleet_.last_use().queued, absl::Milliseconds(2500));
  EXPECT_EQ(fleet_.last_use().waited, absl::Seconds(3));
}

TEST_F(SessionTest, TheFleetHearsHowLongAClientWaitedInVain) {
  ServeAtOnce();
  Start();
  const auto call = engine_.AwaitCall();
  clock_.Advance(absl::Seconds(4));
  session_->Cancel();
  call->AwaitCancelled();
  fleet_.AwaitReleased();
  EXPECT_EQ(fleet_.last_use().tokens, 0);
  EXPECT_EQ(fleet_.last_use().waited, absl::Seconds(4));
}

TEST_F(SessionTest, TheFleetHearsThatAnEngineTurnedARequestAway) {
  ServeAtOnce();
  Start();
  engine_.AwaitCall()->End(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full"));
  AwaitEnd();
  EXPECT_EQ(fleet_.last_use().waited, absl::InfiniteDuration());
}

// Prompts and the engine's token are nobody else's affair.
TEST_F(SessionTest, NoProxyComesBetween) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("https_proxy", "http://127.0.0.1:1", 1);
  ServeAtOnce();
  Start();
  const auto call = engine_.AwaitCall();
  unsetenv("http_proxy");
  unsetenv("https_proxy");
  call->Send(Event(0, kEnd, api::FINISH_REASON_STOP));
  AwaitEnd();
  EXPECT_EQ(HttpStatus(), 200);
}

TEST_F(SessionTest, AStopStringAcrossTokensEndsTheSequenceAtTheEngine) {
  ServeAtOnce();
  request_.stop = {"lo wo"};
  Start();
  const auto call = engine_.AwaitCall();
  for (const uint32_t id : {kHel, kLo, kWor, kLd}) call->Send(Event(id, id));
  call->AwaitCancelled();
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hel");
  EXPECT_EQ(answer_.choices[0].finish, api::FINISH_REASON_STOP);
  EXPECT_EQ(answer_.usage->generated_tokens, 3);
}

TEST_F(SessionTest, WhatAStopStringHeldBackComesWithTheEnd) {
  ServeAtOnce();
  request_.stop = {"lo wox"};
  Start();
  const auto call = engine_.AwaitCall();
  for (const uint32_t id : {kHel, kLo}) call->Send(Event(id, id));
  call->Send(Event(2, kLo, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hellolo");
  EXPECT_EQ(answer_.choices[0].finish, api::FINISH_REASON_LENGTH);
}

TEST_F(SessionTest, SeveralPromptsWithSeveralChoices) {
  ServeAtOnce();
  Start(/*prompts=*/2, /*n=*/2);
  for (uint32_t i = 0; i < 4; ++i) {
    api::GenerateEvent first = Event(0, i);
    first.set_cached_tokens(3 + i);
    engine_.AwaitCall(i)->Send(first);
  }
  for (const uint32_t i : {2, 0, 3, 1}) engine_.AwaitCall(i)->Send(Event(1, kBang, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(answer_.choices[i].text, kPieces[i] + "!");
  EXPECT_EQ(answer_.usage->prompt_tokens, 10 + 11);
  EXPECT_EQ(answer_.usage->cached_tokens, 3 + 5);  // of each prompt once
  EXPECT_EQ(answer_.usage->generated_tokens, 8);
}

TEST_F(SessionTest, LogprobsComeWithTheTextOfTheirTokens) {
  ServeAtOnce();
  request_.stop = {"!!"};
  Start();
  const auto call = engine_.AwaitCall();
  const std::vector<uint32_t> ids = {kHel, kEuro1, kEuro2, kLo, kBang};
  for (uint32_t i = 0; i < ids.size(); ++i) call->Send(WithLogprobs(Event(i, ids[i])));
  call->Send(WithLogprobs(Event(5, kEnd, api::FINISH_REASON_STOP)));
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hel€lo!");
  const std::vector<std::vector<uint32_t>> tokens = {{kHel}, {kEuro1, kEuro2}, {kLo}, {kBang}};
  EXPECT_EQ(answer_.choices[0].tokens, tokens);
}

TEST_F(SessionTest, APausedSinkGetsOnePieceForEachContinue) {
  ServeAtOnce();
  answer_.pause = true;
  Start();
  const auto call = engine_.AwaitCall();
  for (uint32_t i = 0; i < 50; ++i) call->Send(Event(i, kHel, i == 49 ? api::FINISH_REASON_LENGTH : api::FINISH_REASON_NONE));
  for (int i = 1; i < 50; ++i) {
    answer_.AwaitPieces(0, i);
    EXPECT_EQ(answer_.pieces(0), i);
    session_->Continue();
  }
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].pieces, 50);
}

TEST_F(SessionTest, APauseHoldsAllChoicesAndContinueFreesAll) {
  ServeAtOnce();
  answer_.pause = true;
  Start(1, 2);
  for (const uint32_t choice : {0, 1}) {
    engine_.AwaitCall(choice)->Send(Event(0, kHel));
    engine_.AwaitCall(choice)->Send(Event(1, kLo, api::FINISH_REASON_LENGTH));
  }
  answer_.AwaitPieces(0, 1);  // each had asked for its first event before the pause
  answer_.AwaitPieces(1, 1);
  {
    absl::MutexLock lock(&answer_.mutex);
    answer_.pause = false;
  }
  session_->Continue();
  AwaitEnd();
  EXPECT_EQ(answer_.choices[0].text, "Hello");
  EXPECT_EQ(answer_.choices[1].text, "Hello");
}

TEST_F(SessionTest, CancelWhileParkedFreesThePlace) {
  Start();
  session_->Cancel();
  fleet_.AwaitCancelled(1);
  AwaitEnd();
  EXPECT_EQ(HttpStatus(), 200);  // nobody is told
}

TEST_F(SessionTest, CancelInMidStreamEndsTheSequences) {
  ServeAtOnce();
  Start(1, 2);
  engine_.AwaitCall(0)->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  engine_.AwaitCall(1);  // one that is cancelled on its way is never heard of there
  session_->Cancel();
  engine_.AwaitCall(0)->AwaitCancelled();
  engine_.AwaitCall(1)->AwaitCancelled();
  AwaitEnd();
  session_->Cancel();
  session_->Continue();
  EXPECT_FALSE(answer_.usage.has_value());
}

TEST_F(SessionTest, CancelWhilePausedEndsTheSequence) {
  ServeAtOnce();
  answer_.pause = true;
  Start();
  engine_.AwaitCall()->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  session_->Cancel();
  engine_.AwaitCall()->AwaitCancelled();
  AwaitEnd();
}

TEST_F(SessionTest, FailEndsWithAnError) {
  ServeAtOnce();
  Start();
  engine_.AwaitCall()->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  session_->Fail(openai::ReasonError(openai::Reason::kShuttingDown, "going"));
  engine_.AwaitCall()->AwaitCancelled();
  AwaitEnd();
  EXPECT_EQ(HttpStatus(), 503);
}

TEST_F(SessionTest, AConstraintThatCannotBeKeptIsSaidAlsoInMidStream) {
  ServeAtOnce();
  Start();
  engine_.AwaitCall()->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  engine_.AwaitCall()->End({grpc::StatusCode::ABORTED, "no token may follow"});
  AwaitEnd();
  EXPECT_EQ(HttpStatus(), 400);
  EXPECT_EQ(openai::ToApiError(answer_.error).param, "response_format");
  EXPECT_TRUE(fleet_.broken().empty());
}

TEST_F(SessionTest, WhatTheEngineRefusesIsSaid) {
  const std::vector<std::pair<grpc::StatusCode, int>> cases = {
      {grpc::StatusCode::INVALID_ARGUMENT, 400}, {grpc::StatusCode::RESOURCE_EXHAUSTED, 429},
      {grpc::StatusCode::ABORTED, 400},
      {grpc::StatusCode::OK, 500},  // an end without a last event
  };
  ServeAtOnce();
  int attempt = 0;
  for (const auto& [code, http_status] : cases) {
    Answer answer;
    request_.tokenizer = tokenizer_;
    request_.sequences.resize(1);
    const auto session = StartSession(request_, answer);
    engine_.AwaitCall(0, ++attempt)->End({code, "because"});
    answer.AwaitGone();
    fleet_.AwaitReleased();
    ASSERT_FALSE(answer.error.ok());
    EXPECT_EQ(openai::ToApiError(answer.error).http_status, http_status) << code;
  }
  EXPECT_EQ(fleet_.acquired(), cases.size());
  EXPECT_TRUE(fleet_.broken().empty());
}

TEST_F(SessionTest, WhatTheFleetRefusesIsSaid) {
  const std::vector<std::pair<AcquireError::Reason, int>> cases = {
      {AcquireError::Reason::kUnknownModel, 404}, {AcquireError::Reason::kQueueFull, 429},
      {AcquireError::Reason::kWakeTimeout, 504},  {AcquireError::Reason::kNoCapacity, 503},
      {AcquireError::Reason::kBackOff, 503},      {AcquireError::Reason::kShutdown, 503},
  };
  for (const auto& [reason, http_status] : cases) {
    Answer answer;
    request_.tokenizer = tokenizer_;
    request_.sequences.resize(1);
    const auto session = StartSession(request_, answer);
    fleet_.Resolve(AcquireError{reason, "so it is", absl::Seconds(7)});
    answer.AwaitGone();
    const openai::ApiError error = openai::ToApiError(answer.error);
    EXPECT_EQ(error.http_status, http_status);
    EXPECT_EQ(error.message, "so it is");
    const bool says_when = std::any_of(error.headers.begin(), error.headers.end(), [](const auto& header) {
      return header.first == "retry-after" && header.second == "7";
    });
    EXPECT_EQ(says_when, http_status == 429 || http_status >= 500) << http_status;
  }
}

TEST_F(SessionTest, AnAnswerThatMakesNoSenseIsAnError) {
  ServeAtOnce();
  const std::vector<std::vector<api::GenerateEvent>> cases = {
      {Event(1, kHel)}, {Event(0, kHel), Event(0, kHel)}, {Event(0, kHel), Event(2, kHel)}, {Event(0, kPieces.size())}};
  int attempt = 0;
  for (const std::vector<api::GenerateEvent>& events : cases) {
    Answer answer;
    request_.tokenizer = tokenizer_;
    request_.sequences.resize(1);
    const auto session = StartSession(request_, answer);
    const auto call = engine_.AwaitCall(0, ++attempt);
    for (const api::GenerateEvent& event : events) call->Send(event);
    call->AwaitCancelled();
    answer.AwaitGone();
    fleet_.AwaitReleased();
    EXPECT_EQ(openai::ToApiError(answer.error).http_status, 500);
  }
}

// Ticks come a real millisecond apart; whether one of them speaks is decided by the fake clock.
TEST_F(SessionTest, SpeaksUpWhenThereIsSilence) {
  request_.first_silence = absl::ZeroDuration();
  request_.silence = absl::Milliseconds(1);
  fleet_.SetProgress(fleet::WakeProgress{"booting", absl::Seconds(3)});
  Start();
  answer_.AwaitSilences(1);
  fleet_.AwaitProgress(4);  // past the first silence it speaks as often as later
  clock_.Advance(absl::Milliseconds(1));
  answer_.AwaitSilences(2);
  fleet_.AwaitProgress(4);
  fleet_.Resolve(Endpoint("m1"));
  engine_.AwaitCall()->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  size_t silences;
  {
    absl::MutexLock lock(&answer_.mutex);
    silences = answer_.silences.size();
    EXPECT_EQ(silences, 2);
    EXPECT_EQ(answer_.silences[0], "booting");
  }
  fleet_.AwaitProgress(4);  // ticks that find that something has just been said
  {
    absl::MutexLock lock(&answer_.mutex);
    EXPECT_EQ(answer_.silences.size(), silences);
  }
  clock_.Advance(absl::Milliseconds(1));
  answer_.AwaitSilences(silences + 1);
  fleet_.AwaitProgress(4);
  session_->Cancel();
  AwaitEnd();
  EXPECT_EQ(answer_.silences.size(), silences + 1);
  EXPECT_EQ(answer_.silences.back(), "");  // nothing wakes any more
}

}  // namespace
}  // namespace spotinference
