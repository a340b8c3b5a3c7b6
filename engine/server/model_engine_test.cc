#include "engine/server/model_engine.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "engine/base/fake_clock.h"
#include "engine/device/graph.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using Finish = TokenEvent::Finish;
using Ids = std::vector<uint32_t>;

constexpr uint32_t kVocabulary = 64;
constexpr uint32_t kPoison = 63;  // a prompt that begins with it has no finite logit
constexpr uint32_t kForgetful = 62;  // of one that begins with it the model sees the last id alone, so that it repeats

// The logits of a model that has seen `ids`.
void FakeLogits(const Ids& ids, absl::Span<float> logits) {
  uint64_t hash = 14695981039346656037u;
  const bool forgetful = ids[0] == kForgetful;
  const size_t seen = forgetful ? size_t{1} : ids.size();
  for (const uint32_t id : absl::MakeConstSpan(ids).last(seen)) hash = (hash ^ (id + 1)) * 1099511628211u;
  for (uint32_t i = 0; i < logits.size(); ++i) {
    const uint64_t mixed = (hash ^ (i * 0x9E3779B97F4A7C15u)) * 0xBF58476D1CE4E5B9u;
    logits[i] = ids[0] == kPoison ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(mixed >> 44);
    if (forgetful) logits[i] *= 0x1p-16f;  // 0 … 16: something to draw from
  }
}

// The greedy answer, without any engine.
Ids Answer(Ids ids, size_t tokens) {
  Ids answer;
  float logits[kVocabulary];
  while (answer.size() < tokens) {
    FakeLogits(ids, absl::MakeSpan(logits));
    answer.push_back(static_cast<uint32_t>(std::max_element(logits, logits + kVocabulary) - logits));
    ids.push_back(answer.back());
  }
  return answer;
}

// Keeps token ids where a device keeps keys and values, so that a wrong block table or a block written twice shows.
class FakeProgram : public Program {
 public:
  explicit FakeProgram(int blocks) : cache_(blocks * kBlockTokens, kVocabulary) {}

  absl::Status Run(const StepInput& input, absl::Span<float> out) override {
    {
      absl::MutexLock lock(&mutex_);
      ++entered_;
      waits_ = held_;
      mutex_.Await(absl::Condition(+[](bool* held) { return !*held; }, &held_));
      waits_ = false;
      if (!status_.ok()) return status_;
    }
    for (size_t t = 0; t < input.token_ids.size(); ++t) cache_[Slot(input, t, input.positions[t])] = input.token_ids[t];
    for (size_t row = 0; row < input.output_rows.size(); ++row) {
      const int t = input.output_rows[row];
      Ids seen;
      for (int p = 0; p <= input.positions[t]; ++p) seen.push_back(cache_[Slot(input, t, p)]);
      FakeLogits(seen, out.subspan(row * kVocabulary, kVocabulary));
    }
    return absl::OkStatus();
  }

  void Hold() { SetHeld(true); }
  void Release() { SetHeld(false); }
  // A run is under way and held.
  void AwaitHeld() {
    absl::MutexLock lock(&mutex_);
    const auto waits = [&] { return waits_; };
    mutex_.Await(absl::Condition(&waits));
  }
  void AwaitEntered(int runs) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return entered_ >= runs; };
    mutex_.Await(absl::Condition(&enough));
  }
  void FailWith(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    status_ = std::move(status);
  }

 private:
  static size_t Slot(const StepInput& input, size_t t, int position) {
    const int32_t block = input.block_tables[input.sequences[t] * input.blocks_per_sequence + position / kBlockTokens];
    return block * kBlockTokens + position % kBlockTokens;
  }
  void SetHeld(bool held) {
    absl::MutexLock lock(&mutex_);
    held_ = held;
  }

  std::vector<uint32_t> cache_;  // of the engine's thread
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool waits_ ABSL_GUARDED_BY(mutex_) = false;
  int entered_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

class FakeSink : public TokenSink {
 public:
  // Called after each event, without lock; its result goes to the engine.
  std::function<bool()> more = [] { return true; };

