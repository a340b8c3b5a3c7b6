#include "engine/model/open_checkpoint.h"

#include <utility>

#include "engine/base/status.h"
#include "engine/model/gguf.h"
#include "engine/model/gguf_shards.h"

namespace spotinference {

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  return GgufShards::Open(std::move(file), path);
}

}  // namespace spotinference
