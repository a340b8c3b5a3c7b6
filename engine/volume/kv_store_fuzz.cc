// The head of a segment of KV.
#include <cstddef>
#include <cstdint>

#include "engine/volume/kv_store.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::Span<const std::byte> payload(reinterpret_cast<const std::byte*>(data), size);
  const auto head = spotinference::ReadKvSegmentHead(payload);
  if (!head.ok()) return 0;
  volatile unsigned sum = 0;
  for (const std::byte byte : head->hashes) sum = sum + static_cast<unsigned>(byte);
  for (const std::byte byte : payload.subspan(head->blocks_at, head->count * head->block_bytes)) {
    sum = sum + static_cast<unsigned>(byte);
  }
  return 0;
}
