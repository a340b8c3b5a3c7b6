// Linux processes as the local provider sees them: by pidfd, so that a recycled pid is never taken
// for the process.
#ifndef FLEET_PROVIDERS_LOCAL_PROCESS_H_
#define FLEET_PROVIDERS_LOCAL_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference::fleet {

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// A process for ever: no other one of this computer had or will have all three.
struct ProcessName {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // /proc/PID/stat, field 22
  std::string boot_id;       // /proc/sys/kernel/random/boot_id

  std::string ToString() const;  // "pid=7 start=99 boot=…"
};
std::optional<ProcessName> ParseProcessName(absl::string_view text);

// Field 22 of the text of /proc/PID/stat. The process's own name, in parentheses, may hold
// anything.
std::optional<uint64_t> ParseStartTicks(absl::string_view stat);

struct Process {
  ProcessName name;
  Fd pidfd;  // readable once the process has ended
};

// The running process of that name; nullopt when it has ended.
std::optional<Process> FindProcess(const ProcessName& name);

// Every process of this user that was started with `argument` as one of its arguments.
std::vector<Process> FindProcessesByArgument(absl::string_view argument);

struct SpawnOptions {
  std::vector<std::string> arguments;  // [0] is the program's path
  int output = -1;                     // becomes stdout and stderr
  std::vector<int> inherited;          // become 3, 4, …; nothing else is inherited
};

// Starts a process in a session of its own, with default signals and no input. INTERNAL,
// FAILED_PRECONDITION (there is no such program, or it may not be run), RESOURCE_EXHAUSTED (no
// memory or too many processes).
absl::StatusOr<Process> Spawn(const SpawnOptions& options);

struct Exit {
  int status = 0;  // of exit()
  int signal = 0;  // that killed it, or 0
};

// Of a process that has ended, with the process reaped; nullopt when it was no child of this one.
std::optional<Exit> Reap(const Process& process);

void Signal(const Process& process, int signal);

// Processes that this computer's kernel has killed for want of memory since it started; 0 where it does not say.
int64_t OomKills();

// True when it has ended, at once or within `timeout`. Blocks until then.
bool AwaitEnd(const Process& process, absl::Duration timeout);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_LOCAL_PROCESS_H_
