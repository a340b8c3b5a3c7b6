// Two GGUF files as the shards of one model: a u32 length of the first, the first, the second.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "engine/device/tensor.h"
#include "engine/model/gguf_shards.h"

using spotinference::GgufFile;
using spotinference::GgufShards;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint32_t first_bytes = 0;
  if (size < sizeof(first_bytes)) return 0;
  std::memcpy(&first_bytes, data, sizeof(first_bytes));
  const absl::Span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data + sizeof(first_bytes)),
                                          size - sizeof(first_bytes));
  const size_t cut = std::min<size_t>(first_bytes, bytes.size());
  std::vector<std::unique_ptr<GgufFile>> shards;
  for (const absl::Span<const std::byte> part : {bytes.first(cut), bytes.subspan(cut)}) {
    absl::StatusOr<std::unique_ptr<GgufFile>> shard = GgufFile::Parse(part);
    if (!shard.ok()) return 0;
    shards.push_back(*std::move(shard));
  }
  const std::string names[] = {"1", "2"};
  const auto model = GgufShards::Combine(std::move(shards), names);
  if (!model.ok()) return 0;
  for (const spotinference::TensorView& tensor : (*model)->tensors()) {
    std::vector<float> row(tensor.columns);
    DequantizeRow(*(*model)->FindTensor(tensor.name), tensor.rows - 1, absl::MakeSpan(row));
  }
  return 0;
}
