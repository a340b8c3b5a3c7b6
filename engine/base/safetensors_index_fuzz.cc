// A repository's index comes from anybody: any text is one, or refused, and no file of it is outside of the folder.
#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "engine/base/safetensors_index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto index = spotinference::ParseSafetensorsIndex({reinterpret_cast<const char*>(data), size});
  if (!index.ok()) return 0;
  for (const auto& [tensor, file] : *index) {
    if (file.empty() || absl::StrContains(file, "/")) __builtin_trap();
  }
  return 0;
}
