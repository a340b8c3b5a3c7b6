// How many threads this process may keep busy.
#ifndef ENGINE_BASE_PROCESSORS_H_
#define ENGINE_BASE_PROCESSORS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace spotinference {

// As many as this process may run on: its affinity mask, and the whole processors of its control group's quota
// (cpu.max, or cpu.cfs_quota_us of version 1).
int UsableThreads();

// The quota of the control group that `cgroup` (the text of /proc/self/cgroup) names or of one above it, whichever is
// least, in processors; infinity: none. Files are looked for under `root`, "/sys/fs/cgroup".
double CgroupProcessors(absl::string_view cgroup, const std::string& root);

}  // namespace spotinference

#endif  // ENGINE_BASE_PROCESSORS_H_