  bool OnToken(const TokenEvent& event) override {
    {
      absl::MutexLock lock(&mutex_);
      EXPECT_FALSE(end_.has_value());
      EXPECT_EQ(finish_, Finish::kNone) << "an event after the last";
      if (ids_.empty()) first_index_ = event.index;
      EXPECT_EQ(event.index, first_index_ + ids_.size());
      ids_.push_back(event.id);
      finish_ = event.finish;
    }
    return more();
  }
  void OnEnd(const absl::Status& status) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(end_.has_value()) << "a second end";
    end_ = status;
  }

  absl::Status AwaitEnd() {
    absl::MutexLock lock(&mutex_);
    const auto ended = [&] { return end_.has_value(); };
    mutex_.Await(absl::Condition(&ended));
    return *end_;
  }
  void AwaitEvents(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return ids_.size() >= count; };
    mutex_.Await(absl::Condition(&enough));
  }
  Ids ids() const {
    absl::MutexLock lock(&mutex_);
    return ids_;
  }
  uint32_t first_index() const {
    absl::MutexLock lock(&mutex_);
    return first_index_;
  }
  Finish finish() const {
    absl::MutexLock lock(&mutex_);
    return finish_;
  }
  bool ended() const {
    absl::MutexLock lock(&mutex_);
    return end_.has_value();
  }

 private:
  mutable absl::Mutex mutex_;
  Ids ids_ ABSL_GUARDED_BY(mutex_);
  uint32_t first_index_ ABSL_GUARDED_BY(mutex_) = 0;
  Finish finish_ ABSL_GUARDED_BY(mutex_) = Finish::kNone;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

EngineRequest Request(Ids prompt, uint32_t max_tokens, Ids generated = {}) {
  EngineRequest request;
  request.sequence = {std::move(prompt), std::move(generated), max_tokens, ""};
  return request;
}

class ModelEngineTest : public testing::Test {
 protected:
  void Start(int blocks = 64, int max_sequences = 4, int step_tokens = 24, int draft_tokens = 0) {
    program_ = std::make_unique<FakeProgram>(blocks);
    ModelEngine::Options options;
    options.scheduler = {step_tokens, max_sequences, /*max_live=*/64, /*context_tokens=*/256, draft_tokens};
    options.kv = {blocks, kBlockTokens, "model", "numerics"};
    options.info.vocabulary_size = kVocabulary;
    options.sampling_threads = 3;
    options.on_fatal = [this](const absl::Status& status) {
      ++fatal_;
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    };
    engine_ = std::make_unique<ModelEngine>(std::move(options), *program_, constraints_, clock_);
  }

  SequenceId Submit(EngineRequest request, const std::shared_ptr<FakeSink>& sink) {
    const absl::StatusOr<SequenceId> id = engine_->Submit(std::move(request), sink);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : SequenceId{};
  }
  // Runs a sequence to its end, so that everything asked of the engine before has been looked at.
  void RunAnother() {
    const auto sink = std::make_shared<FakeSink>();
    Submit(Request({60, 1}, 4), sink);
    EXPECT_TRUE(sink->AwaitEnd().ok());
    EXPECT_EQ(sink->ids(), Answer({60, 1}, 4));
  }

  FakeClock clock_;
  // A token a character.
  std::string characters_ = "{}\"abtruefls: ,0";
  Constraints constraints_{[this]() -> absl::StatusOr<Constraints::Tokens> {
    Constraints::Tokens tokens(kVocabulary);
    for (size_t i = 0; i < characters_.size(); ++i) tokens[i] = std::string(1, characters_[i]);
    return tokens;
  }};
  std::atomic<int> fatal_ = 0;
  std::unique_ptr<FakeProgram> program_;
  std::unique_ptr<ModelEngine> engine_;
};

