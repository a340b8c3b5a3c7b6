// model.safetensors.index.json of a Hugging Face repository: which of its files each tensor is in.
#ifndef ENGINE_BASE_SAFETENSORS_INDEX_H_
#define ENGINE_BASE_SAFETENSORS_INDEX_H_

#include <cstddef>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference {

// An index has some 100 bytes a tensor. Who reads one refuses a longer one before it is in memory.
inline constexpr size_t kMaxSafetensorsIndexBytes = size_t{32} << 20;

// The file of each tensor. INVALID_ARGUMENT: not such an index, or a file's name that leads out of the folder.
absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsIndex(absl::string_view text);

}  // namespace spotinference

#endif  // ENGINE_BASE_SAFETENSORS_INDEX_H_
