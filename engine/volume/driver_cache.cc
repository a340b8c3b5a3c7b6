#include "engine/volume/driver_cache.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace spotinference {

void UseDriverCache(const std::string& volume_root) {
  const std::string folder = volume_root + "/driver";
  std::error_code ignored;  // then nothing is kept, which the driver can do without
  std::filesystem::create_directories(folder, ignored);
  setenv("MESA_DISK_CACHE_MULTI_FILE", "1", /*overwrite=*/0);
  for (const char* name : {"MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"}) {
    setenv(name, folder.c_str(), /*overwrite=*/0);
  }
}

}  // namespace spotinference
