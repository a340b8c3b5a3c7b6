// Opens a model whatever its files are: the one place that knows all formats.
#ifndef ENGINE_MODEL_OPEN_CHECKPOINT_H_
#define ENGINE_MODEL_OPEN_CHECKPOINT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"

namespace spotinference {

// `path`: a GGUF file, or the first of several (gguf_shards.h), or a Hugging Face folder. The errors of GgufFile::Open,
// GgufShards::Open and HuggingFaceCheckpoint::Open.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(const std::string& path);

}  // namespace spotinference

#endif  // ENGINE_MODEL_OPEN_CHECKPOINT_H_
