#include "engine/volume/model_head.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/base/http_client.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/volume/object.h"
#include "engine/volume/remote_model.h"

namespace spotinference {
namespace {

constexpr ObjectKind kKind{"model head", 2};  // 1 knew one file
constexpr absl::string_view kHead = ".head";
// Vocabularies of 50,000 to 260,000 tokens with their merges take 2 to 16 MB.
constexpr uint64_t kFirstBytes = uint64_t{8} << 20, kMostBytes = uint64_t{64} << 20;

std::string HashOf(FileSystem& files, const std::string& path, uint64_t bytes) {
  const absl::StatusOr<std::unique_ptr<MappedBytes>> map = files.Map(path);
  if (!map.ok() || (*map)->bytes().size() < bytes || !(*map)->Populate(0, bytes).ok()) return "";
  return Sha256Hex({reinterpret_cast<const char*>((*map)->bytes().data()), bytes});
}

// What is there of a model's file: its first bytes, or all of them.
struct Part {
  std::string name, sha256;
  uint64_t bytes;
};

std::string Print(const ModelHead& head, absl::Span<const Part> parts) {
  std::string text = absl::StrCat(head.sha256, " ", head.commit, "\n");
  for (const Part& part : parts) absl::StrAppend(&text, part.sha256, " ", part.bytes, " ", part.name, "\n");
  return text;
}

// What an earlier start has fetched; with an empty path where there is none, or it is damaged.
ModelHead FindHere(FileSystem& files, const std::string& folder, const std::string& name) {
  std::vector<std::string> lines =
      absl::StrSplit(ReadObject(files, absl::StrCat(folder, "/", name, kHead), kKind), '\n', absl::SkipEmpty());
  if (lines.size() < 2) return {};
  const std::pair<std::string, std::string> model = absl::StrSplit(lines[0], ' ');
  ModelHead head{.path = name.empty() ? folder : absl::StrCat(folder, "/", name),
                 .sha256 = model.first,
                 .head_sha256 = "",
                 .commit = model.second};
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> words = absl::StrSplit(lines[i], absl::MaxSplits(' ', 2));
    uint64_t bytes;
    if (words.size() != 3 || !absl::SimpleAtoi(words[1], &bytes)) return {};
    if (HashOf(files, absl::StrCat(folder, "/", words[2]), bytes) != words[0]) return {};
    if (!name.empty()) head.head_sha256 = words[0];
  }
  return head;
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

// Removes what an earlier start has left, of another commit perhaps: whoever reads the folder would take it for this
// one's. First goes what says that the rest is whole.
absl::Status Clear(FileSystem& files, const std::string& folder, const std::string& head) {
  ASSIGN_OR_RETURN(std::vector<FolderEntry> entries, files.List(folder));
  std::stable_partition(entries.begin(), entries.end(), [&](const FolderEntry& entry) { return entry.name == head; });
  for (const FolderEntry& entry : entries) RETURN_IF_ERROR(files.Remove(absl::StrCat(folder, "/", entry.name)));
  return files.SyncFolder(folder);
}

// The head of the model's first file, to `folder`.
absl::StatusOr<Part> FetchHead(FileSystem& files, HttpClient& client, const RemoteModel& model,
                               const std::string& folder, EndOfHead end_of_head) {
  const RemoteModel::File& file = model.files[0];
  const std::string path = absl::StrCat(folder, "/", file.sum.name), coming = path + ".part";
  const absl::StatusOr<uint64_t> bytes = ReadHead(files, client, file.remote, coming, end_of_head);
  if (!bytes.ok()) {
    files.Remove(coming).IgnoreError();
    return bytes.status();
  }
  Part part{file.sum.name, HashOf(files, coming, *bytes), *bytes};
  if (part.sha256.empty()) return absl::UnavailableError(absl::StrCat("'", coming, "' cannot be read again"));
  RETURN_IF_ERROR(files.Rename(coming, path));
  return part;
}

// All files of a repository but the weights, to `folder`.
absl::StatusOr<std::vector<Part>> FetchTexts(FileSystem& files, HttpClient& client, const RemoteModel& model,
                                             const std::string& folder) {
  std::vector<Part> parts;
  for (const RemoteModel::File& file : model.files) {
    if (absl::EndsWith(file.sum.name, ".safetensors")) continue;
    std::string text = file.content;
    if (text.empty()) {
      ASSIGN_OR_RETURN(text, file.remote.ReadWhole(client));
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> out, files.Create(absl::StrCat(folder, "/", file.sum.name)));
    RETURN_IF_ERROR(out->Write(0, {reinterpret_cast<const std::byte*>(text.data()), text.size()}));
    RETURN_IF_ERROR(out->Sync());
    parts.push_back({file.sum.name, file.sum.sha256, text.size()});
  }
  return parts;
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

std::string ModelHeadFolder(const WeightsSource& source) {
  return Sha256Hex(absl::StrCat(source.name(), "#", source.sha256));
}

absl::StatusOr<ModelHead> FetchModelHead(FileSystem& files, const std::string& root, const WeightsSource& source,
                                         const RemoteOptions& options, EndOfHead end_of_head) {
  const std::string folder = absl::StrCat(root, "/", ModelHeadFolder(source));
  const std::string name = source.file_name();
  const OnlyOne only_one(folder);
  if (ModelHead here = FindHere(files, folder, name); !here.path.empty()) return here;
  HttpClient client;
  ASSIGN_OR_RETURN(const RemoteModel model, FindRemoteModel(client, source, options));
  RETURN_IF_ERROR(files.CreateFolder(folder));
  RETURN_IF_ERROR(files.SyncFolder(root));
  RETURN_IF_ERROR(Clear(files, folder, absl::StrCat(name, kHead)));
  ModelHead head{.path = folder, .sha256 = model.sha256, .head_sha256 = "", .commit = model.commit};
  std::vector<Part> parts;
  if (name.empty()) {
    ASSIGN_OR_RETURN(parts, FetchTexts(files, client, model, folder));
  } else {
    ASSIGN_OR_RETURN(Part part, FetchHead(files, client, model, folder, end_of_head));
    head.path = absl::StrCat(folder, "/", name);
    head.head_sha256 = part.sha256;
    parts.push_back(std::move(part));
  }
  RETURN_IF_ERROR(files.SyncFolder(folder));
  RETURN_IF_ERROR(WriteObject(files, absl::StrCat(folder, "/", name, kHead), kKind, Print(head, parts)));
  return head;
}

}  // namespace spotinference
