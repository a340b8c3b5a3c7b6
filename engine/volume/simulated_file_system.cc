#include "engine/volume/simulated_file_system.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

absl::Status Dead() { return absl::AbortedError("the process is dead"); }
absl::Status Missing(const std::string& path) { return absl::NotFoundError(absl::StrCat("'", path, "'")); }

class SimulatedMap : public MappedBytes {
 public:
  explicit SimulatedMap(std::string bytes) : bytes_(std::move(bytes)) {}
  absl::Span<const std::byte> bytes() const override {
    return {reinterpret_cast<const std::byte*>(bytes_.data()), bytes_.size()};
  }
  absl::Status Read(uint64_t offset, absl::Span<std::byte> to) const override {
    std::memcpy(to.data(), bytes_.data() + offset, to.size());
    return absl::OkStatus();
  }
  void Prefetch(uint64_t, uint64_t) const override {}
  absl::Status Populate(uint64_t, uint64_t) const override { return absl::OkStatus(); }

 private:
  const std::string bytes_;
};

}  // namespace

class SimulatedFile : public WritableFile {
 public:
  SimulatedFile(SimulatedFileSystem& files, std::shared_ptr<SimulatedFileSystem::Node> node)
      : files_(files), node_(std::move(node)) {}

  absl::Status Write(uint64_t offset, absl::Span<const std::byte> bytes) override {
    absl::MutexLock lock(&files_.mutex_);
    bool last = false;
    if (!files_.Change(&last)) return Dead();
    SimulatedFileSystem::Write write{offset, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
    if (last) write.bytes.resize(files_.random_() % (write.bytes.size() + 1));
    if (files_.UsedBytes() + write.bytes.size() > files_.capacity_) return absl::ResourceExhaustedError("disk full");
    SimulatedFileSystem::Apply(write, node_->bytes);
    node_->unsynced.push_back(std::move(write));
    return last ? Dead() : absl::OkStatus();
  }

  absl::Status Sync() override {
    absl::MutexLock lock(&files_.mutex_);
    if (!files_.Change()) return Dead();
    node_->durable = node_->bytes;
    node_->unsynced.clear();
    return absl::OkStatus();
  }

 private:
  SimulatedFileSystem& files_;
  const std::shared_ptr<SimulatedFileSystem::Node> node_;
};

class SimulatedLock : public FileLock {
 public:
  SimulatedLock(SimulatedFileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  ~SimulatedLock() override {
    absl::MutexLock lock(&files_.mutex_);
    files_.locked_.erase(path_);
  }

 private:
  SimulatedFileSystem& files_;
  const std::string path_;
};

bool SimulatedFileSystem::Change(bool* last) {
  if (cut_after_ >= 0 && operations_ >= cut_after_) return false;
  ++operations_;
  if (last != nullptr) *last = operations_ == cut_after_;
  return true;
}

void SimulatedFileSystem::Apply(const Write& write, std::string& bytes) {
  if (bytes.size() < write.offset + write.bytes.size()) bytes.resize(write.offset + write.bytes.size());
  std::memcpy(bytes.data() + write.offset, write.bytes.data(), write.bytes.size());
}

void SimulatedFileSystem::Apply(const Renaming& renaming, Names& names) {
  if (!renaming.from.empty()) names.erase(renaming.from);
  if (!renaming.to.empty()) names[renaming.to] = renaming.node;
}

void SimulatedFileSystem::Rename(const Renaming& renaming) {
  Apply(renaming, names_);
  unsynced_.push_back(renaming);
}

uint64_t SimulatedFileSystem::UsedBytes() const {
  uint64_t used = 0;
  for (const auto& [_, node] : names_) used += node->bytes.size();
  return used;
}

void SimulatedFileSystem::CutAfter(int64_t operations, uint32_t seed) {
  absl::MutexLock lock(&mutex_);
  cut_after_ = operations;
  random_.seed(seed);
}

void SimulatedFileSystem::Restart(Cut cut, uint32_t seed) {
  absl::MutexLock lock(&mutex_);
  if (cut == Cut::kPower) {
    std::mt19937 random(seed);
    std::shuffle(unsynced_.begin(), unsynced_.end(), random);
    for (const Renaming& renaming : unsynced_) {
      if (random() % 2 == 0) Apply(renaming, durable_names_);
    }
    names_ = durable_names_;
    // Without its folder a file is out of reach.
    std::erase_if(names_, [&](const auto& entry) {
      const std::string folder = FolderOf(entry.first);
      return !folder.empty() && !names_.contains(folder);
    });
    for (const auto& [_, node] : names_) {
      std::shuffle(node->unsynced.begin(), node->unsynced.end(), random);
      for (Write& write : node->unsynced) {
        if (random() % 3 == 0) write.bytes.resize(random() % (write.bytes.size() + 1));
        if (random() % 2 == 0) Apply(write, node->durable);
      }
      node->bytes = node->durable;
    }
  }
  for (const auto& [_, node] : names_) {
    node->durable = node->bytes;
    node->unsynced.clear();
  }
  durable_names_ = names_;
  unsynced_.clear();
  operations_ = 0;
  cut_after_ = -1;
}

int64_t SimulatedFileSystem::operations() const {
  absl::MutexLock lock(&mutex_);
  return operations_;
}

void SimulatedFileSystem::set_free_bytes(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  capacity_ = UsedBytes() + bytes;
}

std::string& SimulatedFileSystem::Contents(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  CHECK(names_.contains(path)) << path;
  return names_[path]->bytes;
}

std::vector<std::string> SimulatedFileSystem::Paths() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> paths;
  for (const auto& [path, node] : names_) {
    if (!node->is_folder) paths.push_back(path);
  }
  return paths;
}

absl::StatusOr<std::unique_ptr<WritableFile>> SimulatedFileSystem::Create(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (!names_.contains(FolderOf(path))) return Missing(FolderOf(path));
  if (!Change()) return Dead();
  auto node = std::make_shared<Node>();
  Rename({"", path, node});
  return std::make_unique<SimulatedFile>(*this, std::move(node));
}

absl::StatusOr<std::unique_ptr<WritableFile>> SimulatedFileSystem::Reopen(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  const auto found = names_.find(path);
  if (found == names_.end()) return Missing(path);
  return std::make_unique<SimulatedFile>(*this, found->second);
}

absl::StatusOr<std::unique_ptr<MappedBytes>> SimulatedFileSystem::Map(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  const auto found = names_.find(path);
  if (found == names_.end()) return Missing(path);
  return std::make_unique<SimulatedMap>(found->second->bytes);
}

absl::Status SimulatedFileSystem::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mutex_);
  CHECK_EQ(FolderOf(from), FolderOf(to)) << "only within one folder";
  const auto found = names_.find(from);
  if (found == names_.end()) return Missing(from);
  if (!Change()) return Dead();
  Rename({from, to, found->second});
  return absl::OkStatus();
}

