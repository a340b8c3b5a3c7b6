// For dequantize_oracle_test.py: dequantize_main TYPE < blocks > floats. Without TYPE it lists the types.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/device/tensor.h"

int main(int argc, char** argv) {
  using spotinference::DTypeLayout;
  for (const DTypeLayout& layout : spotinference::DTypes()) {
    if (argc < 2) {
      std::printf("%s %u %d %d\n", std::string(layout.name).c_str(), layout.gguf_id, layout.block_elements,
                  layout.block_bytes);
    } else if (layout.name == argv[1]) {
      const std::string bytes{std::istreambuf_iterator<char>(std::cin), {}};
      const int64_t columns = static_cast<int64_t>(bytes.size()) / layout.block_bytes * layout.block_elements;
      std::vector<float> out(columns);
      const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
      spotinference::DequantizeRow({"w", layout.type, 1, columns, {data, bytes.size()}}, 0, absl::MakeSpan(out));
      std::fwrite(out.data(), sizeof(float), out.size(), stdout);
    }
  }
}
