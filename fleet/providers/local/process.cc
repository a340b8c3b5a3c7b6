#include "fleet/providers/local/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace spotinference::fleet {
namespace {

// Files of /proc have no size; they are read to the end. Empty when there is none.
std::string ReadProc(const std::string& path) {
  std::string text;
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  ssize_t n;
  while (file.ok() && (n = read(file.get(), buffer, sizeof buffer)) > 0) text.append(buffer, n);
  return text;
}

const std::string& BootId() {
  static const std::string& id =
      *new std::string(absl::StripAsciiWhitespace(ReadProc("/proc/sys/kernel/random/boot_id")));
  return id;
}

// The pidfd is taken before the start time is read: if both are of one process, neither can change
// afterwards.
std::optional<Process> OpenProcess(pid_t pid) {
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));  // close-on-exec
  if (!pidfd.ok()) return std::nullopt;
  const std::optional<uint64_t> start =
      ParseStartTicks(ReadProc(absl::StrCat("/proc/", pid, "/stat")));
  if (!start.has_value()) return std::nullopt;
  return Process{{pid, *start, BootId()}, std::move(pidfd)};
}

bool HasArgument(pid_t pid, absl::string_view argument) {
  const std::string command_line = ReadProc(absl::StrCat("/proc/", pid, "/cmdline"));
  for (absl::string_view each : absl::StrSplit(command_line, '\0')) {
    if (each == argument) return true;
  }
  return false;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

std::string ProcessName::ToString() const {
  return absl::StrCat("pid=", pid, " start=", start_ticks, " boot=", boot_id);
}

std::optional<ProcessName> ParseProcessName(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ' ');
  ProcessName name;
  if (parts.size() != 3) return std::nullopt;
  absl::string_view pid = parts[0], start = parts[1], boot = parts[2];
  if (!absl::ConsumePrefix(&pid, "pid=") || !absl::SimpleAtoi(pid, &name.pid) || name.pid <= 0)
    return std::nullopt;
  if (!absl::ConsumePrefix(&start, "start=") || !absl::SimpleAtoi(start, &name.start_ticks))
    return std::nullopt;
  if (!absl::ConsumePrefix(&boot, "boot=")) return std::nullopt;
  name.boot_id = std::string(boot);
  return name;
}

std::optional<uint64_t> ParseStartTicks(absl::string_view stat) {
  const size_t name_end = stat.rfind(')');
  if (name_end == absl::string_view::npos) return std::nullopt;
  // What follows the name is " S ppid …", from field 3 on.
  const std::vector<absl::string_view> fields = absl::StrSplit(stat.substr(name_end + 1), ' ');
  constexpr int kStartTime = 22 - 3 + 1;
  uint64_t ticks;
  if (fields.size() <= kStartTime || !absl::SimpleAtoi(fields[kStartTime], &ticks))
    return std::nullopt;
  return ticks;
}

std::optional<Process> FindProcess(const ProcessName& name) {
  if (name.boot_id != BootId()) return std::nullopt;
  std::optional<Process> process = OpenProcess(name.pid);
  if (!process.has_value() || process->name.start_ticks != name.start_ticks ||
      AwaitEnd(*process, absl::ZeroDuration()))
    return std::nullopt;
  return process;
}

std::vector<Process> FindProcessesByArgument(absl::string_view argument) {
  std::vector<Process> found;
  DIR* const proc = opendir("/proc");
  if (proc == nullptr) return found;
  while (const dirent* entry = readdir(proc)) {
    pid_t pid;
    struct stat status;
    if (!absl::SimpleAtoi(entry->d_name, &pid) || pid == getpid()) continue;
    if (fstatat(dirfd(proc), entry->d_name, &status, 0) != 0 || status.st_uid != getuid()) continue;
    if (!HasArgument(pid, argument)) continue;
    std::optional<Process> process = OpenProcess(pid);
    // Asked again, now that the pidfd holds the process fast.
    if (process.has_value() && HasArgument(pid, argument) &&
        !AwaitEnd(*process, absl::ZeroDuration()))
      found.push_back(*std::move(process));
  }
  closedir(proc);
  return found;
}

absl::StatusOr<Process> Spawn(const SpawnOptions& options) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  // From numbers that no target has, so that no dup2 overwrites what a later one needs.
  constexpr int kAboveTargets = 16;
  std::vector<Fd> copies;
  const auto pass = [&](int fd, int target) {
    copies.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, kAboveTargets));
    posix_spawn_file_actions_adddup2(&files, copies.back().get(), target);
  };
  pass(options.output, 1);
  pass(options.output, 2);
  int target = 3;
  for (const int fd : options.inherited) pass(fd, target++);
  posix_spawn_file_actions_addclosefrom_np(&files, target);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  std::vector<char*> arguments;
  for (const std::string& argument : options.arguments)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, arguments[0], &files, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    const std::string message =
        absl::StrCat("cannot start ", options.arguments[0], ": ", std::strerror(error));
    if (error == ENOENT || error == EACCES || error == ENOEXEC)
      return absl::FailedPreconditionError(message);
    if (error == EAGAIN || error == ENOMEM) return absl::ResourceExhaustedError(message);
    return absl::InternalError(message);
  }
  // A child keeps its pid until it is reaped, which only the caller does.
  std::optional<Process> process = OpenProcess(pid);
  if (process.has_value()) return *std::move(process);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  return absl::ResourceExhaustedError(
      absl::StrCat("cannot watch process ", pid, ": ", std::strerror(errno)));
}

std::optional<Exit> Reap(const Process& process) {
  siginfo_t info = {};
  if (waitid(P_PIDFD, process.pidfd.get(), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
    return std::nullopt;
  return info.si_code == CLD_EXITED ? Exit{info.si_status, 0} : Exit{0, info.si_status};
}

void Signal(const Process& process, int signal) {
  syscall(SYS_pidfd_send_signal, process.pidfd.get(), signal, nullptr, 0);
}

int64_t OomKills() {
  for (absl::string_view line : absl::StrSplit(ReadProc("/proc/vmstat"), '\n')) {
    int64_t count;
    if (absl::ConsumePrefix(&line, "oom_kill ") && absl::SimpleAtoi(line, &count)) return count;
  }
  return 0;
}

bool AwaitEnd(const Process& process, absl::Duration timeout) {
  pollfd poll_fd = {process.pidfd.get(), POLLIN, 0};
  return poll(&poll_fd, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) > 0;
}

}  // namespace spotinference::fleet
