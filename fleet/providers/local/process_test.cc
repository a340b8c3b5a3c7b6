#include "fleet/providers/local/process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

void AwaitEnd(const Process& process) { ASSERT_TRUE(AwaitEnd(process, absl::Seconds(20))); }

// Runs `script` with a shell; what it writes to stdout and stderr goes to `output`, 3 is the write
// end of `inherited`.
Process Shell(const std::string& script, int output, std::vector<int> inherited = {}) {
  auto process = Spawn({.arguments = {"/bin/sh", "-c", script},
                        .output = output,
                        .inherited = std::move(inherited)});
  EXPECT_TRUE(process.ok()) << process.status();
  return *std::move(process);
}

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    reader = Fd(ends[0]);
    writer = Fd(ends[1]);
  }
  // Until every writer has closed.
  std::string ReadAll() {
    writer = Fd();
    std::string text;
    char buffer[4096];
    ssize_t n;
    while ((n = read(reader.get(), buffer, sizeof buffer)) > 0) text.append(buffer, n);
    return text;
  }
  Fd reader, writer;
};

TEST(Process, InheritsWhatItIsGivenAndNothingElse) {
  Pipe output, extra;
  const Fd open_in_parent(open("/dev/zero", O_RDONLY));  // not close-on-exec
  const Process process = Shell("echo to-extra >&3; echo to-error >&2; ls /proc/self/fd",
                                output.writer.get(), {extra.writer.get()});
  EXPECT_EQ(extra.ReadAll(), "to-extra\n");
  // 0 to 3, and the folder that ls reads.
  EXPECT_EQ(output.ReadAll(), "to-error\n0\n1\n2\n3\n4\n");
  AwaitEnd(process);
  EXPECT_EQ(Reap(process)->status, 0);
}

TEST(Process, IsInASessionOfItsOwnWithNoSignalBlocked) {
  Pipe output;
  sigset_t term, old;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, &old);
  const Process process =
      // By itself: a shell that waits for another process may have blocked signals meanwhile.
      Shell("cut -d' ' -f6 /proc/$$/stat; exec grep SigBlk /proc/self/status", output.writer.get());
  sigprocmask(SIG_SETMASK, &old, nullptr);
  EXPECT_EQ(output.ReadAll(), absl::StrCat(process.name.pid, "\nSigBlk:\t0000000000000000\n"));
  AwaitEnd(process);
  Reap(process);
}

TEST(Process, TellsHowItEnded) {
  Pipe output;
  const Process exits = Shell("exit 2", output.writer.get());
  const Process waits = Shell("exec sleep 1000", output.writer.get());
  AwaitEnd(exits);
  EXPECT_EQ(Reap(exits)->status, 2);
  EXPECT_FALSE(Reap(exits).has_value());
  Signal(waits, SIGKILL);
  AwaitEnd(waits);
  EXPECT_EQ(Reap(waits)->signal, SIGKILL);
}

TEST(Process, IsFoundByItsNameWhileItRuns) {
  Pipe output;
  const std::string mark = absl::StrCat("mark-of-", getpid());
  auto spawned = Spawn(
      {.arguments = {"/bin/sh", "-c", "echo; kill -STOP $$", mark}, .output = output.writer.get()});
  ASSERT_TRUE(spawned.ok()) << spawned.status();
  char newline;
  ASSERT_EQ(read(output.reader.get(), &newline, 1), 1);  // it runs, and so has its arguments
  const ProcessName name = spawned->name;
  EXPECT_EQ(ParseProcessName(name.ToString())->ToString(), name.ToString());
  EXPECT_TRUE(FindProcess(name).has_value());
  const std::vector<Process> found = FindProcessesByArgument(mark);
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(found[0].name.ToString(), name.ToString());

  ProcessName recycled = name;
  ++recycled.start_ticks;
  EXPECT_FALSE(FindProcess(recycled).has_value());
  ProcessName before_boot = name;
  before_boot.boot_id = "another";
  EXPECT_FALSE(FindProcess(before_boot).has_value());

  Signal(*spawned, SIGKILL);
  AwaitEnd(*spawned);
  EXPECT_FALSE(FindProcess(name).has_value());  // not even before it is reaped
  EXPECT_TRUE(FindProcessesByArgument(mark).empty());
  Reap(*spawned);
  EXPECT_FALSE(FindProcess(name).has_value());
}

TEST(Process, AProgramThatIsNotThereIsNamed) {
  Pipe output;
  const auto process = Spawn({.arguments = {"/nowhere/engine"}, .output = output.writer.get()});
  EXPECT_TRUE(absl::IsFailedPrecondition(process.status())) << process.status();
  EXPECT_TRUE(absl::StrContains(process.status().message(), "/nowhere/engine")) << process.status();
}

TEST(ParseStartTicks, SkipsANameWithSpacesAndParentheses) {
  const std::string rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
  EXPECT_EQ(ParseStartTicks("77 (a) b) c)" + rest), 4242);
  EXPECT_FALSE(ParseStartTicks("77 (a) S 1 2").has_value());
  EXPECT_FALSE(ParseStartTicks("77").has_value());
}

TEST(ParseProcessName, RefusesAnythingElse) {
  for (const char* text :
       {"", "pid=1", "pid=0 start=1 boot=b", "pid=-1 start=1 boot=b", "pid=x start=1 boot=b",
        "pid=1 start= boot=b", "pid=1 start=1 boot=b more"}) {
    EXPECT_FALSE(ParseProcessName(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace spotinference::fleet
