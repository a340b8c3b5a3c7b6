#include "gateway/session/session.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/fake_clock.h"
#include "gateway/openai/api_error.h"
#include "gateway/session/fake_engine.h"
#include "gateway/session/fake_fleet.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

namespace api = engine::v1;
using fleet::AcquireError;

// Ids are the places of these pieces; the last one is a control token.
const std::vector<std::string> kPieces = {"Hel", "lo", " wor", "ld", "\xe2", "\x82\xac", "!", "<|end|>"};
constexpr uint32_t kHel = 0, kLo = 1, kWor = 2, kLd = 3, kEuro1 = 4, kEuro2 = 5, kBang = 6, kEnd = 7;

class FakeTokenizer : public Tokenizer {
 public:
  std::vector<uint32_t> Encode(std::string_view, const EncodeOptions&) const override { return {}; }
  std::string_view Piece(uint32_t id) const override { return kPieces[id]; }
  std::optional<uint32_t> Find(std::string_view) const override { return std::nullopt; }
  bool IsSpecial(uint32_t id) const override { return id == kEnd; }
  uint32_t vocabulary_size() const override { return kPieces.size(); }
  bool adds_space() const override { return false; }
};

// What the client would have seen. Outlives the sink.
struct Answer {
  struct Choice {
    std::string text;
    int pieces = 0;
    std::vector<std::vector<uint32_t>> tokens;  // of each call that had some
    std::optional<api::FinishReason> finish;
  };

  void AwaitGone() { Await([this] { return gone; }); }
  void AwaitPieces(int index, int count) {
    Await([&] { return choices[index].pieces >= count; });
  }
  void AwaitSilences(size_t count) {
    Await([&] { return silences.size() >= count; });
  }
  int pieces(int index) {
    absl::MutexLock lock(&mutex);
    return choices[index].pieces;
  }
  template <typename Condition>
  void Await(const Condition& condition) {
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&condition));
  }

  absl::Mutex mutex;
  bool pause = false;  // the sink always asks for a pause
  std::string started_at;
  std::map<int, Choice> choices;
  std::vector<std::string> silences;  // the stage, or ""
  std::optional<AnswerUsage> usage;
  absl::Status error;
  bool gone = false;  // the sink was destroyed
};

class FakeSink : public AnswerSink {
 public:
  explicit FakeSink(Answer& answer) : answer_(answer) {}
  ~FakeSink() override {
    absl::MutexLock lock(&answer_.mutex);
    answer_.gone = true;
  }
  void OnStart(const fleet::Endpoint& endpoint) override {
    absl::MutexLock lock(&answer_.mutex);
    EXPECT_EQ(answer_.started_at, "");
    answer_.started_at = endpoint.machine_id;
  }
  bool OnText(int index, std::string_view text, absl::Span<const AnswerToken> tokens) override {
    absl::MutexLock lock(&answer_.mutex);
    EXPECT_TRUE(Open());
    EXPECT_NE(answer_.started_at, "");
    Answer::Choice& choice = answer_.choices[index];
    EXPECT_FALSE(choice.finish.has_value());
    EXPECT_FALSE(text.empty() && tokens.empty());
    choice.text += text;
    ++choice.pieces;
    if (!tokens.empty()) {
      std::vector<uint32_t>& ids = choice.tokens.emplace_back();
      for (const AnswerToken& token : tokens) {
        ids.push_back(token.id);
        EXPECT_EQ(token.logprob, -1.0f - token.id);
        EXPECT_EQ(token.top.size(), 2);
      }
    }
    return !answer_.pause;
  }
  bool OnFinish(int index, api::FinishReason reason) override {
    absl::MutexLock lock(&answer_.mutex);
    EXPECT_TRUE(Open());
    EXPECT_FALSE(answer_.choices[index].finish.has_value());
    answer_.choices[index].finish = reason;
    return !answer_.pause;
  }
  void OnSilence(const std::optional<fleet::WakeProgress>& waking) override {
    absl::MutexLock lock(&answer_.mutex);
    EXPECT_TRUE(Open());
    answer_.silences.push_back(waking.has_value() ? waking->stage : "");
  }
  void OnDone(const AnswerUsage& usage) override {
    absl::MutexLock lock(&answer_.mutex);
    EXPECT_TRUE(Open());
    answer_.usage = usage;
  }
  void OnError(const absl::Status& status) override {
    absl::MutexLock lock(&answer_.mutex);
    EXPECT_TRUE(Open());
    answer_.error = status;
  }

 private:
  bool Open() { return !answer_.usage.has_value() && answer_.error.ok(); }
  Answer& answer_;
};

api::GenerateEvent Event(uint32_t index, uint32_t id, api::FinishReason finish = api::FINISH_REASON_NONE) {
  api::GenerateEvent event;
  event.set_index(index);
  event.set_id(id);
  event.set_finish_reason(finish);
  return event;
}

api::GenerateEvent WithLogprobs(api::GenerateEvent event) {
  event.mutable_logprob()->set_id(event.id());
  event.mutable_logprob()->set_logprob(-1.0f - event.id());
  event.add_top_logprobs()->set_id(0);
  event.add_top_logprobs()->set_id(1);
  return event;
}

class SessionTest : public testing::Test {
 protected:
  SessionTest() { request_.first_silence = absl::InfiniteDuration(); }

