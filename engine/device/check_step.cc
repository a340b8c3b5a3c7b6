#include "engine/device/check_step.h"

#include "absl/strings/str_cat.h"

namespace spotinference {

absl::Status CheckStep(const Graph& graph, const StepInput& in, int kv_blocks, size_t out_elements) {
  const size_t tokens = in.positions.size();
  const auto bad = [](auto... what) { return absl::InvalidArgumentError(absl::StrCat("step: ", what...)); };
  if (tokens > static_cast<size_t>(graph.max_tokens)) return bad(tokens, " tokens, more than ", graph.max_tokens);
  if (in.output_rows.size() > static_cast<size_t>(graph.max_outputs)) {
    return bad(in.output_rows.size(), " output rows, more than ", graph.max_outputs);
  }
  if (in.sequences.size() != tokens) return bad("positions and sequences differ in length");
  if (graph.vocabulary > 0 && in.token_ids.size() != tokens) return bad("positions and token ids differ in length");
  for (const int32_t id : in.token_ids) {
    if (id < 0 || id >= graph.vocabulary) return bad("token id ", id, " is not below ", graph.vocabulary);
  }
  for (size_t t = 0; t < tokens && kv_blocks > 0; ++t) {
    const int64_t table = static_cast<int64_t>(in.sequences[t]) * in.blocks_per_sequence;
    const int32_t used = in.positions[t] / kBlockTokens + 1;
    if (in.positions[t] < 0 || in.sequences[t] < 0 || used > in.blocks_per_sequence ||
        table + used > static_cast<int64_t>(in.block_tables.size())) {
      return bad("token ", t, " has no entry in the block tables");
    }
    // Of consecutive tokens only the last one's table is new.
    if (t + 1 < tokens && in.sequences[t + 1] == in.sequences[t] && in.positions[t + 1] > in.positions[t]) continue;
    for (int32_t i = 0; i < used; ++i) {
      const int32_t block = in.block_tables[table + i];
      if (block < 0 || block >= kv_blocks) return bad("block ", block, " is not below ", kv_blocks);
    }
  }
  for (const int32_t row : in.output_rows) {
    if (row < 0 || row >= static_cast<int32_t>(tokens)) return bad("output row ", row, " is not below ", tokens);
  }
  if (in.inputs.size() != graph.inputs.size()) return bad("the number of inputs is not the graph's");
  for (size_t i = 0; i < in.inputs.size(); ++i) {
    if (in.inputs[i].size() != tokens * graph.tensors[graph.inputs[i]].width) return bad("an input's size is wrong");
  }
  const bool by_token = graph.tensors[graph.output].rows == Rows::kTokens;
  const size_t rows = by_token ? tokens : in.output_rows.size();
  if (out_elements != rows * graph.tensors[graph.output].width) return bad("the output's size is wrong");
  return absl::OkStatus();
}

absl::Status CheckSelection(const Selection& selection, size_t width) {
  const auto bad = [](auto... what) { return absl::InvalidArgumentError(absl::StrCat("selection: ", what...)); };
  if (!selection.allowed.empty() && selection.allowed.size() != (width + 31) / 32) {
    return bad(selection.allowed.size(), " words of allowed ids for ", width, " ids");
  }
  if (selection.asked.size() > Selection::kMaxAsked) {
    return bad(selection.asked.size(), " ids asked for, more than ", Selection::kMaxAsked);
  }
  if (selection.bounds.size() > Selection::kMaxBounds) {
    return bad(selection.bounds.size(), " bounds, more than ", Selection::kMaxBounds);
  }
  if (!(selection.temperature >= Selection::kLeastTemperature)) {
    return bad("a temperature of ", selection.temperature, ", not from ", Selection::kLeastTemperature);
  }
  for (const uint32_t id : selection.asked) {
    if (id >= width) return bad("id ", id, " is not below ", width);
  }
  return absl::OkStatus();
}

absl::Status CheckSelections(absl::Span<const Selection> selections, size_t selected, size_t outputs, size_t width) {
  const auto bad = [](auto... what) { return absl::InvalidArgumentError(absl::StrCat("selection: ", what...)); };
  if (selections.size() != outputs || selected != outputs) {
    return bad(selections.size(), " of them and room for ", selected, ", for ", outputs, " output rows");
  }
  for (const Selection& selection : selections) {
    if (selection.kind == Selection::Kind::kLikelier) return bad("nothing is likelier before a row is there");
    if (absl::Status checked = CheckSelection(selection, width); !checked.ok()) return checked;
  }
  return absl::OkStatus();
}

}  // namespace spotinference
