#include "engine/volume/object.h"

#include <glog/logging.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "engine/base/thread_pool.h"
#include "xxhash.h"

namespace spotinference {
namespace {

static_assert(std::endian::native == std::endian::little, "headers are written as they lie in memory");

constexpr char kMagic[8] = {'s', 'p', 'o', 't', 'o', 'b', 'j', '1'};

struct Header {
  char magic[8];
  char kind[16];
  uint32_t version;
  uint32_t chunk_bytes;
  uint64_t payload_bytes;
  uint64_t table_hash;
  char zeros[kObjectHeaderBytes - 56];
  uint64_t hash;  // of all before it
};
static_assert(sizeof(Header) == kObjectHeaderBytes);

uint64_t HeaderHash(const Header& header) { return XXH3_64bits(&header, offsetof(Header, hash)); }

absl::Span<const std::byte> Bytes(const void* data, size_t size) {
  return {static_cast<const std::byte*>(data), size};
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Of a pass over all: what one thread asks the disk for at once. Deep enough a queue for network disks (1 GB/s · 10
// ms).
constexpr uint64_t kGroupChunks = 64;

}  // namespace

ObjectWriter::ObjectWriter(FileSystem& files, std::string path, ObjectKind kind)
    : files_(files), path_(std::move(path)), temporary_(absl::StrCat(path_, kTemporaryEnding)), kind_(kind) {
  chunk_.reserve(kObjectChunkBytes);
}

absl::StatusOr<std::unique_ptr<ObjectWriter>> ObjectWriter::Create(FileSystem& files, const std::string& path,
                                                                   ObjectKind kind) {
  CHECK_LE(kind.name.size(), sizeof(Header::kind));
  std::unique_ptr<ObjectWriter> writer(new ObjectWriter(files, path, kind));
  ASSIGN_OR_RETURN(writer->file_, files.Create(writer->temporary_));
  return writer;
}

ObjectWriter::~ObjectWriter() {
  if (committed_ || file_ == nullptr) return;
  file_.reset();
  files_.Remove(temporary_).IgnoreError();  // else the next opening of the volume removes it
}

absl::Status ObjectWriter::Append(absl::Span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t n = std::min<size_t>(bytes.size(), kObjectChunkBytes - chunk_.size());
    chunk_.insert(chunk_.end(), bytes.begin(), bytes.begin() + n);
    bytes.remove_prefix(n);
    size_ += n;
    if (chunk_.size() == kObjectChunkBytes) RETURN_IF_ERROR(Flush());
  }
  return absl::OkStatus();
}

absl::Status ObjectWriter::Flush() {
  if (chunk_.empty()) return absl::OkStatus();
  table_.push_back(XXH3_64bits(chunk_.data(), chunk_.size()));
  RETURN_IF_ERROR(file_->Write(kObjectHeaderBytes + size_ - chunk_.size(), chunk_));
  chunk_.clear();
  return absl::OkStatus();
}

absl::Status ObjectWriter::Commit() {
  RETURN_IF_ERROR(Flush());
  const auto table = Bytes(table_.data(), table_.size() * sizeof(uint64_t));
  if (!table.empty()) RETURN_IF_ERROR(file_->Write(kObjectHeaderBytes + size_, table));
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  std::memcpy(header.kind, kind_.name.data(), kind_.name.size());
  header.version = kind_.version;
  header.chunk_bytes = kObjectChunkBytes;
  header.payload_bytes = size_;
  header.table_hash = XXH3_64bits(table.data(), table.size());
  header.hash = HeaderHash(header);
  RETURN_IF_ERROR(file_->Write(0, Bytes(&header, sizeof(header))));
  RETURN_IF_ERROR(file_->Sync());
  file_.reset();
  if (const absl::Status renamed = files_.Rename(temporary_, path_); !renamed.ok()) {
    files_.Remove(temporary_).IgnoreError();
    return renamed;
  }
  committed_ = true;
  return files_.SyncFolder(FolderOf(path_));
}

Object::Object(std::string path, std::unique_ptr<MappedBytes> map, absl::Span<const std::byte> payload)
    : path_(std::move(path)),
      map_(std::move(map)),
      payload_(payload),
      table_(payload.data() + payload.size()),
      verified_(new std::atomic<bool>[chunks()]()) {}

absl::StatusOr<std::unique_ptr<Object>> Object::Open(FileSystem& files, const std::string& path, ObjectKind kind) {
  ASSIGN_OR_RETURN(std::unique_ptr<MappedBytes> map, files.Map(path));
  const absl::Span<const std::byte> bytes = map->bytes();
  const auto damaged = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat("object '", path, "': ", what));
  };
  if (bytes.size() < kObjectHeaderBytes) return damaged("shorter than a header");
  RETURN_IF_ERROR(map->Populate(0, kObjectHeaderBytes));
  Header header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) return damaged("not an object");
  if (header.hash != HeaderHash(header)) return damaged("its header is damaged");
  if (absl::string_view(header.kind, strnlen(header.kind, sizeof(header.kind))) != kind.name ||
      header.version != kind.version || header.chunk_bytes != kObjectChunkBytes) {
    return damaged("of another kind or version");
  }
  const uint64_t after_header = bytes.size() - kObjectHeaderBytes;
  if (header.payload_bytes > after_header) return damaged("cut short");
  const uint64_t table_entries = (header.payload_bytes + kObjectChunkBytes - 1) / kObjectChunkBytes;
  if (after_header - header.payload_bytes != table_entries * sizeof(uint64_t)) {
    return damaged("not as long as its header says");
  }
  std::unique_ptr<Object> object(
      new Object(path, std::move(map), bytes.subspan(kObjectHeaderBytes, header.payload_bytes)));
  const uint64_t table_bytes = table_entries * sizeof(uint64_t);
  RETURN_IF_ERROR(object->map_->Populate(kObjectHeaderBytes + header.payload_bytes, table_bytes));
  if (XXH3_64bits(object->table_, table_bytes) != header.table_hash) return damaged("its table of hashes is damaged");
  return object;
}

