#include "engine/volume/volume.h"

#include <glog/logging.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

constexpr absl::string_view kCategories[] = {"cache", "kv"};

// Left to others on the disk, logs for one.
constexpr uint64_t kFreeBytes = uint64_t{64} << 20;

}  // namespace

Volume::Volume(FileSystem& files, Options options, const Clock& clock, std::unique_ptr<FileLock> lock)
    : files_(files), options_(std::move(options)), clock_(clock), lock_(std::move(lock)) {}

absl::StatusOr<std::unique_ptr<Volume>> Volume::Open(FileSystem& files, Options options, const Clock& clock) {
  RETURN_IF_ERROR(files.CreateFolder(options.root));
  if (const size_t slash = options.root.rfind('/'); slash != std::string::npos && slash > 0) {
    files.SyncFolder(options.root.substr(0, slash)).IgnoreError();  // as far as it may be opened
  }
  // Not the file "lock", by which a provider keeps one machine a volume.
  absl::StatusOr<std::unique_ptr<FileLock>> lock = files.Lock(options.root + "/engine.lock");
  if (absl::IsUnavailable(lock.status())) {
    return absl::UnavailableError(absl::StrCat("volume '", options.root, "': another engine has it"));
  }
  RETURN_IF_ERROR(lock.status());
  if (options.max_bytes == 0) {
    ASSIGN_OR_RETURN(const uint64_t size, files.SizeBytes(options.root));
    options.max_bytes = size / 2;
  }
  std::unique_ptr<Volume> volume(new Volume(files, std::move(options), clock, *std::move(lock)));
  absl::MutexLock guard(&volume->mutex_);
  RETURN_IF_ERROR(volume->Scan());
  return volume;
}

std::string Volume::Path(const std::string& folder, const std::string& name) const {
  return absl::StrCat(options_.root, "/", folder, "/", name);
}

absl::Status Volume::Scan() {
  for (const absl::string_view category : kCategories) {
    const absl::StatusOr<std::vector<FolderEntry>> folders = files_.List(absl::StrCat(options_.root, "/", category));
    if (absl::IsNotFound(folders.status())) continue;
    RETURN_IF_ERROR(folders.status());
    for (const FolderEntry& folder : *folders) {
      if (folder.is_folder) RETURN_IF_ERROR(ScanFolder(absl::StrCat(category, "/", folder.name)));
    }
  }
  return absl::OkStatus();
}

absl::Status Volume::ScanFolder(const std::string& folder) {
  const std::string path = absl::StrCat(options_.root, "/", folder);
  ASSIGN_OR_RETURN(const std::vector<FolderEntry> found, files_.List(path));
  bool empty = true;
  for (const FolderEntry& entry : found) {
    if (!entry.is_folder && absl::EndsWith(entry.name, ObjectWriter::kTemporaryEnding)) {
      RETURN_IF_ERROR(files_.Remove(Path(folder, entry.name)));
      continue;
    }
    empty = false;
    if (!entry.is_folder) entries_.push_back({folder, entry.name, entry.size_bytes, entry.modified});
  }
  return empty ? files_.Remove(path) : absl::OkStatus();
}

void Volume::Keep(absl::string_view folder) {
  absl::MutexLock lock(&mutex_);
  kept_.insert(std::string(folder));
}

absl::StatusOr<std::unique_ptr<Object>> Volume::Find(const std::string& folder, const std::string& name,
                                                     ObjectKind kind) {
  const std::string path = Path(folder, name);
  absl::StatusOr<std::unique_ptr<Object>> object = Object::Open(files_, path, kind);
  if (object.ok() || absl::IsNotFound(object.status())) return object;
  // Of what could not be opened for lack of descriptors or memory, nothing is known.
  const bool damaged = absl::IsDataLoss(object.status()) || absl::IsInvalidArgument(object.status());
  LOG(WARNING) << "volume: " << object.status().message() << (damaged ? "; removed" : "");
  if (damaged) Remove(folder, name);
  return absl::NotFoundError(object.status().message());
}

void Volume::MarkUsed(const std::string& folder, const std::string& name) {
  const absl::Time now = clock_.Now();
  files_.SetModified(Path(folder, name), now).IgnoreError();
  absl::MutexLock lock(&mutex_);
  for (Entry& entry : entries_) {
    if (entry.folder == folder && entry.name == name) entry.used = now;
  }
}

absl::Status Volume::CreateFolder(const std::string& folder) {
  const std::string category = absl::StrCat(options_.root, "/", folder.substr(0, folder.find('/')));
  RETURN_IF_ERROR(files_.CreateFolder(category));
  RETURN_IF_ERROR(files_.CreateFolder(absl::StrCat(options_.root, "/", folder)));
  RETURN_IF_ERROR(files_.SyncFolder(category));
  return files_.SyncFolder(options_.root);
}

