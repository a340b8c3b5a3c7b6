#include "engine/volume/weights.h"

#include <glog/logging.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/http_client.h"
#include "engine/base/model_files.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/volume/download.h"
#include "engine/volume/file_proof.h"
#include "engine/volume/object.h"
#include "engine/volume/remote_model.h"

namespace spotinference {
namespace {

constexpr ObjectKind kSourceKind{"weights source", 3};  // 2 named no commit

// What a source of the hub was: the text of its object is the commit, "" where the hub named none, and the sums.
struct KnownSource {
  std::string commit;
  std::vector<FileSum> sums;  // none: it is not known
};

// The files that PrintSums wrote; none where it is no such text.
std::vector<FileSum> ParseSums(absl::string_view text) {
  std::vector<FileSum> sums;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(line, absl::MaxSplits("  ", 1));
    if (!IsHexHash(parts.first, 64) || parts.second.empty() || absl::StrContains(parts.second, '/')) return {};
    sums.push_back({parts.second, parts.first});
  }
  return sums;
}

KnownSource ReadSource(FileSystem& files, const std::string& path) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(ReadObject(files, path, kSourceKind), absl::MaxSplits('\n', 1));
  if (!parts.first.empty() && !IsHexHash(parts.first, 40)) return {};
  return {parts.first, ParseSums(parts.second)};
}

// As remote_model.h has it.
std::string HashOf(const std::vector<FileSum>& sums) {
  return sums.size() == 1 ? sums[0].sha256 : ModelHashOf(sums);
}

struct Other {
  absl::Time modified;  // InfinitePast: it is of no use to anybody
  std::string path;
  uint64_t size_bytes;
};

// Files of other models, the oldest first.
absl::StatusOr<std::vector<Other>> ListOthers(FileSystem& files, const std::string& weights, const std::string& sha256) {
  std::vector<Other> others;
  ASSIGN_OR_RETURN(const std::vector<FolderEntry> folders, files.List(weights));
  for (const FolderEntry& folder : folders) {
    if (!folder.is_folder || folder.name == sha256 || folder.name == "sources") continue;
    const std::string path = absl::StrCat(weights, "/", folder.name);
    ASSIGN_OR_RETURN(const std::vector<FolderEntry> entries, files.List(path));
    std::set<std::string> names;
    for (const FolderEntry& entry : entries) names.insert(entry.name);
    for (const FolderEntry& entry : entries) {
      absl::string_view file = entry.name;
      const bool is_lone = absl::ConsumeSuffix(&file, kProofEnding) && !names.contains(std::string(file));
      const bool is_useless = is_lone || IsHalfDownload(entry.name);
      others.push_back({is_useless ? absl::InfinitePast() : entry.modified, absl::StrCat(path, "/", entry.name),
                        entry.size_bytes});
    }
    if (entries.empty()) files.Remove(path).IgnoreError();
  }
  std::sort(others.begin(), others.end(), [](const Other& a, const Other& b) { return a.modified < b.modified; });
  return others;
}

absl::Status Remove(FileSystem& files, const Other& other) {
  const absl::Status removed = files.Remove(other.path);
  if (!absl::IsNotFound(removed)) RETURN_IF_ERROR(removed);  // as the hashes of a file before it
  files.Remove(absl::StrCat(other.path, kProofEnding)).IgnoreError();
  files.Remove(other.path.substr(0, other.path.rfind('/'))).IgnoreError();  // unless something else is in it
  return absl::OkStatus();
}

// Sources whose weights have gone since they came.
void ForgetGone(FileSystem& files, const std::string& weights) {
  const std::string sources = absl::StrCat(weights, "/sources");
  const absl::StatusOr<std::vector<FolderEntry>> entries = files.List(sources);
  if (!entries.ok()) return;
  for (const FolderEntry& entry : *entries) {
    const std::string path = absl::StrCat(sources, "/", entry.name);
    const std::vector<FileSum> sums = ReadSource(files, path).sums;
    if (!sums.empty() && files.List(absl::StrCat(weights, "/", HashOf(sums))).ok()) continue;
    files.Remove(path).IgnoreError();
  }
}

