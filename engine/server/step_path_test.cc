// A step in which no sequence begins or ends allocates nothing.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <tuple>
#include <vector>

#include "absl/synchronization/notification.h"
#include "engine/base/fake_clock.h"
#include "engine/server/model_engine.h"
#include "engine/server/plain_selection.h"
#include "gtest/gtest.h"

namespace {
std::atomic<uint64_t> allocations = 0;  // of all threads: while steps run, the test's own waits
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(size_t size, std::align_val_t alignment) {
  ++allocations;
  const size_t align = static_cast<size_t>(alignment);
  if (void* const memory = std::aligned_alloc(align, (size + align - 1) / align * align)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace spotinference {
namespace {

constexpr uint32_t kVocabulary = 64;

// Says the same few ids over and over, so that guesses hold, and notes what was allocated between two of its runs.
class CountingProgram : public Program, public Selector {
 public:
  struct Between {
    size_t sequences;
    uint64_t allocations;
  };

  explicit CountingProgram(bool selects) : selects_(selects), rows_(kMostRows * kVocabulary) {
    between_.reserve(10000);
  }

  absl::Status Run(const StepInput& input, absl::Span<float> out) override {
    Begin(input);
    Fill(input, out);
    before_ = allocations;
    return absl::OkStatus();
  }

  Selector* selector() override { return selects_ ? this : nullptr; }
  absl::Status RunSelecting(const StepInput& input, absl::Span<const Selection> selections,
                            absl::Span<Selected> selected) override {
    Begin(input);
    Fill(input, absl::MakeSpan(rows_));
    for (size_t row = 0; row < selections.size(); ++row) {
      if (selections[row].kind != Selection::Kind::kAll) selected[row] = SelectPlainly(Row(row), selections[row], 64);
    }
    before_ = allocations;
    return absl::OkStatus();
  }
  absl::Status Look(int row, const Selection& selection, Selected& selected) override {
    selected = SelectPlainly(Row(row), selection, 64);
    return absl::OkStatus();
  }
  absl::Status ReadRow(int row, absl::Span<float> out) override {
    const absl::Span<const float> values = Row(row);
    std::copy(values.begin(), values.end(), out.begin());
    return absl::OkStatus();
  }

  absl::Notification all_submitted;
  const std::vector<Between>& between() const { return between_; }

 private:
  static constexpr size_t kMostRows = 16;

  absl::Span<const float> Row(size_t row) const {
    return absl::MakeSpan(rows_).subspan(row * kVocabulary, kVocabulary);
  }
  void Begin(const StepInput& input) {
    all_submitted.WaitForNotification();
    between_.push_back({input.output_rows.size(), allocations - before_});
  }
  void Fill(const StepInput& input, absl::Span<float> out) const {
    for (size_t row = 0; row < input.output_rows.size(); ++row) {
      const uint32_t next = (input.token_ids[input.output_rows[row]] + 1) % 7;
      for (uint32_t i = 0; i < kVocabulary; ++i) out[row * kVocabulary + i] = i == next ? 20 : i * 0.01f;
    }
  }

  const bool selects_;
  std::vector<float> rows_;
  std::vector<Between> between_;
  uint64_t before_ = 0;
};

class QuietSink : public TokenSink {
 public:
  bool OnToken(const TokenEvent&) override { return true; }
  void OnEnd(const absl::Status& status) override {
    EXPECT_TRUE(status.ok()) << status;
    ended.Notify();
  }
  absl::Notification ended;
};

// How many sequences, and whether the program selects. 1 alone, with guesses; 4 and more pick their ids on several
// threads.
class StepPathTest : public testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(StepPathTest, AStepAllocatesNothing) {
  const auto [sequences, selects] = GetParam();
  constexpr uint32_t kTokens = 400;
  FakeClock clock;
  CountingProgram program(selects);
  Constraints constraints([]() -> absl::StatusOr<Constraints::Tokens> { return Constraints::Tokens(kVocabulary); });
  ModelEngine::Options options;
  options.scheduler = {/*step_tokens=*/32, /*max_sequences=*/16, /*max_live=*/64, /*context_tokens=*/1024, /*draft=*/3};
  options.kv = {/*blocks=*/1024, /*block_tokens=*/16, "model", "numerics"};
  options.info.vocabulary_size = kVocabulary;
  options.sampling_threads = 2;
  ModelEngine engine(std::move(options), program, constraints, clock);

  std::vector<std::shared_ptr<QuietSink>> sinks;
  for (int i = 0; i < sequences; ++i) {
    EngineRequest request;
    request.sequence = {{static_cast<uint32_t>(i % 7), 1, 2, 3}, {}, kTokens, ""};
    if (i % 3 == 1) {
      request.sampling.temperature = 1;
      request.sampling.top_k = 20;
      request.sampling.top_p = 0.9f;
      request.sampling.min_p = 0.01f;
    }
    if (i % 3 == 2) request.sampling.frequency_penalty = 0.001f;
    request.sampling.logprobs = i % 2 == 0 && sequences > 1;
    request.sampling.top_logprobs = request.sampling.logprobs ? 5 : 0;
    sinks.push_back(std::make_shared<QuietSink>());
    ASSERT_TRUE(engine.Submit(std::move(request), sinks.back()).ok());
  }
  program.all_submitted.Notify();
  for (const auto& sink : sinks) sink->ended.WaitForNotification();

  // The first steps meet what is kept for the later ones; in the last, sequences end one after another.
  const std::vector<CountingProgram::Between>& between = program.between();
  size_t looked_at = 0;
  for (size_t i = 60; i + 20 < between.size(); ++i, ++looked_at) {
    EXPECT_EQ(between[i].allocations, 0) << "before run " << i << " of " << between.size() << ", of "
                                         << between[i].sequences << " rows";
  }
  EXPECT_GT(looked_at, kTokens / (sequences == 1 ? 20 : 2));
  if (sequences == 1) {
    EXPECT_GT(engine.Stats().scheduler.accepted_tokens, kTokens / 2);
  }
  EXPECT_EQ(engine.Stats().selected_rows > kTokens / 2, selects);
}

INSTANTIATE_TEST_SUITE_P(Sequences, StepPathTest,
                         testing::Combine(testing::Values(1, 3, 4, 16), testing::Bool()));

}  // namespace
}  // namespace spotinference
