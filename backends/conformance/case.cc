#include "backends/conformance/case.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference::conformance {

int Case::sequences() const {
  int count = 0;
  for (const Token& token : tokens) count = std::max(count, token.sequence + 1);
  return count;
}

absl::StatusOr<std::unique_ptr<CaseRun>> CaseRun::Create(const Case& test, Device& device) {
  int longest = 0;
  for (const Token& token : test.tokens) longest = std::max(longest, token.position + 1);
  const int blocks_per_sequence = test.uses_kv ? (longest + kBlockTokens - 1) / kBlockTokens : 0;
  // Half a cache more than is needed, so that a random choice of blocks has gaps.
  const int blocks = blocks_per_sequence * test.sequences() * 3 / 2 + 1;
  ASSIGN_OR_RETURN(Built built, test.build(device, blocks, static_cast<int>(test.tokens.size())));
  std::unique_ptr<CaseRun> run(new CaseRun(test, std::move(built), blocks, blocks_per_sequence));
  ASSIGN_OR_RETURN(run->program_, device.Compile(run->built_.graph, nullptr));
  return run;
}

absl::StatusOr<std::vector<float>> CaseRun::Run(const Schedule& schedule, std::mt19937& random) {
  return Run(schedule, case_.inputs, random);
}

absl::StatusOr<std::vector<float>> CaseRun::Run(const Schedule& schedule,
                                                const std::vector<std::vector<float>>& inputs,
                                                std::mt19937& random) {
  std::vector<int32_t> order(blocks_);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  const auto tables = absl::MakeSpan(order).first(blocks_per_sequence_ * case_.sequences());
  std::vector<float> out(case_.tokens.size() * width());
  for (const std::vector<int>& step : schedule) RETURN_IF_ERROR(RunStep(step, inputs, tables, out));
  return out;
}

absl::Status CaseRun::RunStep(absl::Span<const int> tokens,
                              const std::vector<std::vector<float>>& inputs,
                              absl::Span<const int32_t> block_tables, std::vector<float>& out) {
  std::vector<int32_t> ids, positions, sequences, output_rows;
  for (int t : tokens) {
    ids.push_back(case_.tokens[t].id);
    positions.push_back(case_.tokens[t].position);
    sequences.push_back(case_.tokens[t].sequence);
    output_rows.insert(output_rows.begin(),
                       static_cast<int32_t>(output_rows.size()));  // last token first
  }
  std::vector<std::vector<float>> fed(inputs.size());
  std::vector<absl::Span<const float>> fed_spans;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const int columns = built_.graph.tensors[built_.graph.inputs[i]].width;
    for (int t : tokens) {
      fed[i].insert(fed[i].end(), inputs[i].begin() + t * columns,
                    inputs[i].begin() + (t + 1) * columns);
    }
    fed_spans.push_back(fed[i]);
  }

  constexpr int kGuards = 64;
  constexpr uint32_t kGuard = 0x7fa1b2c3;  // a NaN, so that arithmetic on it shows too
  std::vector<float> rows(tokens.size() * width() + 2 * kGuards, std::bit_cast<float>(kGuard));
  RETURN_IF_ERROR(program_->Run({.token_ids = ids,
                                 .positions = positions,
                                 .sequences = sequences,
                                 .block_tables = block_tables,
                                 .blocks_per_sequence = blocks_per_sequence_,
                                 .output_rows = output_rows,
                                 .inputs = fed_spans},
                                absl::MakeSpan(rows).subspan(kGuards, tokens.size() * width())));
  for (int i = 0; i < kGuards; ++i) {
    if (std::bit_cast<uint32_t>(rows[i]) != kGuard ||
        std::bit_cast<uint32_t>(rows[rows.size() - 1 - i]) != kGuard) {
      return absl::InternalError(
          absl::StrCat("wrote outside of its output, ", i, " floats from the end of the guard"));
    }
  }
  const bool gathered = built_.graph.tensors[built_.graph.output].rows == Rows::kOutputs;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int t = tokens[gathered ? output_rows[i] : i];
    std::copy_n(rows.begin() + kGuards + i * width(), width(), out.begin() + t * width());
  }
  return absl::OkStatus();
}

Schedule OneStep(const Case& test) {
  std::vector<int> all(test.tokens.size());
  std::iota(all.begin(), all.end(), 0);
  return {all};
}

Schedule Alone(const Case& test, int sequence) {
  std::vector<int> step;
  for (size_t t = 0; t < test.tokens.size(); ++t) {
    if (test.tokens[t].sequence == sequence) step.push_back(static_cast<int>(t));
  }
  return {step};
}

Schedule RandomChunks(const Case& test, std::mt19937& random) {
  std::vector<std::vector<int>> left;
  for (int s = 0; s < test.sequences(); ++s) left.push_back(Alone(test, s)[0]);
  Schedule schedule;
  while (true) {
    std::erase_if(left, [](const std::vector<int>& tokens) { return tokens.empty(); });
    if (left.empty()) return schedule;
    std::shuffle(left.begin(), left.end(), random);
    std::vector<int>& step = schedule.emplace_back();
    const size_t pieces = 1 + random() % left.size();
    for (size_t s = 0; s < pieces; ++s) {
      // Now a single token as in decoding, now a long piece as in prefill.
      const size_t size = random() % 2 ? 1 : 1 + random() % left[s].size();
      step.insert(step.end(), left[s].begin(), left[s].begin() + size);
      left[s].erase(left[s].begin(), left[s].begin() + size);
    }
  }
}

}  // namespace spotinference::conformance
