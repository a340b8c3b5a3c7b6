// A file mapped read-only into memory.
//
// Immutable, so any thread may read it; what points into bytes() dies with it. The file itself may be written to by
// others meanwhile: whoever takes a length or an offset from the mapping checks it each time that it is used. A file
// that is cut short while it is mapped is out of scope: reading past its new end kills the process (SIGBUS), so replace
// model files by renaming, never in place.
#ifndef ENGINE_MODEL_MAPPED_FILE_H_
#define ENGINE_MODEL_MAPPED_FILE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace spotinference {

class MappedFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED …: the system's own error for `path`. INVALID_ARGUMENT: empty,
  // not a regular file, or a pointer of Git LFS.
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::string& path);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  absl::Span<const std::byte> bytes() const { return bytes_; }

  // Tells the system that `data`, a part of bytes(), was copied elsewhere: the pages it lies in, with what else is in
  // them, leave this process's resident memory and come back from the file when they are read again. Does nothing for
  // data that is not a part of bytes().
  void ReleasePages(absl::Span<const std::byte> data) const;

 private:
  explicit MappedFile(absl::Span<const std::byte> bytes) : bytes_(bytes) {}

  const absl::Span<const std::byte> bytes_;
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_MAPPED_FILE_H_
