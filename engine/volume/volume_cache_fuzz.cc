// The list of parts of a compile cache.
#include <cstddef>
#include <cstdint>

#include "engine/volume/volume_cache.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::Span<const std::byte> payload(reinterpret_cast<const std::byte*>(data), size);
  const auto parts = spotinference::ReadCacheParts(payload);
  if (!parts.ok()) return 0;
  volatile unsigned sum = 0;
  for (const spotinference::CachePart& part : *parts) {
    for (const std::byte byte : payload.subspan(part.offset, part.size)) sum = sum + static_cast<unsigned>(byte);
  }
  return 0;
}
