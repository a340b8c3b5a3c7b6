#include "engine/volume/kv_store.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

constexpr ObjectKind kKind{"kv segment", 1};
constexpr char kPrefix[] = "segment-";
constexpr uint64_t kAlignment = 4096;
constexpr uint64_t kHashBytes = sizeof(BlockHash::bytes);
constexpr absl::Duration kSweep = absl::Minutes(10);  // little beside a time to live, and some milliseconds of work

struct Head {
  int64_t written;  // Unix seconds
  uint64_t block_bytes;
  uint64_t count;
};

uint64_t BlocksAt(uint64_t count) {
  return (sizeof(Head) + count * kHashBytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

absl::StatusOr<KvSegmentHead> ReadKvSegmentHead(absl::Span<const std::byte> payload) {
  Head head;
  const absl::Status damaged = absl::DataLossError("not a segment of KV");
  if (payload.size() < sizeof(head)) return damaged;
  std::memcpy(&head, payload.data(), sizeof(head));
  // Neither product can overflow: both factors are at most the payload's size.
  if (head.block_bytes == 0 || head.block_bytes > payload.size() || head.count > payload.size() / kHashBytes) {
    return damaged;
  }
  const uint64_t at = BlocksAt(head.count);
  if (at > payload.size() || head.count > payload.size() / head.block_bytes ||
      payload.size() - at != head.count * head.block_bytes) {
    return damaged;
  }
  return KvSegmentHead{absl::FromUnixSeconds(head.written), head.block_bytes, head.count, at,
                       payload.subspan(sizeof(head), head.count * kHashBytes)};
}

KvStore::KvStore(Volume& volume, Options options, const Clock& clock)
    : volume_(volume),
      options_(std::move(options)),
      clock_(clock),
      folder_(absl::StrCat("kv/", options_.model_hash, "-", options_.numerics_id)) {
  volume_.Keep(folder_);
  DropOutlived();
  MakeRoom(0, 0);
  for (const Volume::Entry& entry : volume_.List(folder_)) Open(entry.name);
  if (const size_t found = blocks(); found > 0) LOG(INFO) << "kv: " << found << " blocks on the volume";
  volume_.OnRemoved([this](const std::string& folder, const std::string& name) {
    if (folder != folder_) return;
    absl::MutexLock lock(&mutex_);
    absl::erase_if(index_, [&](const auto& place) { return place.second.segment->name == name; });
  });
  sweeper_ = std::thread([this] {
    while (!ends_.WaitForNotificationWithTimeout(kSweep)) DropOutlived();
  });
}

KvStore::~KvStore() {
  ends_.Notify();
  sweeper_.join();
  volume_.OnRemoved(nullptr);
}

// Not by when it was used last: a prompt that is asked for day after day would never be forgotten.
void KvStore::DropOutlived() {
  for (const Volume::Entry& entry : volume_.List("")) {
    if (!absl::StartsWith(entry.folder, "kv/")) continue;
    const absl::StatusOr<std::unique_ptr<Object>> object = volume_.Find(entry.folder, entry.name, kKind);
    if (!object.ok()) continue;
    const absl::Span<const std::byte> payload = (*object)->payload();
    const absl::Status whole = (*object)->Verify(0, std::min<uint64_t>(payload.size(), kObjectChunkBytes));
    const absl::StatusOr<KvSegmentHead> head = whole.ok() ? ReadKvSegmentHead(payload) : whole;
    if (!head.ok() || Outlived(*head)) volume_.Remove(entry.folder, entry.name);
  }
}

void KvStore::Open(const std::string& name) {
  uint64_t number;
  absl::string_view digits = name;
  if (!absl::ConsumePrefix(&digits, kPrefix) || !absl::SimpleAtoi(digits, &number)) return;
  next_segment_ = std::max(next_segment_, number + 1);
  absl::StatusOr<std::unique_ptr<Object>> object = volume_.Find(folder_, name, kKind);
  if (!object.ok()) return;
  const absl::Span<const std::byte> payload = (*object)->payload();
  absl::Status whole = (*object)->Verify(0, std::min<uint64_t>(payload.size(), kObjectChunkBytes));
  absl::StatusOr<KvSegmentHead> head = whole.ok() ? ReadKvSegmentHead(payload) : whole;
  if (head.ok()) whole = (*object)->Verify(0, head->blocks_at);
  const bool outlived = head.ok() && Outlived(*head);
  if (!head.ok() || !whole.ok() || head->block_bytes != options_.block_bytes || outlived) {
    LOG_IF(WARNING, !outlived) << "kv: " << name << ": " << (head.ok() ? whole : head.status()) << "; removed";
    volume_.Remove(folder_, name);
    return;
  }
  const auto segment = std::make_shared<const Segment>(Segment{name, *std::move(object), *head});
  absl::MutexLock lock(&mutex_);
  for (uint64_t i = 0; i < head->count; ++i) {
    BlockHash hash;
    std::memcpy(hash.bytes.data(), head->hashes.data() + i * kHashBytes, kHashBytes);
    index_[hash] = {segment, head->blocks_at + i * head->block_bytes};
  }
}

bool KvStore::Outlived(const KvSegmentHead& head) const {
  const absl::Time now = clock_.Now();
  return head.written + options_.time_to_live < now || head.written > now + absl::Hours(1);  // a clock was wrong
}

size_t KvStore::blocks() const {
  absl::MutexLock lock(&mutex_);
  return index_.size();
}

bool KvStore::Contains(const BlockHash& hash) const {
  absl::MutexLock lock(&mutex_);
  const auto found = index_.find(hash);
  return found != index_.end() && !Outlived(found->second.segment->head);
}

absl::Status KvStore::Read(const BlockHash& hash, absl::Span<std::byte> to) {
  Place place;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = index_.find(hash);
    if (found == index_.end()) return absl::NotFoundError("no such block of KV");
    place = found->second;
  }
  if (Outlived(place.segment->head)) {
    Drop(*place.segment);
    return absl::NotFoundError("it has outlived its time");
  }
  if (const absl::Status whole = place.segment->object->Verify(place.at, options_.block_bytes); !whole.ok()) {
    LOG(WARNING) << "kv: " << whole.message() << "; removed";
    Drop(*place.segment);
    return absl::NotFoundError(whole.message());
  }
  volume_.MarkUsed(folder_, place.segment->name);
  std::memcpy(to.data(), place.segment->object->payload().data() + place.at, options_.block_bytes);
  return absl::OkStatus();
}

void KvStore::Drop(const Segment& segment) {
  volume_.Remove(folder_, segment.name);
}

size_t KvStore::Save(absl::Span<const BlockHash> blocks, absl::Duration budget,
                     absl::FunctionRef<absl::Status(size_t, absl::Span<std::byte>)> read) {
  const absl::Duration start = clock_.Elapsed();
  std::vector<size_t> missing;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (!Contains(blocks[i])) missing.push_back(i);
  }
  const size_t per_segment = std::max<uint64_t>(1, (options_.segment_bytes + options_.block_bytes - 1) / options_.block_bytes);
  size_t written = 0, segments = 0;
  uint64_t saved_bytes = 0;
  absl::Duration longest;
  while (written < missing.size()) {
    const absl::Duration began = clock_.Elapsed();
    if (began - start + longest >= budget) break;
    const auto some = absl::MakeConstSpan(missing).subspan(written, per_segment);
    saved_bytes += kObjectHeaderBytes + BlocksAt(some.size()) + some.size() * options_.block_bytes;
    // What is worth less does not replace what was just saved.
    if (saved_bytes > options_.max_bytes || ++segments > options_.max_segments) break;
    std::vector<BlockHash> hashes;
    for (const size_t i : some) hashes.push_back(blocks[i]);
    const absl::Status status =
        WriteSegment(hashes, [&](size_t i, absl::Span<std::byte> to) { return read(some[i], to); });
    if (!status.ok()) {
      LOG(WARNING) << "kv: not saved: " << status.message();
      break;
    }
    written += some.size();
    longest = std::max(longest, clock_.Elapsed() - began);
  }
  LOG(INFO) << "kv: " << written << " of " << missing.size() << " blocks saved in " << clock_.Elapsed() - start;
  return written;
}

