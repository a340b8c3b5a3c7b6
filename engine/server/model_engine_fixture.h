// What tests of ModelEngine start from: a model whose answers are a function of the ids so far, and sinks that hold the
// engine to its promises.
#ifndef ENGINE_SERVER_MODEL_ENGINE_FIXTURE_H_
#define ENGINE_SERVER_MODEL_ENGINE_FIXTURE_H_

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/base/fake_clock.h"
#include "engine/device/graph.h"
#include "engine/server/model_engine.h"
#include "engine/server/plain_selection.h"
#include "gtest/gtest.h"

namespace spotinference {

using Finish = TokenEvent::Finish;
using Ids = std::vector<uint32_t>;

inline constexpr uint32_t kVocabulary = 64;
inline constexpr uint32_t kPoison = 63;  // a prompt that begins with it has no finite logit
inline constexpr uint32_t kForgetful = 62;  // of one that begins with it the model sees the last id alone, so that it repeats

// The logits of a model that has seen `ids`.
inline void FakeLogits(const Ids& ids, absl::Span<float> logits) {
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
inline Ids Answer(Ids ids, size_t tokens) {
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
class FakeProgram : public Program, public Selector {
 public:
  FakeProgram(int blocks, bool selects) : cache_(blocks * kBlockTokens, kVocabulary), selects_(selects) {}

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

  Selector* selector() override { return selects_ ? this : nullptr; }
  absl::Status RunSelecting(const StepInput& input, absl::Span<const Selection> selections,
                            absl::Span<Selected> selected) override {
    rows_.resize(selections.size() * kVocabulary);
    if (const absl::Status ran = Run(input, absl::MakeSpan(rows_)); !ran.ok()) return ran;
    for (size_t o = 0; o < selections.size(); ++o) {
      if (selections[o].kind == Selection::Kind::kAll) continue;
      selected[o] = SelectPlainly(Row(static_cast<int>(o)), selections[o], candidates);
    }
    return absl::OkStatus();
  }
  absl::Status Look(int row, const Selection& selection, Selected& selected) override {
    selected = SelectPlainly(Row(row), selection, candidates);
    absl::MutexLock lock(&mutex_);
    return read_status_;
  }
  absl::Status ReadRow(int row, absl::Span<float> out) override {
    ++rows_read;
    const absl::Span<const float> values = Row(row);
    std::copy(values.begin(), values.end(), out.begin());
    absl::MutexLock lock(&mutex_);
    return read_status_;
  }
  size_t candidates = 16;  // of a row; to be set before a run
  std::atomic<int> rows_read = 0;

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
  void FailReadsWith(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    read_status_ = std::move(status);
  }

 private:
  absl::Span<const float> Row(int row) const {
    return absl::MakeConstSpan(rows_).subspan(size_t{kVocabulary} * row, kVocabulary);
  }
  static size_t Slot(const StepInput& input, size_t t, int position) {
    const int32_t block = input.block_tables[input.sequences[t] * input.blocks_per_sequence + position / kBlockTokens];
    return block * kBlockTokens + position % kBlockTokens;
  }
  void SetHeld(bool held) {
    absl::MutexLock lock(&mutex_);
    held_ = held;
  }

  std::vector<uint32_t> cache_;  // of the engine's thread
  std::vector<float> rows_;      // of the last run that selected
  const bool selects_;
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool waits_ ABSL_GUARDED_BY(mutex_) = false;
  int entered_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_), read_status_ ABSL_GUARDED_BY(mutex_);
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
      waited_ = event.waited;
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
  absl::Duration waited() const {
    absl::MutexLock lock(&mutex_);
    return waited_;
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
  absl::Duration waited_ ABSL_GUARDED_BY(mutex_);
  Finish finish_ ABSL_GUARDED_BY(mutex_) = Finish::kNone;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

inline EngineRequest Request(Ids prompt, uint32_t max_tokens, Ids generated = {}) {
  EngineRequest request;
  request.sequence = {std::move(prompt), std::move(generated), max_tokens, ""};
  return request;
}

// Its parameter: whether the program selects.
class ModelEngineTest : public testing::TestWithParam<bool> {
 protected:
  void Start(int blocks = 64, int max_sequences = 4, int step_tokens = 24, int draft_tokens = 0) {
    program_ = std::make_unique<FakeProgram>(blocks, GetParam());
    ModelEngine::Options options;
    options.scheduler = {step_tokens, max_sequences, /*max_live=*/64, /*context_tokens=*/256, draft_tokens};
    options.kv = {blocks, kBlockTokens, "model", "numerics"};
    options.info.vocabulary_size = kVocabulary;
    options.sampling_threads = 3;
    options.on_fatal = [this](const absl::Status& status) {
      ++fatal_;
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    };
    if (adjust_) adjust_(options);
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
  std::function<void(ModelEngine::Options&)> adjust_;  // of Start, where a test wants more than its arguments say
  std::unique_ptr<FakeProgram> program_;
  std::unique_ptr<ModelEngine> engine_;
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_MODEL_ENGINE_FIXTURE_H_
