// What the cpu backend hands out as Buffers.
#ifndef BACKENDS_CPU_BUFFERS_H_
#define BACKENDS_CPU_BUFFERS_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/packed.h"
#include "engine/base/pages.h"
#include "engine/device/device.h"

namespace spotinference::cpu {

class WeightBuffer : public Buffer {
 public:
  explicit WeightBuffer(const TensorView& view)
      : type(view.type), packing(PackingOf(view.type)), rows(view.rows), columns(view.columns) {}
  size_t size_bytes() const override { return tiles.size() + vector.size() * sizeof(float); }

  DType type;
  Packing packing;            // of the tiles
  int64_t rows, columns;
  absl::Span<const std::byte> tiles;  // packed.h; empty unless used by a matmul
  std::shared_ptr<const void> tiles_owner;
  std::vector<float> vector;  // a norm's weight
  TensorView rows_view;       // in the file, for a kEmbed without tiles; else without data
};

class KvBuffer : public Buffer {
 public:
  KvBuffer(int kv_heads, int head_dim, int blocks)
      : blocks(blocks),
        memory(size_t{2} * blocks * kv_heads * head_dim * kBlockTokens * sizeof(uint16_t), Pages::Size::kSmall),
        pages{reinterpret_cast<uint16_t*>(memory.data()), kv_heads, head_dim} {}
  size_t size_bytes() const override { return memory.size(); }

  int blocks;
  Pages memory;
  KvPages pages;
};

}  // namespace spotinference::cpu

#endif  // BACKENDS_CPU_BUFFERS_H_