class Fetch {
 public:
  Fetch(FileSystem& files, const std::string& root, const WeightsSource& source, const FetchOptions& options)
      : files_(files),
        options_(options),
        source_(source),
        is_hub_(source.kind == WeightsSource::Kind::kHub),
        weights_(absl::StrCat(root, "/weights")),
        root_(root),
        text_(source.name()) {}

  absl::StatusOr<FetchedWeights> Run() {
    RETURN_IF_ERROR(files_.CreateFolder(weights_));
    RETURN_IF_ERROR(files_.SyncFolder(root_));
    const std::string known = absl::StrCat(weights_, "/sources/", Sha256Hex(text_));
    WeightsSource source = source_;
    if (is_hub_) {
      KnownSource was = ReadSource(files_, known);
      if (!was.commit.empty()) source.revision = was.commit;  // its branch may be elsewhere by now
      Expect(std::move(was.sums));
    } else {
      Expect({{source_.file_name(), source_.sha256}});
    }
    ClearFinished();
    if (!sums_.empty() && Missing().empty()) return Fetched();

    HttpClient client;
    ASSIGN_OR_RETURN(const RemoteModel model, FindRemoteModel(client, source, options_.remote));
    Expect(SumsOf(model));
    ClearFinished();
    if (!Missing().empty()) {
      RETURN_IF_ERROR(files_.CreateFolder(Folder()));
      RETURN_IF_ERROR(files_.SyncFolder(weights_));
      RETURN_IF_ERROR(GetMissing(model));
    }
    if (is_hub_) {
      RETURN_IF_ERROR(files_.CreateFolder(absl::StrCat(weights_, "/sources")));
      RETURN_IF_ERROR(files_.SyncFolder(weights_));
      RETURN_IF_ERROR(WriteObject(files_, known, kSourceKind, absl::StrCat(model.commit, "\n", PrintSums(sums_))));
      ForgetGone(files_, weights_);
    }
    return Fetched();
  }

 private:
  void Expect(std::vector<FileSum> sums) {
    sums_ = std::move(sums);
    sha256_ = HashOf(sums_);
  }
  std::string Folder() const { return absl::StrCat(weights_, "/", sha256_); }
  std::string PathOf(const FileSum& file) const { return absl::StrCat(Folder(), "/", file.name); }

  FetchedWeights Fetched() const {
    const std::string name = source_.file_name();
    FetchedWeights fetched{name.empty() ? Folder() : absl::StrCat(Folder(), "/", name), sha256_, {}};
    for (const FileSum& sum : sums_) fetched.files.push_back({PathOf(sum), sum.sha256});
    return fetched;
  }

  // The numbers of those that are not here.
  std::vector<size_t> Missing() const {
    const absl::StatusOr<std::vector<FolderEntry>> entries = files_.List(Folder());
    std::vector<size_t> missing;
    for (size_t i = 0; i < sums_.size(); ++i) {
      const bool is_here = entries.ok() && std::any_of(entries->begin(), entries->end(), [&](const FolderEntry& entry) {
                             return !entry.is_folder && entry.name == sums_[i].name;
                           });
      if (!is_here) missing.push_back(i);
    }
    return missing;
  }

  // The ends of the downloads of what is here may have been cut.
  void ClearFinished() {
    const std::vector<size_t> missing = Missing();
    for (size_t i = 0; i < sums_.size(); ++i) {
      if (!std::binary_search(missing.begin(), missing.end(), i)) ClearDownload(files_, PathOf(sums_[i]));
    }
  }

