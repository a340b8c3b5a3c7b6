#include "engine/volume/volume_cache.h"

#include <glog/logging.h>

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/pages.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

constexpr char kName[] = "packed";
constexpr ObjectKind kKind{"compile cache", 1};
constexpr uint64_t kAlignment = 4096;
constexpr std::byte kZeros[kAlignment] = {};

uint64_t Aligned(uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

template <typename T>
bool Read(absl::Span<const std::byte>& from, T& to) {
  if (from.size() < sizeof(to)) return false;
  std::memcpy(&to, from.data(), sizeof(to));
  from.remove_prefix(sizeof(to));
  return true;
}

template <typename T>
void Append(T value, std::string& to) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

absl::StatusOr<std::vector<CachePart>> ReadCacheParts(absl::Span<const std::byte> payload) {
  const absl::Status damaged = absl::DataLossError("compile cache: its list of parts is damaged");
  absl::Span<const std::byte> from = payload;
  uint32_t count;
  if (!Read(from, count)) return damaged;
  std::vector<CachePart> parts;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t length;
    if (!Read(from, length) || length > from.size()) return damaged;
    CachePart& part = parts.emplace_back();
    part.name.assign(reinterpret_cast<const char*>(from.data()), length);
    from.remove_prefix(length);
    if (!Read(from, part.offset) || !Read(from, part.size)) return damaged;
    if (part.offset % kAlignment != 0 || part.offset > payload.size() || part.size > payload.size() - part.offset) {
      return damaged;
    }
  }
  return parts;
}

VolumeCache::VolumeCache(Volume& volume, absl::string_view key, int threads)
    : volume_(volume), folder_(absl::StrCat("cache/", key)) {
  volume_.Keep(folder_);
  const absl::StatusOr<std::unique_ptr<Object>> object = volume_.Find(folder_, kName, kKind);
  if (!object.ok()) return;
  const absl::Duration start = RealClock().Elapsed();
  const size_t size = (*object)->payload().size();
  const auto pages = std::make_shared<Pages>(size, Pages::Size::kHuge);
  if (pages->data() == nullptr) return;
  const absl::Status read = (*object)->ReadAll({pages->data(), size}, threads);
  const absl::Span<const std::byte> bytes(pages->data(), size);
  const absl::StatusOr<std::vector<CachePart>> parts =
      read.ok() ? ReadCacheParts(bytes) : absl::StatusOr<std::vector<CachePart>>(read);
  if (!parts.ok()) {
    LOG(WARNING) << "volume: " << parts.status().message() << "; removed";
    volume_.Remove(folder_, kName);
    return;
  }
  volume_.MarkUsed(folder_, kName);
  for (const CachePart& part : *parts) parts_[part.name] = {bytes.subspan(part.offset, part.size), pages};
  LOG(INFO) << "compile cache: " << size / 1000000 << " MB read and proved in " << RealClock().Elapsed() - start;
}

VolumeCache::~VolumeCache() {
  if (writer_.joinable()) writer_.join();
}

CachedBytes VolumeCache::Find(absl::string_view name) {
  const auto part = parts_.find(name);
  return part == parts_.end() ? CachedBytes{} : part->second;
}

bool VolumeCache::HasTensor(absl::string_view name) const {
  const auto part = parts_.lower_bound(name);
  return part != parts_.end() && (part->first == name || absl::StartsWith(part->first, absl::StrCat(name, " rows ")));
}

void VolumeCache::Keep(absl::string_view name, CachedBytes bytes) {
  ++kept_;
  parts_[std::string(name)] = std::move(bytes);
}

void VolumeCache::Write(std::function<void()> then) {
  if ((kept_ == 0 && !then) || writer_.joinable()) return;
  writer_ = std::thread([this, then = std::move(then)] {
    if (kept_ > 0) WriteAll();
    if (then) then();
  });
}

void VolumeCache::WriteAll() {
  const absl::Duration start = RealClock().Elapsed();
  if (const absl::Status written = WriteParts(); written.ok()) {
    LOG(INFO) << "compile cache: written in " << RealClock().Elapsed() - start;
  } else {
    LOG(WARNING) << "compile cache: not written: " << written.message();
  }
  parts_.clear();  // else what was packed would live as long as this
}

absl::Status VolumeCache::WriteParts() const {
  uint64_t list_bytes = sizeof(uint32_t), end = 0;
  for (const auto& [name, _] : parts_) list_bytes += sizeof(uint32_t) + name.size() + 2 * sizeof(uint64_t);
  std::string list;
  Append(static_cast<uint32_t>(parts_.size()), list);
  end = list_bytes;
  for (const auto& [name, part] : parts_) {
    Append(static_cast<uint32_t>(name.size()), list);
    list += name;
    Append(Aligned(end), list);
    Append(uint64_t{part.bytes.size()}, list);
    end = Aligned(end) + part.bytes.size();
  }
  return volume_.Write(folder_, kName, kKind, end, [&](ObjectWriter& writer) -> absl::Status {
    RETURN_IF_ERROR(writer.Append({reinterpret_cast<const std::byte*>(list.data()), list.size()}));
    for (const auto& [_, part] : parts_) {
      RETURN_IF_ERROR(writer.Append({kZeros, Aligned(writer.size()) - writer.size()}));
      RETURN_IF_ERROR(writer.Append(part.bytes));
    }
    return absl::OkStatus();
  });
}

}  // namespace spotinference
