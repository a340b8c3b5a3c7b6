#include "engine/volume/model_head.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/base/http_client.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/volume/object.h"

namespace spotinference {
namespace {

constexpr ObjectKind kKind{"model head", 1};
// Vocabularies of 50,000 to 260,000 tokens with their merges take 2 to 16 MB.
constexpr uint64_t kFirstBytes = uint64_t{8} << 20, kMostBytes = uint64_t{64} << 20;

std::string HashOf(FileSystem& files, const std::string& path, uint64_t bytes) {
  const absl::StatusOr<std::unique_ptr<MappedBytes>> map = files.Map(path);
  if (!map.ok() || (*map)->bytes().size() < bytes || !(*map)->Populate(0, bytes).ok()) return "";
  return Sha256Hex({reinterpret_cast<const char*>((*map)->bytes().data()), bytes});
}

// What an earlier start has fetched; with an empty path where there is none, or it is damaged.
ModelHead FindHere(FileSystem& files, const std::string& path) {
  const std::vector<std::string> words = absl::StrSplit(ReadObject(files, path + ".head", kKind), ' ');
  uint64_t bytes;
  if (words.size() != 4 || !absl::SimpleAtoi(words[2], &bytes) || HashOf(files, path, bytes) != words[1]) return {};
  return {.path = path, .sha256 = words[0], .head_sha256 = words[1], .commit = words[3]};
}

// Makes `path` as long as the remote file and reads of it what its head takes; returns how much that is.
absl::StatusOr<uint64_t> ReadHead(FileSystem& files, HttpClient& client, const RemoteFile& remote,
                                  const std::string& path, EndOfHead end_of_head) {
  ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file, files.Create(path));
  const std::byte last{0};
  RETURN_IF_ERROR(file->Write(remote.size_bytes() - 1, {&last, 1}));
  uint64_t here = 0;
  absl::StatusOr<uint64_t> end = 0;
  for (uint64_t wanted = kFirstBytes; wanted <= kMostBytes; wanted *= 2) {
    const uint64_t until = std::min(wanted, remote.size_bytes());
    const uint64_t from = remote.ranges() ? here : 0;
    RETURN_IF_ERROR(remote.Read(client, from, until, [&](uint64_t at, absl::string_view bytes) {
      return file->Write(at, {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
    }));
    here = until;
    end = end_of_head(path, here);
    if (end.ok() || here == remote.size_bytes()) break;
  }
  if (end.ok()) RETURN_IF_ERROR(file->Sync());
  return end;
}

// Two models may have one source, and are fetched side by side: who comes second waits, and then finds it here.
class OnlyOne {
 public:
  explicit OnlyOne(const std::string& folder) : folder_(folder) {
    const auto is_free = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !Busy().contains(folder_); };
    absl::MutexLock lock(&Lock(), absl::Condition(&is_free));
    Busy().insert(folder_);
  }
  ~OnlyOne() {
    absl::MutexLock lock(&Lock());
    Busy().erase(folder_);
  }

 private:
  static absl::Mutex& Lock() {
    static absl::Mutex& lock = *new absl::Mutex;
    return lock;
  }
  static std::set<std::string>& Busy() {
    static std::set<std::string>& busy = *new std::set<std::string>;
    return busy;
  }

  const std::string folder_;
};

}  // namespace

absl::StatusOr<ModelHead> FetchModelHead(FileSystem& files, const std::string& root, const WeightsSource& source,
                                         const RemoteOptions& options, EndOfHead end_of_head) {
  const std::string folder = absl::StrCat(root, "/", Sha256Hex(absl::StrCat(source.name(), "#", source.sha256)));
  const std::string path = absl::StrCat(folder, "/", source.file_name()), coming = path + ".part";
  const OnlyOne only_one(folder);
  if (ModelHead here = FindHere(files, path); !here.path.empty()) return here;
  RETURN_IF_ERROR(files.CreateFolder(folder));
  RETURN_IF_ERROR(files.SyncFolder(root));
  HttpClient client;
  ASSIGN_OR_RETURN(const RemoteFile remote, RemoteFile::Find(client, source, options));
  const absl::StatusOr<uint64_t> bytes = ReadHead(files, client, remote, coming, end_of_head);
  if (!bytes.ok()) {
    files.Remove(coming).IgnoreError();
    return bytes.status();
  }
  ModelHead head{.path = path,
                 .sha256 = remote.sha256(),
                 .head_sha256 = HashOf(files, coming, *bytes),
                 .commit = remote.commit()};
  if (head.head_sha256.empty()) return absl::UnavailableError(absl::StrCat("'", coming, "' cannot be read again"));
  RETURN_IF_ERROR(files.Rename(coming, path));
  RETURN_IF_ERROR(files.SyncFolder(folder));
  RETURN_IF_ERROR(WriteObject(files, path + ".head", kKind,
                              absl::StrCat(head.sha256, " ", head.head_sha256, " ", *bytes, " ", head.commit)));
  return head;
}

}  // namespace spotinference