TEST_F(ModelEngineTest, ManySequencesEachGetTheirOwnAnswer) {
  Start(/*blocks=*/12);  // four sequences of up to 9 blocks each do not fit: some are preempted
  std::mt19937 random(1);
  std::vector<std::shared_ptr<FakeSink>> sinks;
  std::vector<Ids> expected;
  for (int i = 0; i < 48; ++i) {
    Ids prompt(1 + random() % 80);
    for (uint32_t& id : prompt) id = random() % (i % 3 == 0 ? 2 : kPoison);  // a third may share prefixes
    const size_t tokens = 1 + random() % 50;
    expected.push_back(Answer(prompt, tokens));
    sinks.push_back(std::make_shared<FakeSink>());
    Submit(Request(prompt, tokens), sinks.back());
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_TRUE(sinks[i]->AwaitEnd().ok());
    EXPECT_EQ(sinks[i]->ids(), expected[i]) << i;
    EXPECT_EQ(sinks[i]->first_index(), 0);
    EXPECT_EQ(sinks[i]->finish(), Finish::kLength);
  }
  const EngineStats stats = engine_->Stats();
  EXPECT_EQ(stats.active_sequences, 0);
  EXPECT_EQ(stats.kv_blocks_used, 0);
  EXPECT_GT(stats.scheduler.preemptions, 0);
  EXPECT_GT(stats.steps, 50);
}

TEST_F(ModelEngineTest, AStopIdEndsTheAnswer) {
  Start();
  const Ids answer = Answer({1, 2, 3}, 20);
  EngineRequest request = Request({1, 2, 3}, 20);
  request.stop_ids = {answer[7]};
  const auto sink = std::make_shared<FakeSink>();
  Submit(std::move(request), sink);
  EXPECT_TRUE(sink->AwaitEnd().ok());
  const auto stop = std::find(answer.begin(), answer.end(), answer[7]);
  EXPECT_EQ(sink->ids(), Ids(answer.begin(), stop + 1));
  EXPECT_EQ(sink->finish(), Finish::kStop);
}

// The same answers with and without guesses, greedy and drawn, with penalties and logprobs, stopped and cut, alone and in
// company, with room for guesses and without.
TEST_F(ModelEngineTest, GuessesChangeNoAnswer) {
  const auto requests = [] {
    std::vector<EngineRequest> all;
    for (uint32_t i = 0; i < 24; ++i) {
      EngineRequest request = Request({kForgetful, i % 5, i % 7}, 60 + i);
      if (i % 4 == 1) request.sampling.temperature = 1;
      request.sampling.seed = i;
      if (i % 4 == 2) request.sampling.frequency_penalty = 2;
      if (i % 4 == 3) request.stop_ids = {i};
      request.sampling.logprobs = i % 2 == 0;
      all.push_back(std::move(request));
    }
    return all;
  };
  const auto answers = [&](bool together) {
    std::vector<Ids> ids;
    std::vector<std::shared_ptr<FakeSink>> sinks;
    for (EngineRequest& request : requests()) {
      sinks.push_back(std::make_shared<FakeSink>());
      Submit(std::move(request), sinks.back());
      if (!together) {
        EXPECT_TRUE(sinks.back()->AwaitEnd().ok());
      }
    }
    for (const auto& sink : sinks) {
      EXPECT_TRUE(sink->AwaitEnd().ok());
      ids.push_back(sink->ids());
    }
    return ids;
  };
  Start();
  const std::vector<Ids> expected = answers(/*together=*/false);
  const uint64_t plain_steps = engine_->Stats().steps;
  for (const int blocks : {64, 7}) {
    Start(blocks, 4, 24, /*draft_tokens=*/3);
    EXPECT_EQ(answers(/*together=*/false), expected);
    const EngineStats alone = engine_->Stats();
    EXPECT_GT(alone.scheduler.accepted_tokens, 100);
    EXPECT_GE(alone.scheduler.drafted_tokens, alone.scheduler.accepted_tokens);
    EXPECT_EQ(alone.steps, plain_steps - alone.scheduler.accepted_tokens);
    EXPECT_EQ(answers(/*together=*/true), expected);
    EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
  }
}

TEST_F(ModelEngineTest, APauseAmidGuessesLosesNothing) {
  const Ids prompt{kForgetful, 1, 2};
  Start(64, 4, 24, /*draft_tokens=*/3);
  const auto sink = std::make_shared<FakeSink>();
  SequenceId id;
  program_->Hold();
  sink->more = [] { return false; };
  id = Submit(Request(prompt, 60), sink);
  program_->Release();
  for (size_t events = 1; events < 60;) {
    sink->AwaitEvents(events);
    RunAnother();
    events = sink->ids().size() + 1;
    engine_->Resume(id);
  }
  EXPECT_TRUE(sink->AwaitEnd().ok());
  EXPECT_EQ(sink->ids(), Answer(prompt, 60));
  EXPECT_GT(engine_->Stats().scheduler.accepted_tokens, 10);
}

