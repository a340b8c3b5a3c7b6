// What a device need not prepare again at its next boot: packed weights, pipelines, measured choices.
#ifndef ENGINE_DEVICE_COMPILE_CACHE_H_
#define ENGINE_DEVICE_COMPILE_CACHE_H_

#include <cstddef>
#include <memory>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace spotinference {

// Bytes that stay as they are for as long as `owner` is held.
struct CachedBytes {
  absl::Span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

// Made for one device, driver and build (DeviceInfo::driver), and for one model where DeviceInfo::keeps_weights, so that a name
// says nothing of them. Used by one
// thread at a time.
class CompileCache {
 public:
  virtual ~CompileCache() = default;

  // What an earlier boot kept under `name`, proved whole, at an address that is a multiple of 4096; without an owner: a miss.
  virtual CachedBytes Find(absl::string_view name) = 0;

  // Keeps `bytes` for later boots. That it fails, if it does, is the cache's own trouble.
  virtual void Keep(absl::string_view name, CachedBytes bytes) = 0;
};

}  // namespace spotinference

#endif  // ENGINE_DEVICE_COMPILE_CACHE_H_
