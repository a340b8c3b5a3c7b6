// The CompileCache of one device, driver and build, and of one model where that matters, on a volume: one object, written after the boot that had to
// prepare something, read by the boots after it.
//
// It is read into huge pages of memory and not left mapped: streaming 97 MB through the 4 KiB pages of a mapped file
// takes 8.3 ms on one core of an EPYC (Zen 3, a virtual machine), from huge pages 6.1 ms, at every decoded token.
// Reading costs 15 ms of processor time more than mapping, at a boot.
//
//   u32 count; for each part u32 length of its name, the name, u64 offset in the payload, u64 size; then the parts,
//   each at a multiple of 4096
#ifndef ENGINE_VOLUME_VOLUME_CACHE_H_
#define ENGINE_VOLUME_VOLUME_CACHE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/device/compile_cache.h"
#include "engine/volume/volume.h"

namespace spotinference {

struct CachePart {
  std::string name;
  uint64_t offset, size;
};
// The parts that a payload says it has, each within it. DATA_LOSS: it is no such payload.
absl::StatusOr<std::vector<CachePart>> ReadCacheParts(absl::Span<const std::byte> payload);

class VolumeCache : public CompileCache {
 public:
  // `key` is the folder's name under cache/. Reads and proves all that is kept there, in one pass on `threads` threads,
  // so that a Find costs nothing. The volume outlives the cache.
  VolumeCache(Volume& volume, absl::string_view key, int threads);
  ~VolumeCache() override;  // waits for Write

  CachedBytes Find(absl::string_view name) override;
  void Keep(absl::string_view name, CachedBytes bytes) override;

  // Whether a weight's packed form is there, all of it or in parts by rows.
  bool HasTensor(absl::string_view name) const;

  // If anything was kept: writes it, with what was found, on a thread of its own; then calls `then` there, where one is
  // given. Once, after the last Keep.
  void Write(std::function<void()> then = nullptr);

 private:
  void WriteAll();
  absl::Status WriteParts() const;

  Volume& volume_;
  const std::string folder_;
  std::map<std::string, CachedBytes, std::less<>> parts_;
  int kept_ = 0;
  std::thread writer_;
};

}  // namespace spotinference

#endif  // ENGINE_VOLUME_VOLUME_CACHE_H_