TEST_F(ModelEngineTest, AResumedAnswerGoesOnAtTheNextIndex) {
  Start();
  const Ids answer = Answer({5, 6}, 40);
  for (const size_t cut : {1, 13, 14, 15, 31, 39}) {
    const auto sink = std::make_shared<FakeSink>();
    Submit(Request({5, 6}, 40, Ids(answer.begin(), answer.begin() + cut)), sink);
    EXPECT_TRUE(sink->AwaitEnd().ok());
    EXPECT_EQ(sink->first_index(), cut);
    EXPECT_EQ(sink->ids(), Ids(answer.begin() + cut, answer.end()));
    EXPECT_EQ(sink->finish(), Finish::kLength);
  }
}

constexpr uint32_t kStop = 62;

EngineRequest Constrained(Ids prompt, Ids generated = {}) {
  EngineRequest request = Request(std::move(prompt), 40, std::move(generated));
  request.stop_ids = {kStop};
  request.constraint = ConstraintSpec{ConstraintSpec::Form::kJsonSchema, R"({"type":"object","required":["a","b"],
      "properties":{"a":{"type":"boolean"},"b":{"const":0}},"additionalProperties":false})"};
  return request;
}

TEST_F(ModelEngineTest, AConstrainedAnswerKeepsItsFormAndEndsWithIt) {
  for (const int draft_tokens : {0, 3}) {
    Start(64, 4, 24, draft_tokens);
    for (uint32_t seed = 0; seed < 20; ++seed) {
      // A prompt that has said it all before, so that there is something to guess.
      Ids prompt = {seed};
      for (const char c : std::string("{\"a\":true,\"b\":0} {\"a\":")) prompt.push_back(characters_.find(c));
      const auto sink = std::make_shared<FakeSink>();
      Submit(Constrained(prompt), sink);
      ASSERT_TRUE(sink->AwaitEnd().ok()) << sink->AwaitEnd();
      EXPECT_EQ(sink->finish(), Finish::kStop);
      const Ids ids = sink->ids();
      std::string text;
      for (const uint32_t id : ids) text += id == kStop ? '.' : characters_[id];
      text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
      EXPECT_TRUE(text == "{\"a\":true,\"b\":0}." || text == "{\"a\":false,\"b\":0}.") << text;
      for (size_t cut = 1; cut + 1 < ids.size(); cut += 5) {
        const auto resumed = std::make_shared<FakeSink>();
        Submit(Constrained(prompt, Ids(ids.begin(), ids.begin() + cut)), resumed);
        EXPECT_TRUE(resumed->AwaitEnd().ok());
        EXPECT_EQ(resumed->ids(), Ids(ids.begin() + cut, ids.end()));
      }
    }
    EXPECT_EQ(engine_->Stats().scheduler.accepted_tokens > 0, draft_tokens > 0);
  }
  EXPECT_EQ(engine_->Submit(Constrained({1}, {5}), std::make_shared<FakeSink>()).status().code(),
            absl::StatusCode::kInvalidArgument);
  RunAnother();  // without a constraint nothing is held back
}

TEST_F(ModelEngineTest, AConstraintThatTheVocabularyCannotWriteEndsTheSequence) {
  characters_ = "{}\"atruefls: ";  // no 'b'
  Start();
  const auto sink = std::make_shared<FakeSink>();
  Submit(Constrained({1}), sink);
  EXPECT_EQ(sink->AwaitEnd().code(), absl::StatusCode::kAborted);
  EXPECT_GT(sink->ids().size(), 8);
  EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
  RunAnother();
}

