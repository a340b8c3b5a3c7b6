// Any bytes at all as a safetensors file: opened, every tensor's last row turned to floats.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/device/tensor.h"
#include "engine/model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = spotinference::SafetensorsFile::Parse({reinterpret_cast<const std::byte*>(data), size});
  if (!file.ok()) return 0;
  for (const spotinference::TensorView& tensor : (*file)->tensors()) {
    if (tensor.data.empty()) continue;
    std::vector<float> row(tensor.columns);
    DequantizeRow(tensor, tensor.rows - 1, absl::MakeSpan(row));
  }
  return 0;
}