absl::Status SimulatedFileSystem::Remove(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (!names_.contains(path)) return Missing(path);
  const auto next = names_.lower_bound(path + "/");
  if (next != names_.end() && absl::StartsWith(next->first, path + "/")) {
    return absl::FailedPreconditionError(absl::StrCat("'", path, "' is not empty"));
  }
  if (!Change()) return Dead();
  Rename({path, "", nullptr});
  return absl::OkStatus();
}

absl::Status SimulatedFileSystem::CreateFolder(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (names_.contains(path)) return absl::OkStatus();
  if (!Change()) return Dead();
  auto node = std::make_shared<Node>();
  node->is_folder = true;
  Rename({"", path, std::move(node)});
  return absl::OkStatus();
}

absl::Status SimulatedFileSystem::SyncFolder(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (!Change()) return Dead();
  std::erase_if(unsynced_, [&](const Renaming& renaming) {
    if (FolderOf(renaming.from.empty() ? renaming.to : renaming.from) != path) return false;
    Apply(renaming, durable_names_);
    return true;
  });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FolderEntry>> SimulatedFileSystem::List(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (!names_.contains(path)) return Missing(path);
  std::vector<FolderEntry> entries;
  for (const auto& [name, node] : names_) {
    if (FolderOf(name) != path) continue;
    entries.push_back({name.substr(path.size() + 1), node->is_folder, node->bytes.size(), node->modified});
  }
  return entries;
}

absl::Status SimulatedFileSystem::SetModified(const std::string& path, absl::Time modified) {
  absl::MutexLock lock(&mutex_);
  const auto found = names_.find(path);
  if (found == names_.end()) return Missing(path);
  found->second->modified = modified;
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> SimulatedFileSystem::FreeBytes(const std::string&) {
  absl::MutexLock lock(&mutex_);
  const uint64_t used = UsedBytes();
  return capacity_ > used ? capacity_ - used : 0;
}

absl::StatusOr<uint64_t> SimulatedFileSystem::SizeBytes(const std::string&) {
  absl::MutexLock lock(&mutex_);
  return capacity_;
}

absl::StatusOr<std::unique_ptr<FileLock>> SimulatedFileSystem::Lock(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (!locked_.insert(path).second) return absl::UnavailableError(absl::StrCat("'", path, "' is locked"));
  return std::make_unique<SimulatedLock>(*this, path);
}

}  // namespace spotinference
