#include "backends/conformance/picks.h"

#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/sample/sampler.h"
#include "engine/sample/token_counts.h"
#include "engine/server/candidate_pick.h"
#include "engine/server/pick_question.h"

namespace spotinference::conformance {
namespace {

constexpr int kMaxRows = 9;

// Rows that reach the host by a gather, so that they are to the bit as fed.
Graph Gather(int vocabulary) {
  return {.tensors = {{vocabulary}, {vocabulary, Rows::kOutputs}},
          .ops = {{.kind = OpKind::kGatherRows, .out = 1, .a = 0}},
          .inputs = {0},
          .output = 1,
          .vocabulary = 1,
          .max_tokens = kMaxRows,
          .max_outputs = kMaxRows};
}

// One row on its way through a step.
struct Row {
  PickQuestion question;
  TokenCounts counts;
  uint32_t position;
  CandidatePick pick;
  Selection selection;
};

// The id, or the code of why there is none.
struct Answer {
  std::optional<uint32_t> id;
  absl::StatusCode code;
  bool operator==(const Answer&) const = default;
};

Answer Sample(Sampler& sampler, const Row& row, absl::Span<const float> logits) {
  const PickQuestion& q = row.question;
  const auto sampled = sampler.Sample(logits, q.params, row.counts, row.position, q.allowed);
  if (!sampled.ok()) return {std::nullopt, sampled.status().code()};
  return {sampled->id, absl::StatusCode::kOk};
}

// Runs one step of `rows`, in backward order, and compares what is picked.
absl::Status CheckStep(Program& program, std::deque<Row>& rows, Sampler& sampler, Picks& picks) {
  const size_t count = rows.size(), width = rows[0].question.logits.size();
  std::vector<float> fed;
  std::vector<int32_t> zeros(count), output_rows;
  std::vector<Selection> selections;
  for (Row& row : rows) {
    const PickQuestion& q = row.question;
    fed.insert(fed.end(), q.logits.begin(), q.logits.end());
    output_rows.insert(output_rows.begin(), static_cast<int32_t>(output_rows.size()));
    row.selection = row.pick.Select(width, q.params, row.counts, q.guesses, row.position, q.allowed);
    selections.insert(selections.begin(), row.selection);
    for (const uint32_t id : q.guesses) row.counts.AddGenerated(id);
  }
  const absl::Span<const float> inputs[] = {fed};
  const StepInput input{.token_ids = zeros,
                        .positions = zeros,
                        .sequences = zeros,
                        .output_rows = output_rows,
                        .inputs = inputs};
  Selector* const selector = program.selector();
  std::vector<float> out(fed.size());
  std::vector<Selected> selected(count);
  RETURN_IF_ERROR(selector != nullptr ? selector->RunSelecting(input, selections, absl::MakeSpan(selected))
                                      : program.Run(input, absl::MakeSpan(out)));
  for (size_t o = 0; o < count; ++o) {
    Row& row = rows[count - 1 - o];
    const PickQuestion& q = row.question;
    const absl::Span<float> logits = absl::MakeSpan(out).subspan(o * width, width);
    if (selector != nullptr) RETURN_IF_ERROR(selector->ReadRow(static_cast<int>(o), logits));
    const auto describe = [&] { return absl::StrCat("vocabulary ", width, ", position ", row.position); };
    if (std::memcmp(logits.data(), q.logits.data(), width * sizeof(float)) != 0) {
      return absl::InternalError(absl::StrCat(describe(), ": another row than was fed"));
    }
    const Answer expected = Sample(sampler, row, q.logits);
    Answer answer = expected;
    ++picks.rows;
    if (selector == nullptr || row.selection.kind == Selection::Kind::kAll) {
      answer = Sample(sampler, row, logits);
    } else {
      ++picks.wanted;
      const auto id = row.pick.Pick(selected[o], q.params, row.counts, *selector, static_cast<int>(o));
      picks.looked_again += row.pick.looks() > 0;
      picks.looks += row.pick.looks();
      answer = id.ok() ? Answer{*id, absl::StatusCode::kOk} : Answer{std::nullopt, id.status().code()};
    }
    if (answer == expected) continue;
    return absl::InternalError(absl::StrCat(describe(), ": id ", answer.id.value_or(-1), " for ",
                                            expected.id.value_or(-1), ", kind ",
                                            static_cast<int>(row.selection.kind)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Picks> CheckPicks(Device& device) {
  constexpr int kSteps = 24;  // of each vocabulary
  Picks picks;
  Sampler sampler;
  uint32_t seed = 0;
  for (const int vocabulary : {1, 3, 31, 32, 33, 1023, 1024, 1025, 2049, 5003, 49152}) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Program> program, device.Compile(Gather(vocabulary), nullptr));
    for (int step = 0; step < kSteps; ++step) {
      std::deque<Row> rows;
      for (int i = 0; i <= step % kMaxRows; ++i) {
        PickQuestion question(++seed, vocabulary);
        TokenCounts counts(question.prompt, question.generated);
        rows.push_back({std::move(question), std::move(counts), seed, {}, {}});
      }
      RETURN_IF_ERROR(CheckStep(*program, rows, sampler, picks));
    }
  }
  return picks;
}

}  // namespace spotinference::conformance
