#include "engine/base/processors.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace spotinference {
namespace {

constexpr double kNoQuota = std::numeric_limits<double>::infinity();

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// "max 100000", "150000 100000"
double Processors(absl::string_view quota_and_period) {
  const std::vector<absl::string_view> words = absl::StrSplit(quota_and_period, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  double quota, period;
  if (words.size() != 2 || !absl::SimpleAtod(words[0], &quota) || !absl::SimpleAtod(words[1], &period)) return kNoQuota;
  return quota > 0 && period > 0 ? quota / period : kNoQuota;
}

}  // namespace

double CgroupProcessors(absl::string_view cgroup, const std::string& root) {
  double least = kNoQuota;
  for (const absl::string_view line : absl::StrSplit(cgroup, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));  // number:controllers:path
    if (parts.size() != 3 || (!parts[2].empty() && parts[2][0] != '/')) continue;
    const bool second = parts[1].empty();
    const std::vector<absl::string_view> controllers = absl::StrSplit(parts[1], ',');
    if (!second && std::find(controllers.begin(), controllers.end(), "cpu") == controllers.end()) continue;
    // Inside a container the group's own path may not exist: what is mounted is its root.
    std::string path(parts[2]);
    for (;;) {
      const std::string folder = absl::StrCat(root, second ? "" : "/cpu", path == "/" ? "" : path, "/");
      least = std::min(least, Processors(second ? Contents(folder + "cpu.max")
                                                : absl::StrCat(Contents(folder + "cpu.cfs_quota_us"), " ",
                                                               Contents(folder + "cpu.cfs_period_us"))));
      if (path.size() <= 1) break;
      path.resize(path.rfind('/'));
    }
  }
  return least;
}

int UsableThreads() {
  cpu_set_t set;
  const bool known = sched_getaffinity(0, sizeof(set), &set) == 0;
  const int processors = known ? CPU_COUNT(&set) : static_cast<int>(std::thread::hardware_concurrency());
  const double quota = CgroupProcessors(Contents("/proc/self/cgroup"), "/sys/fs/cgroup");
  // A thread more than whole processors would be put to sleep in the middle of each period, and the others wait for it.
  return std::max(1, static_cast<int>(std::min<double>(processors, std::max(1.0, quota))));
}

}  // namespace spotinference