absl::Status Object::CheckHash(uint64_t chunk, absl::Span<const std::byte> bytes) const {
  uint64_t expected;
  std::memcpy(&expected, table_ + chunk * sizeof(expected), sizeof(expected));
  if (XXH3_64bits(bytes.data(), bytes.size()) == expected) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("object '", path_, "': damaged within ", bytes.size(), " bytes from ", begin(chunk), " on"));
}

absl::Status Object::VerifyChunk(uint64_t chunk) const {
  if (verified_[chunk].load(std::memory_order_acquire)) return absl::OkStatus();
  RETURN_IF_ERROR(map_->Populate(kObjectHeaderBytes + begin(chunk), size(chunk)));
  RETURN_IF_ERROR(CheckHash(chunk, payload_.subspan(begin(chunk), size(chunk))));
  verified_[chunk].store(true, std::memory_order_release);
  return absl::OkStatus();
}

absl::Status Object::ReadChunk(uint64_t chunk, absl::Span<std::byte> to) const {
  to = to.subspan(begin(chunk), size(chunk));
  RETURN_IF_ERROR(map_->Read(kObjectHeaderBytes + begin(chunk), to));
  return CheckHash(chunk, to);  // of what lies in the processor's cache now
}

absl::Status Object::Verify(uint64_t offset, uint64_t size) const {
  if (offset > payload_.size() || size > payload_.size() - offset) {
    return absl::InvalidArgumentError(
        absl::StrCat("object '", path_, "': ", size, " bytes from ", offset, " on of ", payload_.size()));
  }
  if (size == 0) return absl::OkStatus();
  for (uint64_t chunk = offset / kObjectChunkBytes; chunk <= (offset + size - 1) / kObjectChunkBytes; ++chunk) {
    RETURN_IF_ERROR(VerifyChunk(chunk));
  }
  return absl::OkStatus();
}

absl::Status Object::ForAllChunks(int threads, absl::FunctionRef<absl::Status(uint64_t)> work) const {
  absl::Mutex mutex;
  absl::Status first;
  ThreadPool pool(threads);
  pool.ParallelFor(static_cast<int64_t>(chunks()), kGroupChunks, [&](int64_t begin, int64_t end) {
    map_->Prefetch(kObjectHeaderBytes + begin * kObjectChunkBytes, (end - begin) * kObjectChunkBytes);
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const absl::Status done = work(chunk);
      if (done.ok()) continue;
      absl::MutexLock lock(&mutex);
      first.Update(done);
      return;
    }
  });
  return first;
}

absl::Status Object::VerifyAll(int threads) const {
  return ForAllChunks(threads, [this](uint64_t chunk) { return VerifyChunk(chunk); });
}

absl::Status Object::ReadAll(absl::Span<std::byte> to, int threads) const {
  return ForAllChunks(threads, [&](uint64_t chunk) { return ReadChunk(chunk, to); });
}

absl::Status WriteObject(FileSystem& files, const std::string& path, ObjectKind kind, absl::string_view payload) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, ObjectWriter::Create(files, path, kind));
  RETURN_IF_ERROR(writer->Append({reinterpret_cast<const std::byte*>(payload.data()), payload.size()}));
  return writer->Commit();
}

std::string ReadObject(FileSystem& files, const std::string& path, ObjectKind kind) {
  const absl::StatusOr<std::unique_ptr<Object>> object = Object::Open(files, path, kind);
  if (!object.ok() || !(*object)->VerifyAll(1).ok()) return "";
  return std::string(reinterpret_cast<const char*>((*object)->payload().data()), (*object)->payload().size());
}

}  // namespace spotinference