absl::Status Volume::Write(const std::string& folder, const std::string& name, ObjectKind kind, uint64_t size_bytes,
                           absl::FunctionRef<absl::Status(ObjectWriter&)> fill) {
  const std::string path = Path(folder, name);
  uint64_t written = 0;
  const auto write = [&]() -> absl::Status {
    RETURN_IF_ERROR(CreateFolder(folder));
    ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, ObjectWriter::Create(files_, path, kind));
    RETURN_IF_ERROR(fill(*writer));
    RETURN_IF_ERROR(writer->Commit());
    written = ObjectFileBytes(writer->size());
    return absl::OkStatus();
  };
  {
    absl::MutexLock lock(&mutex_);
    if (full_) return absl::ResourceExhaustedError(absl::StrCat("volume '", options_.root, "' is full"));
    RETURN_IF_ERROR(MakeRoom(folder, path, ObjectFileBytes(size_bytes)));
  }
  const absl::Status status = write();
  absl::MutexLock lock(&mutex_);
  if (absl::IsResourceExhausted(status) && !full_.exchange(true)) {
    LOG(WARNING) << "volume '" << options_.root << "' is full, nothing more is cached: " << status.message();
  }
  RETURN_IF_ERROR(status);
  Forget(folder, name);
  entries_.push_back({folder, name, written, clock_.Now()});
  return absl::OkStatus();
}

// Room for `size_bytes` more in `folder`, within the bound and on the disk, the one object at `path` not being taken.
absl::Status Volume::MakeRoom(const std::string& folder, const std::string& path, uint64_t size_bytes) {
  if (size_bytes > options_.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("volume '", options_.root, "': an object of ", size_bytes, " bytes, more than the ",
                     options_.max_bytes, " it may have in all"));
  }
  for (;;) {
    uint64_t used = 0;
    for (const Entry& entry : entries_) used += entry.size_bytes;
    const absl::StatusOr<uint64_t> free = files_.FreeBytes(options_.root);
    // Where not even all that is here would make room, nothing goes for it; the disk says for itself what it takes.
    const bool in_vain = free.ok() && *free + used < size_bytes + kFreeBytes;
    const bool on_disk = !free.ok() || *free >= size_bytes + kFreeBytes || in_vain;
    if (on_disk && used + size_bytes <= options_.max_bytes) return absl::OkStatus();
    const auto least = LeastValuable(path);
    // What is kept goes for nothing that is worth less: KV that is saved now is no reason to pack the weights again.
    if (least == entries_.end() || Worth(least->folder) > Worth(folder)) {
      // The bound is ours and holds; the disk may have room all the same, and says so itself.
      return used + size_bytes <= options_.max_bytes
                 ? absl::OkStatus()
                 : absl::ResourceExhaustedError(absl::StrCat("volume '", options_.root, "': ", used, " of ",
                                                             options_.max_bytes, " bytes are in use"));
    }
    LOG(INFO) << "volume: " << least->folder << "/" << least->name << " makes room for " << path;
    RemoveEntry(least);
  }
}

void Volume::MakeRoomOnDisk(uint64_t size_bytes) {
  absl::MutexLock lock(&mutex_);
  for (;;) {
    const absl::StatusOr<uint64_t> free = files_.FreeBytes(options_.root);
    const auto least = LeastValuable("");
    if (!free.ok() || *free >= size_bytes + kFreeBytes || least == entries_.end()) return;
    RemoveEntry(least);
  }
}

int Volume::Worth(const std::string& folder) const {
  if (!kept_.contains(folder)) return 0;
  return absl::StartsWith(folder, "cache/") ? 2 : 1;
}

std::vector<Volume::Entry>::iterator Volume::LeastValuable(const std::string& path) {
  const auto worth = [&](const Entry& entry) { return std::make_pair(Worth(entry.folder), entry.used); };
  auto least = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (Path(entry->folder, entry->name) == path) continue;
    if (least == entries_.end() || worth(*entry) < worth(*least)) least = entry;
  }
  return least;
}

void Volume::RemoveEntry(std::vector<Entry>::iterator entry) {
  const std::string folder = entry->folder, name = entry->name;
  const absl::Status removed = files_.Remove(Path(folder, name));
  if (on_removed_) on_removed_(folder, name);
  if (!removed.ok() && !absl::IsNotFound(removed)) LOG(WARNING) << "volume: " << removed.message();
  entries_.erase(entry);
  const bool last = std::none_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.folder == folder; });
  if (last && !kept_.contains(folder)) files_.Remove(absl::StrCat(options_.root, "/", folder)).IgnoreError();
}

void Volume::Forget(const std::string& folder, const std::string& name) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.folder == folder && entry.name == name; });
}

void Volume::Remove(const std::string& folder, const std::string& name) {
  absl::MutexLock lock(&mutex_);
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& e) { return e.folder == folder && e.name == name; });
  if (entry != entries_.end()) RemoveEntry(entry);
}

void Volume::OnRemoved(std::function<void(const std::string& folder, const std::string& name)> listener) {
  absl::MutexLock lock(&mutex_);
  on_removed_ = std::move(listener);
}

absl::Status Volume::RemoveDurably(const std::string& folder, const std::string& name) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(files_.Remove(Path(folder, name)));
  RETURN_IF_ERROR(files_.SyncFolder(absl::StrCat(options_.root, "/", folder)));
  Forget(folder, name);
  return absl::OkStatus();
}

void Volume::RemoveFolder(const std::string& folder) {
  for (const Entry& entry : List(folder)) Remove(folder, entry.name);
}

std::vector<Volume::Entry> Volume::List(absl::string_view folder) const {
  absl::MutexLock lock(&mutex_);
  std::vector<Entry> entries;
  std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(entries),
               [&](const Entry& entry) { return folder.empty() || entry.folder == folder; });
  return entries;
}

uint64_t Volume::used_bytes() const {
  absl::MutexLock lock(&mutex_);
  uint64_t used = 0;
  for (const Entry& entry : entries_) used += entry.size_bytes;
  return used;
}

}  // namespace spotinference
