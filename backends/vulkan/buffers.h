// What the Vulkan backend hands out as Buffers.
#ifndef BACKENDS_VULKAN_BUFFERS_H_
#define BACKENDS_VULKAN_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "backends/vulkan/memory.h"
#include "backends/vulkan/tiles.h"
#include "engine/device/device.h"

namespace spotinference::vulkan {

// A shader counts the words of a tensor in 32 bits, and has some to spare only below 2^31. UNIMPLEMENTED: `what` is
// longer.
inline absl::Status CheckAddressable(uint64_t bytes, absl::string_view what) {
  if (bytes / sizeof(uint32_t) < uint64_t{1} << 31) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat(what, ": ", bytes, " bytes; the Vulkan backend reaches 2^31 words of a tensor"));
}

struct WeightBuffer : Buffer {
  size_t size_bytes() const override {
    return (tiles != nullptr ? tiles->size() : 0) + (vector != nullptr ? vector->size() : 0);
  }

  DType type = DType::kF32;
  int64_t rows = 0, columns = 0;
  TileLayout layout = {};
  std::unique_ptr<Region> tiles;   // tiles.h; of a kEmbed's or a kMatmul's weight
  std::unique_ptr<Region> vector;  // floats; of a kRmsNorm's weight or a bias
};

// A page is the keys, then the values of 16 tokens, as halves. Of the keys, a word has elements 2w and 2w + 1 of a
// token: [kv_heads, head_dim / 2, 16 tokens], so that the invocations that have neighbouring positions read
// neighbouring words. Of the values: [kv_heads, 16 tokens, head_dim / 2].
struct KvBuffer : Buffer {
  size_t size_bytes() const override { return page_bytes * blocks; }

  int kv_heads = 0, head_dim = 0, blocks = 0;
  size_t page_bytes = 0;
  std::unique_ptr<Region> pages;
};

// Of an operation that has one.
inline const WeightBuffer& Weight(const Op& op) { return *static_cast<const WeightBuffer*>(op.weight); }
inline const KvBuffer& Kv(const Op& op) { return *static_cast<const KvBuffer*>(op.kv); }

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_BUFFERS_H_
