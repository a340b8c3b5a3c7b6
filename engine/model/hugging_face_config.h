// A Hugging Face folder's config.json under GGUF's names.
//
// Keys: https://huggingface.co/docs/transformers, the configuration classes of the types in hugging_face_types.cc;
// scaled rotations: its "Utilities for Rotary Embedding" (rope_scaling, and rope_parameters of version 5).
#ifndef ENGINE_MODEL_HUGGING_FACE_CONFIG_H_
#define ENGINE_MODEL_HUGGING_FACE_CONFIG_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/model/hugging_face_types.h"

namespace spotinference {

struct HuggingFaceConfig {
  struct Value {
    std::string name;  // config.json's: "rope_scaling.factor"
    std::variant<int64_t, double, std::string> value;
  };

  struct Vector {
    std::string name;
    std::vector<float> values;
  };

  const HuggingFaceType* type = nullptr;
  bool tied_output = false;
  bool has_vision = false;  // the language part of a model that also sees; we read that part alone
  absl::flat_hash_map<std::string, Value> values;  // by GGUF key, architecture and all: "llama.block_count"
  absl::flat_hash_map<std::string, Vector> vectors;  // what GGUF files have as tensors, by their names
};

// INVALID_ARGUMENT: not JSON, or a value of another kind than its key has. UNIMPLEMENTED: a model type, or something
// else that the model asks for and we lack, named. Numbers are checked by ReadModelConfig.
absl::StatusOr<HuggingFaceConfig> ParseHuggingFaceConfig(absl::string_view text);

}  // namespace spotinference

#endif  // ENGINE_MODEL_HUGGING_FACE_CONFIG_H_
