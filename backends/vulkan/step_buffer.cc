#include "backends/vulkan/step_buffer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/status.h"

namespace spotinference::vulkan {
namespace {

// Step of shaders/step.glsl.
struct Header {
  uint32_t rows[2];
  uint32_t blocks_per_sequence;
  uint32_t unused;
  VkDeviceAddress token_ids, positions, sequences, output_rows, block_tables;
};
static_assert(sizeof(Header) == 56);

}  // namespace

absl::StatusOr<std::unique_ptr<StepBuffer>> StepBuffer::Create(const Graph& graph, Memory& memory) {
  std::unique_ptr<StepBuffer> step(new StepBuffer(graph, memory));
  size_t bytes = sizeof(Header);
  const auto place = [&](size_t size) {
    const size_t at = (bytes + 15) / 16 * 16;
    bytes = at + size;
    return at;
  };
  const size_t tokens = graph.max_tokens;
  step->token_ids_at_ = place(tokens * sizeof(int32_t));
  step->positions_at_ = place(tokens * sizeof(int32_t));
  step->sequences_at_ = place(tokens * sizeof(int32_t));
  step->output_rows_at_ = place(graph.max_outputs * sizeof(int32_t));
  for (const RopeAttributes& rope : graph.ropes) {
    step->turns_at_.push_back(place(tokens * rope.pairs() * 2 * sizeof(float)));
  }
  ASSIGN_OR_RETURN(step->region_, memory.Allocate(bytes, MemoryUse::kUpload));
  ASSIGN_OR_RETURN(step->block_tables_, memory.Allocate(tokens * sizeof(int32_t), MemoryUse::kUpload));
  return step;
}

absl::Status StepBuffer::Write(const StepInput& input) {
  const size_t table_bytes = input.block_tables.size() * sizeof(int32_t);
  if (table_bytes > block_tables_->size()) {
    // The old one stays until there is a new one.
    ASSIGN_OR_RETURN(block_tables_,
                     memory_.Allocate(std::max(table_bytes, 2 * block_tables_->size()), MemoryUse::kUpload));
  }
  const auto put = [](absl::Span<const int32_t> values, std::byte* to) {
    if (!values.empty()) std::memcpy(to, values.data(), values.size() * sizeof(int32_t));
  };
  std::byte* const base = region_->mapped();
  put(input.token_ids, base + token_ids_at_);
  put(input.positions, base + positions_at_);
  put(input.sequences, base + sequences_at_);
  put(input.output_rows, base + output_rows_at_);
  put(input.block_tables, block_tables_->mapped());
  WriteTurns(input);
  const Header header{{static_cast<uint32_t>(input.positions.size()), static_cast<uint32_t>(input.output_rows.size())},
                      static_cast<uint32_t>(input.blocks_per_sequence),
                      0,
                      address() + token_ids_at_,
                      address() + positions_at_,
                      address() + sequences_at_,
                      address() + output_rows_at_,
                      block_tables_->address()};
  std::memcpy(base, &header, sizeof(header));
  return absl::OkStatus();
}

void StepBuffer::WriteTurns(const StepInput& input) {
  for (size_t r = 0; r < graph_.ropes.size(); ++r) {
    const RopeAttributes& rope = graph_.ropes[r];
    auto* to = reinterpret_cast<float*>(region_->mapped() + turns_at_[r]);
    for (const int32_t position : input.positions) {
      for (const double frequency : rope.frequencies) {
        const double angle = position * frequency;
        *to++ = static_cast<float>(std::cos(angle) * rope.magnitude);
        *to++ = static_cast<float>(std::sin(angle) * rope.magnitude);
      }
    }
  }
}

}  // namespace spotinference::vulkan