TEST_F(ModelEngineTest, NoEventComesAfterCancelHasReturned) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  program_->Hold();
  const SequenceId id = Submit(Request({1}, 10), sink);
  program_->AwaitEntered(1);
  engine_->Cancel(id);
  program_->Release();
  RunAnother();
  EXPECT_EQ(sink->ids(), Ids());
  EXPECT_FALSE(sink->ended());
  EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
  EXPECT_EQ(sink.use_count(), 1);
  engine_->Cancel(id);  // ended: nothing happens
}

TEST_F(ModelEngineTest, CancelledFromInsideItsSink) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  program_->Hold();
  SequenceId id;
  sink->more = [&] {
    if (sink->ids().size() == 3) engine_->Cancel(id);
    return true;
  };
  id = Submit(Request({1}, 10), sink);
  program_->Release();
  sink->AwaitEvents(3);
  RunAnother();
  EXPECT_EQ(sink->ids().size(), 3);
  EXPECT_FALSE(sink->ended());
}

// What a sink does when its last owner is the engine is its own affair.
TEST_F(ModelEngineTest, ASinkMayCallTheEngineAsItGoes) {
  struct LastWords : FakeSink {
    ~LastWords() override { engine->Stats(); }
    Engine* engine;
  };
  Start();
  program_->Hold();
  auto sink = std::make_shared<LastWords>();
  sink->engine = engine_.get();
  const absl::StatusOr<SequenceId> id = engine_->Submit(Request({1}, 10), std::move(sink));
  engine_->Cancel(*id);
  program_->Release();
  RunAnother();
}

TEST_F(ModelEngineTest, APausedSequenceWaitsForResume) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  sink->more = [] { return false; };
  const SequenceId id = Submit(Request({1, 2}, 5), sink);
  for (size_t events = 1; events <= 5; ++events) {
    sink->AwaitEvents(events);
    RunAnother();
    RunAnother();
    EXPECT_EQ(sink->ids().size(), events);
    engine_->Resume(id);
  }
  EXPECT_TRUE(sink->AwaitEnd().ok());  // the pause after the last event holds nothing up
  EXPECT_EQ(sink->ids(), Answer({1, 2}, 5));
}

TEST_F(ModelEngineTest, AResumeBeforeThePauseIsNotLost) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  program_->Hold();
  SequenceId id;
  sink->more = [&] {
    engine_->Resume(id);  // what the sink waited for was there before it had said so
    return false;
  };
  id = Submit(Request({1, 2}, 30), sink);
  program_->Release();
  EXPECT_TRUE(sink->AwaitEnd().ok());
  EXPECT_EQ(sink->ids(), Answer({1, 2}, 30));
}

TEST_F(ModelEngineTest, PausedSequencesHoldNobodyUp) {
  Start(/*blocks=*/20, /*max_sequences=*/2);
  std::vector<std::shared_ptr<FakeSink>> slow;
  std::vector<SequenceId> ids;
  for (uint32_t i = 0; i < 4; ++i) {
    slow.push_back(std::make_shared<FakeSink>());
    slow.back()->more = [] { return false; };
    ids.push_back(Submit(Request(Ids(100, i), 20), slow.back()));  // together more than all blocks
  }
  for (const auto& sink : slow) sink->AwaitEvents(1);
  for (int i = 0; i < 10; ++i) RunAnother();
  while (!slow[0]->ended() || !slow[1]->ended() || !slow[2]->ended() || !slow[3]->ended()) {
    for (const SequenceId id : ids) engine_->Resume(id);
    RunAnother();
  }
  for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(slow[i]->ids(), Answer(Ids(100, i), 20));
}

TEST_F(ModelEngineTest, DrainWaitsForWhatLives) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  program_->Hold();
  Submit(Request({1}, 10), sink);
  program_->AwaitEntered(1);
  absl::Notification drained[2];
  const auto done = [&](int i) {
    return [&, i](uint32_t cut) {
      EXPECT_EQ(cut, 0);
      EXPECT_TRUE(sink->ended());
      drained[i].Notify();
    };
  };
  engine_->Drain(absl::InfiniteDuration(), done(0));
  engine_->Drain(absl::Seconds(5), done(1));
  EXPECT_EQ(engine_->Submit(Request({1}, 10), sink).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(engine_->Stats().draining);
  EXPECT_FALSE(drained[0].HasBeenNotified());
  program_->Release();
  drained[0].WaitForNotification();
  drained[1].WaitForNotification();
  EXPECT_EQ(sink->ids(), Answer({1}, 10));
  absl::Notification again;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t) { again.Notify(); });
  again.WaitForNotification();
}

