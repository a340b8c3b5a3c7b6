// Where drivers of graphics cards keep what they compiled: on the volume, so that no later machine compiles it again. They
// are told by the environment, when they are opened; they prove what they keep themselves, and each bounds its own.
#ifndef ENGINE_VOLUME_DRIVER_CACHE_H_
#define ENGINE_VOLUME_DRIVER_CACHE_H_

#include <cstdint>
#include <string>

namespace spotinference {

// Names <volume_root>/driver to the drivers that this process opens from now on: Mesa's, which is told to make a file a
// shader, and NVIDIA's. What the environment says already stays. Before the process has a second thread.
void UseDriverCache(const std::string& volume_root);

// Removes there what was written first, past `max_bytes`: drivers that are gone bound nothing any more.
inline constexpr uint64_t kMaxDriverCacheBytes = uint64_t{1} << 30;
void BoundDriverCache(const std::string& volume_root, uint64_t max_bytes = kMaxDriverCacheBytes);

}  // namespace spotinference

#endif  // ENGINE_VOLUME_DRIVER_CACHE_H_
