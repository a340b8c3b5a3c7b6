#include "engine/volume/driver_cache.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <tuple>
#include <vector>

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

void BoundDriverCache(const std::string& volume_root, uint64_t max_bytes) {
  std::vector<std::tuple<std::filesystem::file_time_type, std::filesystem::path, uint64_t>> files;
  std::error_code ignored;
  uint64_t bytes = 0;
  using Iterator = std::filesystem::recursive_directory_iterator;
  for (auto entry = Iterator(volume_root + "/driver", ignored); entry != Iterator(); entry.increment(ignored)) {
    if (!entry->is_regular_file(ignored)) continue;
    const uint64_t size = entry->file_size(ignored);
    if (ignored) continue;  // it went meanwhile
    files.emplace_back(entry->last_write_time(ignored), entry->path(), size);
    bytes += size;
  }
  std::sort(files.begin(), files.end());
  for (const auto& [written, path, size] : files) {
    if (bytes <= max_bytes) return;
    if (std::filesystem::remove(path, ignored)) bytes -= size;
  }
}

}  // namespace spotinference