TEST_F(ModelEngineTest, DrainCutsAtItsDeadline) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  sink->more = [] { return false; };
  Submit(Request({1}, 10), sink);
  sink->AwaitEvents(1);
  absl::Notification drained;
  const auto done = [&](uint32_t cut) {
    EXPECT_EQ(cut, 1);
    drained.Notify();
  };
  engine_->Drain(absl::Seconds(5), done);
  clock_.Advance(absl::Seconds(5));
  engine_->Drain(absl::Seconds(100), [](uint32_t cut) { EXPECT_EQ(cut, 1); });  // wakes the engine: its clock is not ours
  drained.WaitForNotification();
  EXPECT_EQ(sink->AwaitEnd().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(engine_->Stats().active_sequences, 0);
}

TEST_F(ModelEngineTest, CancelEndsADrain) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  sink->more = [] { return false; };
  const SequenceId id = Submit(Request({1}, 10), sink);
  sink->AwaitEvents(1);
  absl::Notification drained;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t cut) {
    EXPECT_EQ(cut, 0);
    drained.Notify();
  });
  engine_->Cancel(id);
  drained.WaitForNotification();
}

TEST_F(ModelEngineTest, HandingOverWaitsForNoStep) {
  Start();
  std::vector<std::shared_ptr<FakeSink>> sinks;
  for (uint32_t i = 0; i < 32; ++i) {
    sinks.push_back(std::make_shared<FakeSink>());
    if (i == 0) {
      sinks[0]->more = [&] {
        program_->Hold();  // the step after its first
        return true;
      };
    }
    Submit(Request({i, 1, 2}, 100), sinks.back());
  }
  program_->AwaitHeld();
  const absl::Status why = absl::UnavailableError("the machine goes");
  EXPECT_EQ(engine_->HandOver(why), 32);
  for (uint32_t i = 0; i < 32; ++i) {
    EXPECT_EQ(sinks[i]->AwaitEnd(), why);  // the step is still under way
    const Ids answer = Answer({i, 1, 2}, 100);
    EXPECT_EQ(sinks[i]->ids(), Ids(answer.begin(), answer.begin() + sinks[i]->ids().size()));
  }
  EXPECT_EQ(engine_->Submit(Request({1}, 1), sinks[0]).status(), why);
  EXPECT_TRUE(engine_->Stats().draining);
  EXPECT_EQ(engine_->HandOver(why), 0);

  engine_->Admit();
  program_->Release();
  RunAnother();
  EXPECT_FALSE(engine_->Stats().draining);
  EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
}

// An end comes once and after every event, whenever it comes; FakeSink sees to it.
TEST_F(ModelEngineTest, HandingOverAmidSteps) {
  Start();
  for (int round = 0; round < 200; ++round) {
    std::vector<std::shared_ptr<FakeSink>> sinks;
    for (uint32_t i = 0; i < 4; ++i) {
      sinks.push_back(std::make_shared<FakeSink>());
      Submit(Request({i, 3}, 1 + i * 3), sinks.back());
    }
    sinks[round % 4]->AwaitEvents(1 + round % 4 % 2);
    const uint32_t ended = engine_->HandOver(absl::UnavailableError("the machine goes"));
    uint32_t cut = 0;
    for (uint32_t i = 0; i < 4; ++i) {
      const absl::Status end = sinks[i]->AwaitEnd();
      EXPECT_EQ(end.ok(), sinks[i]->ids().size() == 1 + i * 3) << i;
      if (!end.ok()) ++cut;
    }
    EXPECT_EQ(ended, cut);
    engine_->Admit();
  }
  RunAnother();
}