  absl::Status GetMissing(const RemoteModel& model) {
    uint64_t total = 0;
    for (const RemoteModel::File& file : model.files) total += file.remote.size_bytes();
    std::vector<uint64_t> left(model.files.size(), 0);  // bytes of each that are yet to come
    std::vector<std::unique_ptr<Download>> downloads(model.files.size());
    const std::vector<size_t> missing = Missing();
    for (const size_t i : missing) {
      const RemoteModel::File& file = model.files[i];
      left[i] = file.remote.size_bytes();
      if (!file.content.empty()) continue;
      downloads[i] = std::make_unique<Download>(files_, PathOf(file.sum), file.remote, options_.piece_bytes);
      left[i] -= downloads[i]->bytes_here();
    }
    const auto left_in_all = [&] { return std::accumulate(left.begin(), left.end(), uint64_t{0}); };
    RETURN_IF_ERROR(MakeRoom(left_in_all()));
    LOG(INFO) << "weights " << text_ << ": " << total / 1000000 << " MB, " << (total - left_in_all()) / 1000000
              << " MB of them here";
    for (const size_t i : missing) {
      const RemoteModel::File& file = model.files[i];
      const auto progress = [&](uint64_t here) {
        left[i] = file.remote.size_bytes() - here;
        if (options_.on_progress) options_.on_progress(total - left_in_all(), total);
      };
      if (downloads[i] != nullptr) {
        RETURN_IF_ERROR(downloads[i]->Run(options_.connections, progress));
        downloads[i].reset();
      } else {
        RETURN_IF_ERROR(WriteDownload(files_, PathOf(file.sum), file.content));
        progress(file.remote.size_bytes());
      }
    }
    return absl::OkStatus();
  }

  // What downloads of others left goes; then, the oldest first, the weights of others, as far as room is needed; but
  // none of these where even all that can go would not be enough.
  absl::Status MakeRoom(uint64_t bytes) const {
    ASSIGN_OR_RETURN(const std::vector<Other> others, ListOthers(files_, weights_, sha256_));
    uint64_t can_go = options_.evictable_bytes;
    for (const Other& other : others) can_go += other.size_bytes;
    const bool in_vain = !HasRoom(bytes - std::min(bytes, can_go)).ok();
    for (const Other& other : others) {
      if (other.modified > absl::InfinitePast() && (in_vain || HasRoom(bytes).ok())) break;
      LOG(INFO) << "weights " << text_ << ": " << other.path << " makes room";
      RETURN_IF_ERROR(Remove(files_, other));
    }
    if (options_.make_room && !in_vain && !HasRoom(bytes).ok()) options_.make_room(bytes);
    return HasRoom(bytes);
  }

  absl::Status HasRoom(uint64_t bytes) const {
    const absl::StatusOr<uint64_t> free = files_.FreeBytes(root_);
    if (!free.ok() || *free >= bytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrCat("weights '", text_, "': ", bytes, " bytes, and ", *free, " are free on the volume"));
  }

  FileSystem& files_;
  const FetchOptions& options_;
  const WeightsSource& source_;
  const bool is_hub_;
  const std::string weights_, root_;
  const std::string text_;     // of the source, without what may be secret
  std::vector<FileSum> sums_;  // what it is made of, once that is known; ascending by name
  std::string sha256_;         // the model's
};

}  // namespace

absl::StatusOr<FetchedWeights> FetchWeights(FileSystem& files, const std::string& root, const WeightsSource& source,
                                            const FetchOptions& options) {
  if (source.kind == WeightsSource::Kind::kFile) return FetchedWeights{source.path, "", {}};
  return Fetch(files, root, source, options).Run();
}

void SweepWeights(FileSystem& files, const std::string& root, const std::string& sha256, uint64_t max_bytes,
                  absl::Time now) {
  const std::string weights = absl::StrCat(root, "/weights"), own = absl::StrCat(weights, "/", sha256);
  if (const absl::StatusOr<std::vector<FolderEntry>> entries = files.List(own); entries.ok()) {
    for (const FolderEntry& entry : *entries) files.SetModified(absl::StrCat(own, "/", entry.name), now).IgnoreError();
  }
  const absl::StatusOr<std::vector<Other>> others = ListOthers(files, weights, sha256);
  if (!others.ok()) return;
  uint64_t bytes = 0;
  for (const Other& other : *others) bytes += other.size_bytes;
  for (const Other& other : *others) {
    if (other.modified > absl::InfinitePast() && bytes <= max_bytes) break;
    LOG(INFO) << "weights: " << other.path << ", of another model, goes";
    const absl::Status removed = Remove(files, other);
    LOG_IF(WARNING, !removed.ok()) << removed.message();
    bytes -= other.size_bytes;
  }
  ForgetGone(files, weights);
}

}  // namespace spotinference
