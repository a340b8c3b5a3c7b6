// Which files a model is made of, and the hash that names it. Looks at names and bytes, at no format.
#ifndef ENGINE_BASE_MODEL_FILES_H_
#define ENGINE_BASE_MODEL_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace spotinference {

// How the name of a shard ends, counted from 1: "-00001-of-00003.gguf".
std::string GgufShardEnding(int64_t number, int64_t count);

// The paths of all shards in their order, where `path` ends as the first of several GGUF files does
// (NAME-00001-of-0000N.gguf); else `path` alone. Looks at no file.
std::vector<std::string> GgufShardPaths(const std::string& path);

// The files of the model at `path`, ascending by name: a file is itself, or all its shards; a folder is its
// .safetensors, .json and .jinja files. NOT_FOUND, PERMISSION_DENIED …: the system's own error.
absl::StatusOr<std::vector<std::string>> ModelFiles(const std::string& path);

struct FileSum {
  std::string name;    // without folders
  std::string sha256;  // 64 lower-case hex digits
};
// What `sha256sum` prints for these files.
std::string PrintSums(absl::Span<const FileSum> files);

// The SHA-256, in hex, of one file, whatever else its name stands for. Errors: the system's own.
absl::StatusOr<std::string> FileHash(const std::string& path);

// What a model is called wherever its identity counts, as a SHA-256 in hex. One file's is its own; that of several is
// over what `sha256sum` prints for them in that order, names without folders. Reads every byte, on as many threads as
// there are files, up to the processor's: some 0.1 s for 100 MB on one.
absl::StatusOr<std::string> ModelHash(const std::string& path);

// The same of several files, ascending by name, that are known.
std::string ModelHashOf(absl::Span<const FileSum> files);

// The same of the model at `path`, whose files these are.
std::string ModelHashOf(const std::string& path, absl::Span<const FileSum> files);

// FAILED_PRECONDITION: the model at `path` has another hash than `wanted`; "" is any.
absl::Status CheckModelHash(const std::string& path, const std::string& hash, const std::string& wanted);

}  // namespace spotinference

#endif  // ENGINE_BASE_MODEL_FILES_H_
