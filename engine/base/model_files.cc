#include "engine/base/model_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

absl::Status SystemError(absl::string_view path) { return absl::ErrnoToStatus(errno, path); }

std::string FileName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::vector<absl::StatusOr<std::string>> FileHashes(const std::vector<std::string>& paths) {
  std::vector<absl::StatusOr<std::string>> hashes(paths.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i; (i = next++) < paths.size();) hashes[i] = FileHash(paths[i]);
  };
  const size_t threads = std::min<size_t>(paths.size(), std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::thread> others;
  for (size_t t = 1; t < threads; ++t) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  return hashes;
}

}  // namespace

std::string GgufShardEnding(int64_t number, int64_t count) {
  return absl::StrFormat("-%05d-of-%05d.gguf", number, count);
}

std::vector<std::string> GgufShardPaths(const std::string& path) {
  const size_t ending = GgufShardEnding(1, 1).size();
  int64_t count = 0;
  if (path.size() < ending || !absl::SimpleAtoi(path.substr(path.size() - 10, 5), &count) || count < 2 ||
      path.substr(path.size() - ending) != GgufShardEnding(1, count)) {
    return {path};
  }
  std::vector<std::string> paths;
  const std::string stem = path.substr(0, path.size() - ending);
  for (int64_t number = 1; number <= count; ++number) {
    paths.push_back(absl::StrCat(stem, GgufShardEnding(number, count)));
  }
  return paths;
}

absl::StatusOr<std::vector<std::string>> ModelFiles(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return SystemError(path);
  if (!S_ISDIR(status.st_mode)) return GgufShardPaths(path);
  DIR* const folder = opendir(path.c_str());
  if (folder == nullptr) return SystemError(path);
  const absl::Cleanup close_folder = [folder] { closedir(folder); };
  std::vector<std::string> paths;
  while (const dirent* const entry = readdir(folder)) {
    const absl::string_view name = entry->d_name;
    for (const absl::string_view ending : {".safetensors", ".json", ".jinja"}) {
      if (absl::EndsWith(name, ending)) paths.push_back(absl::StrCat(path, "/", name));
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

absl::StatusOr<std::string> FileHash(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SystemError(path);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  Sha256 hash;
  std::vector<char> buffer(1 << 20);
  ssize_t n;
  while ((n = read(fd, buffer.data(), buffer.size())) > 0) hash.Update(buffer.data(), n);
  if (n < 0) return SystemError(path);
  return hash.Hex();
}

absl::StatusOr<std::string> ModelHash(const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, ModelFiles(path));
  const std::vector<absl::StatusOr<std::string>> hashes = FileHashes(paths);
  for (const absl::StatusOr<std::string>& hash : hashes) RETURN_IF_ERROR(hash.status());
  std::vector<FileSum> sums;
  for (size_t i = 0; i < paths.size(); ++i) sums.push_back({FileName(paths[i]), *hashes[i]});
  return ModelHashOf(path, sums);
}

std::string PrintSums(absl::Span<const FileSum> files) {
  std::string lines;
  for (const FileSum& file : files) absl::StrAppend(&lines, file.sha256, "  ", file.name, "\n");
  return lines;
}

std::string ModelHashOf(absl::Span<const FileSum> files) { return Sha256Hex(PrintSums(files)); }

std::string ModelHashOf(const std::string& path, absl::Span<const FileSum> files) {
  const bool is_file = files.size() == 1 && files[0].name == FileName(path);
  return is_file ? files[0].sha256 : ModelHashOf(files);
}

absl::Status CheckModelHash(const std::string& path, const std::string& hash, const std::string& wanted) {
  if (wanted.empty() || hash == wanted) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("weights '", path, "': the SHA-256 is ", hash, ", not ", wanted));
}

}  // namespace spotinference
