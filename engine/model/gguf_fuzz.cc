// Any bytes at all as a GGUF file: opened, every value read in every way, every tensor's last row
// turned to floats.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/device/tensor.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"

using spotinference::GgufFile;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = GgufFile::Parse({reinterpret_cast<const std::byte*>(data), size});
  if (!file.ok()) return 0;
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min(),
                    kMost = std::numeric_limits<int64_t>::max();
  for (const absl::string_view key : (*file)->keys()) {
    (void)(*file)->String(key);
    (void)(*file)->Integer(key, kLeast, kMost);
    (void)(*file)->Float(key);
    (void)(*file)->Bool(key);
    (void)(*file)->Strings(key);
    (void)(*file)->Integers(key, kLeast, kMost);
    (void)(*file)->Floats(key);
  }
  for (const spotinference::TensorView& tensor : (*file)->tensors()) {
    std::vector<float> row(tensor.columns);
    DequantizeRow(tensor, tensor.rows - 1, absl::MakeSpan(row));
  }
  (void)ReadModelConfig(**file);
  return 0;
}
