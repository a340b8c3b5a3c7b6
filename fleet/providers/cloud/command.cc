#include "fleet/providers/cloud/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"

namespace spotinference::fleet {
namespace {

constexpr size_t kLongestOutput = 1 << 20;
constexpr size_t kLongestComplaint = 300;
constexpr absl::Duration kFailureHolds = absl::Seconds(10);

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { Close(); }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Pipe {
  Fd reader, writer;
};

absl::StatusOr<Pipe> NewPipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ResourceExhaustedError("no file descriptor is left");
  Pipe pipe = {Fd(ends[0]), Fd(ends[1])};
  fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

absl::StatusOr<pid_t> Start(const std::vector<std::string>& arguments, int output, int complaints) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, 1);
  posix_spawn_file_actions_adddup2(&files, complaints, 2);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> words;
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, words[0], &files, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error == 0) return pid;
  const std::string message = absl::StrCat("cannot be started: ", std::strerror(error));
  return error == EAGAIN || error == ENOMEM ? absl::ResourceExhaustedError(message)
                                            : absl::FailedPreconditionError(message);
}

// Appends what is there. False: no more will come, or `text` is longer than allowed.
bool Drain(const Fd& from, std::string& text) {
  char buffer[4096];
  ssize_t n;
  while ((n = read(from.get(), buffer, sizeof buffer)) > 0) {
    text.append(buffer, n);
    if (text.size() > kLongestOutput) return false;
  }
  return n < 0 && (errno == EAGAIN || errno == EINTR);
}

absl::Status Cancelled() { return absl::CancelledError("the provider ends"); }

// A child, which is reaped at the end; until then its number is nobody else's.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid), end_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}
  ~Child() {
    if (pid_ != 0) (void)Kill();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // What it writes, until it ends; a child of its own that goes on is not waited for.
  absl::Status Read(Fd output, Fd complaints, absl::Time until, int cancelled, std::string& out, std::string& err) {
    if (end_.get() < 0) return absl::ResourceExhaustedError("cannot be watched");
    for (;;) {
      pollfd polled[] = {
          {end_.get(), POLLIN, 0}, {output.get(), POLLIN, 0}, {complaints.get(), POLLIN, 0}, {cancelled, POLLIN, 0}};
      const int64_t left = absl::ToInt64Milliseconds(absl::Ceil(until - absl::Now(), absl::Milliseconds(1)));
      if (left <= 0) return absl::DeadlineExceededError("did not end in time, and was killed");
      poll(polled, 4, static_cast<int>(std::min<int64_t>(left, 1 << 30)));
      if (polled[3].revents != 0) return Cancelled();
      if (polled[1].revents != 0 && !Drain(output, out)) output.Close();  // poll() skips it from now on
      if (polled[2].revents != 0 && !Drain(complaints, err)) complaints.Close();
      if (out.size() > kLongestOutput) return absl::ResourceExhaustedError("wrote more than a MiB, and was killed");
      if (polled[0].revents == 0) continue;
      if (output.get() >= 0) (void)Drain(output, out);
      if (complaints.get() >= 0) (void)Drain(complaints, err);
      return absl::OkStatus();
    }
  }

  int Reap() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

 private:
  int Kill() {
    kill(-pid_, SIGKILL);
    return Reap();
  }

  pid_t pid_;  // 0: it is reaped
  Fd end_;
};

std::string FirstLine(absl::string_view text) {
  text = absl::StripLeadingAsciiWhitespace(text);
  std::string line(absl::StripAsciiWhitespace(text.substr(0, std::min(text.find('\n'), kLongestComplaint))));
  for (char& c : line) {
    if (absl::ascii_iscntrl(c)) c = ' ';
  }
  return line;
}

absl::StatusOr<std::string> Run(const std::vector<std::string>& arguments, absl::Duration limit, int cancelled) {
  const absl::Time until = absl::Now() + limit;
  pollfd over = {cancelled, POLLIN, 0};
  if (poll(&over, 1, 0) > 0) return Cancelled();
  ASSIGN_OR_RETURN(Pipe output, NewPipe());
  ASSIGN_OR_RETURN(Pipe complaints, NewPipe());
  ASSIGN_OR_RETURN(const pid_t pid, Start(arguments, output.writer.get(), complaints.writer.get()));
  Child child(pid);
  output.writer.Close();
  complaints.writer.Close();
  std::string out, err;
  RETURN_IF_ERROR(child.Read(std::move(output.reader), std::move(complaints.reader), until, cancelled, out, err));
  const int status = child.Reap();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    if (out.size() > kLongestOutput) return absl::ResourceExhaustedError("wrote more than a MiB");
    return out;
  }
  return absl::FailedPreconditionError(WIFEXITED(status)
                                           ? absl::StrCat("exit ", WEXITSTATUS(status), ": ", FirstLine(err))
                                           : absl::StrCat("signal ", WTERMSIG(status), ": ", FirstLine(err)));
}

}  // namespace

absl::StatusOr<std::string> RunCommand(const std::vector<std::string>& arguments, absl::Duration limit,
                                       int cancelled) {
  if (arguments.empty() || arguments[0].empty()) return absl::FailedPreconditionError("no program is named");
  absl::StatusOr<std::string> output = Run(arguments, limit, cancelled);
  if (output.ok()) return output;
  return absl::Status(output.status().code(), absl::StrCat(arguments[0], ": ", output.status().message()));
}

Commands::Commands(const Clock& clock) : clock_(clock), cancelled_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Commands::~Commands() {
  if (cancelled_ >= 0) close(cancelled_);
}

void Commands::Cancel() { eventfd_write(cancelled_, 1); }  // nobody reads it: it stays readable

absl::Status Commands::Run(const std::vector<std::string>& arguments, absl::Duration limit,
                           absl::FunctionRef<absl::Status(const std::string& output)> read) {
  std::vector<std::string> asked = arguments;
  for (char** variable = environ; *variable != nullptr; ++variable) asked.push_back(*variable);
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(failures_, [&](const auto& failure) { return failure.second.until <= clock_.Elapsed(); });
    if (const auto known = failures_.find(asked); known != failures_.end()) return known->second.status;
  }
  const auto output = RunCommand(arguments, limit, cancelled_);
  const absl::Status status = output.ok() ? read(*output) : output.status();
  if (status.ok() || absl::IsCancelled(status)) return status;
  absl::MutexLock lock(&mutex_);
  failures_[std::move(asked)] = {status, clock_.Elapsed() + kFailureHolds};
  return status;
}

absl::StatusOr<std::vector<std::string>> ShellWords(absl::string_view line) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == 0 && absl::ascii_isspace(c)) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == '\\' && quote != '\'') {
      if (i + 1 == line.size()) return absl::InvalidArgumentError("the line ends with a backslash");
      const char next = line[++i];
      // In double quotes a backslash stays but before these.
      if (quote == '"' && next != '"' && next != '\\') words.back() += c;
      words.back() += next;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) return absl::InvalidArgumentError("a quote is left open");
  return words;
}

}  // namespace spotinference::fleet
