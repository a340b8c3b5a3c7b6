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

absl::StatusOr<StepBuffer::Upload> StepBuffer::Allocate(size_t bytes, Memory& memory) {
  Upload upload;
  ASSIGN_OR_RETURN(upload.host, memory.Allocate(bytes, MemoryUse::kUpload));
  if (upload.host->on_device()) return upload;
  ASSIGN_OR_RETURN(upload.copy, memory.Allocate(bytes, MemoryUse::kDevice));
  return upload;
}

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
  ASSIGN_OR_RETURN(step->fixed_, Allocate(bytes, memory));
  ASSIGN_OR_RETURN(step->block_tables_, Allocate(tokens * sizeof(int32_t), memory));
  return step;
}

void StepBuffer::RecordCopies(Recorder& recorder) const {
  for (const Upload* const upload : {&fixed_, &block_tables_}) {
    if (upload->copy != nullptr) recorder.Copy(*upload->host, *upload->copy, upload->host->size());
  }
  for (const Upload* const upload : {&fixed_, &block_tables_}) {
    if (upload->copy != nullptr) recorder.AwaitWrites({upload->copy.get()});
  }
}

absl::StatusOr<bool> StepBuffer::Write(const StepInput& input) {
  const size_t table_bytes = input.block_tables.size() * sizeof(int32_t), room = block_tables_.host->size();
  const bool grows = table_bytes > room;
  if (grows) {
    // The old one stays until there is a new one.
    ASSIGN_OR_RETURN(block_tables_, Allocate(std::max(table_bytes, 2 * room), memory_));
  }
  const auto put = [](absl::Span<const int32_t> values, std::byte* to) {
    if (!values.empty()) std::memcpy(to, values.data(), values.size() * sizeof(int32_t));
  };
  std::byte* const base = fixed_.host->mapped();
  put(input.token_ids, base + token_ids_at_);
  put(input.positions, base + positions_at_);
  put(input.sequences, base + sequences_at_);
  put(input.output_rows, base + output_rows_at_);
  put(input.block_tables, block_tables_.host->mapped());
  WriteTurns(input);
  const Header header{{static_cast<uint32_t>(input.positions.size()), static_cast<uint32_t>(input.output_rows.size())},
                      static_cast<uint32_t>(input.blocks_per_sequence),
                      0,
                      address() + token_ids_at_,
                      address() + positions_at_,
                      address() + sequences_at_,
                      address() + output_rows_at_,
                      block_tables_.address()};
  std::memcpy(base, &header, sizeof(header));
  return grows && block_tables_.copy != nullptr;
}

void StepBuffer::WriteTurns(const StepInput& input) {
  for (size_t r = 0; r < graph_.ropes.size(); ++r) {
    const RopeAttributes& rope = graph_.ropes[r];
    auto* to = reinterpret_cast<float*>(fixed_.host->mapped() + turns_at_[r]);
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
