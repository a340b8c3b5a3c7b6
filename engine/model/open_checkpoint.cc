#include "engine/model/open_checkpoint.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/gguf.h"
#include "engine/model/gguf_shards.h"
#include "engine/model/hugging_face.h"

namespace spotinference {

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return HuggingFaceCheckpoint::Open(path);
  if (absl::EndsWith(path, ".safetensors")) {
    return absl::InvalidArgumentError(
        absl::StrCat("model file '", path, "': a model of safetensors is given by its folder"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  return GgufShards::Open(std::move(file), path);
}

}  // namespace spotinference