absl::Status KvStore::WriteSegment(absl::Span<const BlockHash> blocks,
                                   absl::FunctionRef<absl::Status(size_t, absl::Span<std::byte>)> read) {
  const std::string name = absl::StrCat(kPrefix, next_segment_++);
  const Head head{absl::ToUnixSeconds(clock_.Now()), options_.block_bytes, blocks.size()};
  std::vector<std::byte> bytes(BlocksAt(blocks.size()));
  std::memcpy(bytes.data(), &head, sizeof(head));
  for (size_t i = 0; i < blocks.size(); ++i) {
    std::memcpy(bytes.data() + sizeof(head) + i * kHashBytes, blocks[i].bytes.data(), kHashBytes);
  }
  const uint64_t total = bytes.size() + blocks.size() * options_.block_bytes;
  MakeRoom(total, 1);
  const absl::Status written =
      volume_.Write(folder_, name, kKind, total, [&](ObjectWriter& writer) -> absl::Status {
        RETURN_IF_ERROR(writer.Append(bytes));
        bytes.resize(options_.block_bytes);
        for (size_t i = 0; i < blocks.size(); ++i) {
          RETURN_IF_ERROR(read(i, absl::MakeSpan(bytes)));
          RETURN_IF_ERROR(writer.Append(bytes));
        }
        return absl::OkStatus();
      });
  RETURN_IF_ERROR(written);
  Open(name);
  return absl::OkStatus();
}

// Removes this model's segments that were not used for the longest time, until so many more would be within the bounds.
void KvStore::MakeRoom(uint64_t bytes, size_t segments) {
  std::vector<Volume::Entry> entries = volume_.List(folder_);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.used < b.used; });
  uint64_t used = bytes;
  for (const Volume::Entry& entry : entries) used += entry.size_bytes;
  segments += entries.size();
  for (const Volume::Entry& entry : entries) {
    if (used <= options_.max_bytes && segments <= options_.max_segments) return;
    used -= entry.size_bytes;
    --segments;
    volume_.Remove(folder_, entry.name);
  }
}

absl::Status EraseKv(Volume& volume) {
  absl::Status first;
  for (const Volume::Entry& entry : volume.List("")) {
    if (absl::StartsWith(entry.folder, "kv/")) first.Update(volume.RemoveDurably(entry.folder, entry.name));
  }
  return first;
}

}  // namespace spotinference
