// What the tests of sessions share: a vocabulary of eight pieces, a sink that remembers, and a session between a fake
// fleet and a fake engine.
#ifndef GATEWAY_SESSION_SESSION_FIXTURE_H_
#define GATEWAY_SESSION_SESSION_FIXTURE_H_

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
#include "gateway/session/session.h"
#include "gtest/gtest.h"

namespace spotinference {

namespace api = engine::v1;

// Ids are the places of these pieces; the last one is a control token.
inline const std::vector<std::string> kPieces = {"Hel", "lo", " wor", "ld", "\xe2", "\x82\xac", "!", "<|end|>"};
inline constexpr uint32_t kHel = 0, kLo = 1, kWor = 2, kLd = 3, kEuro1 = 4, kEuro2 = 5, kBang = 6, kEnd = 7;

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
  struct Resume {
    std::string reason;
    bool exact;
  };

  bool Gone() {
    absl::MutexLock lock(&mutex);
    return gone;
  }
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
  std::vector<Resume> resumes;
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
  void OnResume(std::string_view reason, bool exact) override {
    absl::MutexLock lock(&answer_.mutex);
    EXPECT_TRUE(Open());
    answer_.resumes.push_back({std::string(reason), exact});
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

inline api::GenerateEvent Event(uint32_t index, uint32_t id, api::FinishReason finish = api::FINISH_REASON_NONE) {
  api::GenerateEvent event;
  event.set_index(index);
  event.set_id(id);
  event.set_finish_reason(finish);
  return event;
}

inline api::GenerateEvent WithLogprobs(api::GenerateEvent event) {
  event.mutable_logprob()->set_id(event.id());
  event.mutable_logprob()->set_logprob(-1.0f - event.id());
  event.add_top_logprobs()->set_id(0);
  event.add_top_logprobs()->set_id(1);
  return event;
}

class SessionTest : public testing::Test {
 protected:
  SessionTest() { request_.first_silence = absl::InfiniteDuration(); }
  // What sessions use outlives them, and gRPC's threads may still be in one whose answer is over.
  ~SessionTest() override {
    session_ = nullptr;
    absl::MutexLock lock(&sessions_mutex_);
    const auto none = [this] { return sessions_ == 0; };
    sessions_mutex_.Await(absl::Condition(&none));
  }

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
    session_ = StartSession(request_, answer_);
  }
  std::shared_ptr<Session> StartSession(SessionRequest request, Answer& answer) {
    {
      absl::MutexLock lock(&sessions_mutex_);
      ++sessions_;
    }
    const std::shared_ptr<Session> session(
        new Session(SessionContext{fleet_, engines_, timers_, clock_}, std::move(request),
                    std::make_unique<FakeSink>(answer)),
        [this](Session* session) {
          delete session;
          absl::MutexLock lock(&sessions_mutex_);
          --sessions_;
        });
    session->Start();
    return session;
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
  absl::Mutex sessions_mutex_;
  int sessions_ = 0;
};

using Ids = std::vector<uint32_t>;

inline const grpc::Status kGone(grpc::StatusCode::UNAVAILABLE, "gone");

// Its first calls are on machine m1; after each cut it goes on at the next one.
class SessionResumeTest : public SessionTest {
 protected:
  // Starts `n` answers to one prompt on machine m1, whose first calls they are.
  void StartOnM1(int n = 1) {
    Start(1, n);
    fleet_.Resolve(Endpoint("m1"));
  }
  // Machine m2, m3, … for the attempt after `cuts` cuts; the call of `choice` there.
  std::shared_ptr<FakeEngine::Call> Resumed(int cuts = 1, uint32_t choice = 0) {
    fleet_.AwaitAcquired(cuts + 1);
    EXPECT_EQ(fleet_.last_claim().cuts.size(), cuts);
    fleet_.Resolve(Endpoint(absl::StrCat("m", cuts + 1)));
    return engine_.AwaitCall(choice, cuts + 1);
  }
  // Ids [from, to) of `ids`, the last of all with `finish`.
  static void Send(FakeEngine::Call& call, const Ids& ids, size_t from, size_t to, api::FinishReason finish) {
    for (size_t i = from; i < to; ++i) {
      api::GenerateEvent event = Event(i, ids[i], i + 1 == ids.size() ? finish : api::FINISH_REASON_NONE);
      call.Send(call.request().logprobs() ? WithLogprobs(event) : event);
    }
  }
  static Ids Generated(const FakeEngine::Call& call) {
    return {call.request().generated_ids().begin(), call.request().generated_ids().end()};
  }
};

}  // namespace spotinference

#endif  // GATEWAY_SESSION_SESSION_FIXTURE_H_