TEST_F(ModelEngineTest, HandingOverEndsADrain) {
  Start();
  program_->Hold();
  const auto sink = std::make_shared<FakeSink>();
  Submit(Request({1}, 100), sink);
  program_->AwaitHeld();
  absl::Notification drained;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t) { drained.Notify(); });
  EXPECT_EQ(engine_->HandOver(absl::UnavailableError("the machine goes")), 1);
  program_->Release();
  drained.WaitForNotification();
  engine_->Admit();  // takes back the one, not the other
  EXPECT_EQ(engine_->Submit(Request({1}, 1), sink).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ModelEngineTest, EndsEverythingAsItGoes) {
  Start();
  const auto sink = std::make_shared<FakeSink>();
  sink->more = [] { return false; };
  Submit(Request({1}, 10), sink);
  sink->AwaitEvents(1);
  int cut = -1;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t ended_early) { cut = static_cast<int>(ended_early); });
  engine_ = nullptr;
  EXPECT_EQ(sink->AwaitEnd().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(cut, 1);
}

TEST_F(ModelEngineTest, RefusesWhatCannotWork) {
  Start(/*blocks=*/12);
  const auto refused = [&](EngineRequest request) {
    const auto status = engine_->Submit(std::move(request), std::make_shared<FakeSink>()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_EQ(refused(Request({1, kVocabulary}, 5)), "token id 64: the model has ids below 64");
  EXPECT_EQ(refused(Request({1}, 5, {kVocabulary})), "token id 64: the model has ids below 64");
  refused(Request({}, 5));
  refused(Request({1}, 0));
  refused(Request({1}, 2, {1, 2}));
  refused(Request({1}, 192));  // with the prompt one more than twelve blocks hold
  refused(Request({1}, std::numeric_limits<uint32_t>::max()));
  EngineRequest hot = Request({1}, 5);
  hot.sampling.temperature = -1;
  refused(std::move(hot));
  RunAnother();
}

TEST_F(ModelEngineTest, RefusesMoreThanMayLive) {
  Start();
  std::vector<std::shared_ptr<FakeSink>> sinks;
  program_->Hold();
  for (int i = 0; i < 64; ++i) {
    sinks.push_back(std::make_shared<FakeSink>());
    Submit(Request({1}, 2), sinks.back());
  }
  EXPECT_EQ(engine_->Submit(Request({1}, 2), sinks[0]).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(engine_->Stats().active_sequences, 64);
  program_->Release();
  for (const auto& sink : sinks) EXPECT_TRUE(sink->AwaitEnd().ok());
}

TEST_F(ModelEngineTest, ALostDeviceEndsEverySequenceOnce) {
  Start();
  program_->Hold();
  std::vector<std::shared_ptr<FakeSink>> sinks;
  for (uint32_t i = 0; i < 10; ++i) {
    sinks.push_back(std::make_shared<FakeSink>());
    Submit(Request({i}, 20), sinks.back());
  }
  program_->FailWith(absl::UnavailableError("fell off the bus"));
  program_->Release();
  for (const auto& sink : sinks) {
    const absl::Status end = sink->AwaitEnd();
    EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(end.message(), "the device failed: fell off the bus");
    EXPECT_EQ(sink->finish(), Finish::kNone);
  }
  absl::Notification drained;
  engine_->Drain(absl::InfiniteDuration(), [&](uint32_t) { drained.Notify(); });
  drained.WaitForNotification();
  EXPECT_EQ(engine_->Submit(Request({1}, 2), sinks[0]).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(fatal_, 1);
}

TEST_F(ModelEngineTest, LogitsThatAreNoNumbersEndTheirOwnSequenceAlone) {
  Start();
  for (const uint32_t max_tokens : {1, 5}) {  // with 1, the failed row would have been the last
    const auto sink = std::make_shared<FakeSink>();
    const auto beside = std::make_shared<FakeSink>();
    program_->Hold();
    Submit(Request({kPoison, 2}, max_tokens), sink);
    Submit(Request({1, 2}, 5), beside);
    program_->Release();
    EXPECT_EQ(sink->AwaitEnd().code(), absl::StatusCode::kInternal);
    EXPECT_EQ(sink->ids(), Ids());
    EXPECT_TRUE(beside->AwaitEnd().ok());
    EXPECT_EQ(beside->ids(), Answer({1, 2}, 5));
  }
  EXPECT_EQ(engine_->Stats().kv_blocks_used, 0);
}

}  // namespace
}  // namespace spotinference
