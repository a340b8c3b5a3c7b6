// Where drivers of graphics cards keep what they compiled: on the volume, so that no later machine compiles it again. They
// are told by the environment, when they are opened; they prove and bound what they keep themselves.
#ifndef ENGINE_VOLUME_DRIVER_CACHE_H_
#define ENGINE_VOLUME_DRIVER_CACHE_H_

#include <string>

namespace spotinference {

// Names <volume_root>/driver to the drivers that this process opens from now on: Mesa's, which is told to make a file a
// shader, and NVIDIA's. What the environment says already stays. Before the process has a second thread.
void UseDriverCache(const std::string& volume_root);

}  // namespace spotinference

#endif  // ENGINE_VOLUME_DRIVER_CACHE_H_
