// A model where it comes from: the files that it is made of, and the hash that names them together.
//
//   https://…, hf://org/repo/file.gguf         that file
//   hf://org/repo/NAME-00001-of-0000N.gguf     all N
//   hf://org/repo                              what a folder of safetensors is read for: config.json, tokenizer.json;
//                                              tokenizer_config.json, generation_config.json and chat_template.jinja
//                                              where they are and not empty; model.safetensors, or model.safetensors.index.json and
//                                              the files that it lists
#ifndef ENGINE_VOLUME_REMOTE_MODEL_H_
#define ENGINE_VOLUME_REMOTE_MODEL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/http_client.h"
#include "engine/base/model_files.h"
#include "engine/base/weights_source.h"
#include "engine/volume/remote_file.h"

namespace spotinference {

struct RemoteModel {
  struct File {
    RemoteFile remote;
    FileSum sum;
    std::string content;  // of files in Git, which has no SHA-256 of them; "" of others
  };
  std::vector<File> files;  // ascending by name
  std::string sha256;       // as ModelHash gives it for these files
  std::string commit;       // of the hub, where it or the source names one: the same model for ever
};

std::vector<FileSum> SumsOf(const RemoteModel& model);

// Blocks. All files of a repository are of one commit, even if its branch moves meanwhile. Errors: those of
// remote_file.h. FAILED_PRECONDITION: no model is in the repository, one of more files or more text than any has, or of
// no one commit. INVALID_ARGUMENT: its index names what is no file. `options` outlives the result.
absl::StatusOr<RemoteModel> FindRemoteModel(HttpClient& client, const WeightsSource& source,
                                            const RemoteOptions& options);

}  // namespace spotinference

#endif  // ENGINE_VOLUME_REMOTE_MODEL_H_
