// Where a model's weights come from, as people write it:
//
//   file:///path                               a file or folder of this machine; also a plain path. With #sha256=HEX
//                                              at its end (model_files.h), no other model; without, the first reading
//                                              says what it is
//   https://host/file.gguf#sha256=HEX          any web server; plain http only from loopback
//   hf://org/repo/file.gguf@revision           Hugging Face's hub; revision: branch, tag or commit; main where left out
//   hf://org/repo@revision                     a repository there, with safetensors
//
// A GGUF model in several files goes by the first of them, but for a web server's, which #sha256= cannot name.
#ifndef ENGINE_BASE_WEIGHTS_SOURCE_H_
#define ENGINE_BASE_WEIGHTS_SOURCE_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference {

struct WeightsSource {
  enum class Kind { kFile, kWeb, kHub };
  Kind kind = Kind::kFile;
  std::string path;    // kFile
  std::string url;     // kWeb, without the fragment
  std::string sha256;  // kWeb, kFile: 64 lower-case hex digits; "" where a file's was not said
  std::string repository, file, revision;  // kHub: "org/repo", "folder/file.gguf" or ""

  // What the file is called on the volume: the last part of its path; "" for a repository.
  std::string file_name() const;
  // As it was written, without what may be secret: for logs.
  std::string name() const;
};

// INVALID_ARGUMENT: none of these; the message says what is missing.
absl::StatusOr<WeightsSource> ParseWeightsSource(absl::string_view text);

// A web server's address without its query, which may be secret, and that query; other sources as they are, and "".
// What stands in a command line, everybody on the machine can read.
std::pair<std::string, std::string> SplitQuery(absl::string_view text);
// The inverse.
std::string WithQuery(absl::string_view text, absl::string_view query);

// Another file of the same repository, at the same revision. INVALID_ARGUMENT: `file` is no name of one.
absl::StatusOr<WeightsSource> FileOfRepository(WeightsSource source, absl::string_view file);

// The address of a file of the hub at `hub_url`: HUB/org/repo/resolve/revision/file, percent-encoded.
std::string HubUrl(absl::string_view hub_url, const WeightsSource& source);

}  // namespace spotinference

#endif  // ENGINE_BASE_WEIGHTS_SOURCE_H_