  // Prompts are of 10, 11, … tokens.
  void Start(int prompts = 1, int n = 1) {
    request_.model = "m";
    request_.tokenizer = tokenizer_;
    request_.sequences_per_prompt = n;
    for (int i = 0; i < prompts * n; ++i) {
      api::GenerateRequest& sequence = request_.sequences.emplace_back();
      for (int t = 0; t < 10 + i / n; ++t) sequence.add_prompt_ids(0);
      sequence.mutable_sampling()->set_choice(i);
    }
    session_ = std::make_shared<Session>(SessionContext{fleet_, engines_, timers_, clock_}, request_,
                                         std::make_unique<FakeSink>(answer_));
    session_->Start();
  }
  fleet::Endpoint Endpoint(const std::string& machine) {
    return {machine, engine_.address(), "secret", "hash-of-m", "numerics"};
  }
  void ServeAtOnce() { fleet_.ServeAt(Endpoint("m1")); }
  // Everything has been let go of.
  void AwaitEnd() {
    answer_.AwaitGone();
    fleet_.AwaitReleased();
  }
  int HttpStatus() { return answer_.error.ok() ? 200 : openai::ToApiError(answer_.error).http_status; }

  FakeEngine engine_;
  FakeClock clock_;
  fleet::FakeFleet fleet_;
  Answer answer_;
  EngineClient engines_;
  Timers timers_;
  const std::shared_ptr<const Tokenizer> tokenizer_ = std::make_shared<FakeTokenizer>();
  SessionRequest request_;
  std::shared_ptr<Session> session_;
};

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

TEST_F(SessionTest, AnEngineLostBeforeTheFirstIdIsReplaced) {
  Start(1, 2);
  fleet_.Resolve(Endpoint("m1"));
  engine_.AwaitCall(1);
  engine_.AwaitCall(0)->End({grpc::StatusCode::UNAVAILABLE, "gone"});
  fleet_.AwaitAcquired(2);
  engine_.AwaitCall(1)->AwaitCancelled();  // the other choice goes along
  fleet_.Resolve(Endpoint("m2"));
  for (const uint32_t choice : {0, 1}) engine_.AwaitCall(choice, 2)->Send(Event(0, kHel, api::FINISH_REASON_LENGTH));
  AwaitEnd();
  EXPECT_EQ(HttpStatus(), 200);
  EXPECT_EQ(answer_.started_at, "m2");
  EXPECT_EQ(fleet_.broken(), std::vector<std::string>{"m1"});
  EXPECT_EQ(answer_.usage->generated_tokens, 2);
}

TEST_F(SessionTest, ThreeLostEnginesAreEnough) {
  Start();
  for (int attempt = 1; attempt <= 3; ++attempt) {
    fleet_.AwaitAcquired(attempt);
    fleet_.Resolve(Endpoint(absl::StrCat("m", attempt)));
    engine_.AwaitCall(0, attempt)->End({grpc::StatusCode::UNAVAILABLE, "gone"});
  }
  AwaitEnd();
  fleet_.AwaitBroken(3);
  EXPECT_EQ(HttpStatus(), 500);
  EXPECT_EQ(openai::ToApiError(answer_.error).code, openai::ToApiError(openai::ReasonError(openai::Reason::kEngineLost, "")).code);
  EXPECT_EQ(fleet_.acquired(), 3);
}

TEST_F(SessionTest, AnEngineNobodyListensAtIsLost) {
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

TEST_F(SessionTest, AnEngineLostInMidStreamIsAnError) {
  ServeAtOnce();
  Start(1, 2);
  engine_.AwaitCall(0)->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  engine_.AwaitCall(1)->End({grpc::StatusCode::UNAVAILABLE, "gone"});  // which has not even begun
  AwaitEnd();
  fleet_.AwaitBroken(1);
  engine_.AwaitCall(0)->AwaitCancelled();
  EXPECT_EQ(HttpStatus(), 500);
  EXPECT_EQ(fleet_.acquired(), 1);
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
      {grpc::StatusCode::FAILED_PRECONDITION, 500}, {grpc::StatusCode::UNAUTHENTICATED, 500},
      {grpc::StatusCode::OK, 500},  // an end without a last event
  };
  ServeAtOnce();
  int attempt = 0;
  for (const auto& [code, http_status] : cases) {
    Answer answer;
    request_.tokenizer = tokenizer_;
    request_.sequences.resize(1);
    const auto session = std::make_shared<Session>(SessionContext{fleet_, engines_, timers_, clock_}, request_,
                                                   std::make_unique<FakeSink>(answer));
    session->Start();
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
    const auto session = std::make_shared<Session>(SessionContext{fleet_, engines_, timers_, clock_}, request_,
                                                   std::make_unique<FakeSink>(answer));
    session->Start();
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
    const auto session = std::make_shared<Session>(SessionContext{fleet_, engines_, timers_, clock_}, request_,
                                                   std::make_unique<FakeSink>(answer));
    session->Start();
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
  answer_.AwaitSilences(2);  // before the first id it speaks at each tick
  fleet_.Resolve(Endpoint("m1"));
  engine_.AwaitCall()->Send(Event(0, kHel));
  answer_.AwaitPieces(0, 1);
  size_t silences;
  {
    absl::MutexLock lock(&answer_.mutex);
    silences = answer_.silences.size();
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
