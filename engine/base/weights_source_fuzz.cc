// A source of weights is typed by people: any text is one, or an error that says why not.
#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "engine/base/weights_source.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference;
  const absl::StatusOr<WeightsSource> source = ParseWeightsSource({reinterpret_cast<const char*>(data), size});
  if (!source.ok()) {
    if (source.status().message().empty()) __builtin_trap();
    return 0;
  }
  if (source->kind == WeightsSource::Kind::kFile) return 0;
  // What becomes a path of the volume or a URL.
  const std::string name = source->file_name();
  const bool is_repository = source->kind == WeightsSource::Kind::kHub && source->file.empty();
  if (name.empty() != is_repository || name == "." || name == ".." || absl::StrContains(name, "/")) __builtin_trap();
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < ' ') __builtin_trap();
  }
  for (const char c : HubUrl("https://hub", *source)) {
    if (static_cast<unsigned char>(c) <= ' ') __builtin_trap();
  }
  return 0;
}
