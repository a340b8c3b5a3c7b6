// A model as far as it is text, for who renders prompts and never needs the weights: of a GGUF file, or the first of
// several, the beginning; of a repository of safetensors, all other files.
//
//   ROOT/<SHA-256 of the source>/FILE         as long as the model's file, a hole but for its head; or each of them
//   ROOT/<SHA-256 of the source>/FILE.head    an object: what the model is; of a repository, .head
//
// Once there, it is read from the folder and nobody is asked again. The source names the hash of the whole model, which
// who has all of it holds against it; that a file's head is this one, it can tell by `head_sha256`.
#ifndef ENGINE_VOLUME_MODEL_HEAD_H_
#define ENGINE_VOLUME_MODEL_HEAD_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/weights_source.h"
#include "engine/volume/file_system.h"
#include "engine/volume/remote_file.h"

namespace spotinference {

struct ModelHead {
  std::string path;         // of FILE, or the folder
  std::string sha256;       // the model's (engine/base/model_files.h)
  std::string head_sha256;  // of the part of FILE that is there; "" for a repository
  std::string commit;       // of the hub, where it names one: the same file for ever
};

// How far a file's head goes, of which `bytes` are there and zeros follow. An error: it cannot be read, for which too few
// bytes may be the reason. Pure.
using EndOfHead = absl::FunctionRef<absl::StatusOr<uint64_t>(const std::string& path, uint64_t bytes)>;

// What the source's folder in ROOT is called.
std::string ModelHeadFolder(const WeightsSource& source);

// `source` is not of this machine; `root` exists. Blocks. Errors: those of remote_model.h, of `end_of_head` and of the
// file system.
absl::StatusOr<ModelHead> FetchModelHead(FileSystem& files, const std::string& root, const WeightsSource& source,
                                         const RemoteOptions& options, EndOfHead end_of_head);

}  // namespace spotinference

#endif  // ENGINE_VOLUME_MODEL_HEAD_H_
