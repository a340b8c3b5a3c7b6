#include "fleet/providers/cloud/command.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kLong = absl::Seconds(30);

absl::StatusOr<std::string> Shell(const std::string& script, absl::Duration limit = kLong) {
  return RunCommand({"/bin/sh", "-c", script}, limit);
}

// A child of a program that was killed is its reaper's by then, which may take a moment.
void AwaitEnd(int pid) {
  std::string state = "R";
  while (state != "Z" && state != "") {
    std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
    std::string number, name;
    state.clear();
    stat >> number >> name >> state;
  }
}

TEST(RunCommand, GivesWhatAProgramOfThePathWrites) {
  setenv("COMMAND_TEST", "of our environment", 1);
  const auto output =
      RunCommand({"sh", "-c", "echo $COMMAND_TEST; echo aside >&2; echo \"$1\"", "sh", "a 'b' $c"}, kLong);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(*output, "of our environment\na 'b' $c\n");
}

TEST(RunCommand, GivesItNoInputAndNoFileOfOurs) {
  const int open_here = open("/dev/zero", O_RDONLY);  // not close-on-exec
  const auto output = Shell("cat; ls /proc/self/fd");
  close(open_here);
  EXPECT_EQ(output.value_or(""), "0\n1\n2\n3\n") << "3 is the folder that ls reads";
}

TEST(RunCommand, SaysWhyItFailedWithoutArgumentsOrOutput) {
  const auto failed = Shell("echo a-secret; printf '\\n  not signed in\\tyet\\nTraceback\\n' >&2; exit 3");
  EXPECT_TRUE(absl::IsFailedPrecondition(failed.status())) << failed.status();
  EXPECT_EQ(failed.status().message(), "/bin/sh: exit 3: not signed in yet");
  EXPECT_EQ(Shell("kill -9 $$").status().message(), "/bin/sh: signal 9: ");
  const auto nowhere = RunCommand({"/nowhere/program", "a-secret"}, kLong);
  EXPECT_TRUE(absl::IsFailedPrecondition(nowhere.status())) << nowhere.status();
  EXPECT_TRUE(absl::StrContains(nowhere.status().message(), "/nowhere/program")) << nowhere.status();
  EXPECT_FALSE(absl::StrContains(nowhere.status().message(), "a-secret")) << nowhere.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(RunCommand({}, kLong).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(RunCommand({""}, kLong).status()));
}

TEST(RunCommand, KillsItWithItsChildrenAtTheLimit) {
  const std::string file = absl::StrCat(getenv("TEST_TMPDIR"), "/pids");
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  const int reader = open(file.c_str(), O_RDONLY | O_NONBLOCK);
  const auto late = Shell(absl::StrCat("sleep 1000 & echo $! >", file, "; wait"), absl::Seconds(2));
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.status())) << late.status();
  char pid[32] = {};
  ASSERT_GT(read(reader, pid, sizeof pid - 1), 0);
  close(reader);
  AwaitEnd(atoi(pid));
}

TEST(RunCommand, DoesNotWaitForAChildThatGoesOn) {
  const auto output = Shell("sleep 1000 & echo $!");
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(kill(atoi(output->c_str()), SIGKILL), 0) << "it goes on";
}

TEST(RunCommand, OutputHasABound) {
  const auto whole = Shell("head -c 1048576 /dev/zero");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->size(), 1 << 20);
  EXPECT_TRUE(absl::IsResourceExhausted(Shell("head -c 1048577 /dev/zero").status()));
  EXPECT_TRUE(absl::IsResourceExhausted(Shell("cat /dev/zero").status()));
}

TEST(Commands, AreKilledWithTheirChildrenWhereSomebodyCancels) {
  const std::string file = absl::StrCat(getenv("TEST_TMPDIR"), "/pid");
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  FakeClock clock;
  Commands commands(clock);
  const auto run = [&] {
    return commands.Run({"/bin/sh", "-c", absl::StrCat("sleep 1000 & echo $! >", file, "; wait")}, kLong,
                        [](const std::string&) { return absl::OkStatus(); });
  };
  absl::Status status;
  std::thread runs([&] { status = run(); });
  std::string pid;
  std::ifstream(file) >> pid;
  commands.Cancel();
  runs.join();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  AwaitEnd(atoi(pid.c_str()));
  EXPECT_TRUE(absl::IsCancelled(run())) << "without a start, which nobody would read of";
}

TEST(Commands, AFailureIsTheAnswerForAWhile) {
  setenv("COMMAND_TEST", "one environment", 1);
  FakeClock clock;
  Commands commands(clock);
  const std::string runs = absl::StrCat(getenv("TEST_TMPDIR"), "/runs");
  absl::Status verdict;
  std::string read;
  const auto run = [&](const std::string& script) {
    return commands.Run({"/bin/sh", "-c", absl::StrCat("echo >> ", runs, "; ", script)}, kLong,
                        [&](const std::string& output) {
                          read = output;
                          return verdict;
                        });
  };
  const auto count = [&] {
    std::ifstream file(runs);
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  };
  const absl::Status failed = run("exit 3");
  EXPECT_TRUE(absl::IsFailedPrecondition(failed)) << failed;
  EXPECT_EQ(run("exit 3"), failed);
  EXPECT_EQ(count(), 1);
  verdict = absl::UnauthenticatedError("has none");
  EXPECT_EQ(run("echo a"), verdict) << "another command";
  EXPECT_EQ(count(), 2);
  verdict = absl::OkStatus();
  EXPECT_TRUE(absl::IsUnauthenticated(run("echo a")));
  setenv("COMMAND_TEST", "another environment", 1);
  EXPECT_TRUE(run("echo a").ok());
  EXPECT_EQ(read, "a\n");
  EXPECT_TRUE(run("echo a").ok());
  EXPECT_EQ(count(), 4) << "what it has is nobody's to keep";
  setenv("COMMAND_TEST", "one environment", 1);
  clock.Advance(absl::Seconds(9));
  EXPECT_EQ(run("exit 3"), failed);
  EXPECT_EQ(count(), 4);
  clock.Advance(absl::Seconds(1));
  EXPECT_FALSE(run("exit 3").ok());
  EXPECT_EQ(count(), 5);
}

TEST(ShellWords, AreThoseOfShlex) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(*ShellWords(""), Words());
  EXPECT_EQ(*ShellWords("  a\tb  "), (Words{"a", "b"}));
  EXPECT_EQ(*ShellWords(R"(a"b c"d '' "it's" 'say "so"')"), (Words{"ab cd", "", "it's", "say \"so\""}));
  EXPECT_EQ(*ShellWords(R"(a\ b "a\"b\\c\$d" 'a\b')"), (Words{"a b", R"(a"b\c\$d)", R"(a\b)"}));
  EXPECT_EQ(*ShellWords("a|b; $c #d"), (Words{"a|b;", "$c", "#d"}));
  for (const char* open : {"'a", "\"a", "a\\", "\"a\\"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ShellWords(open).status())) << open;
  }
}

}  // namespace
}  // namespace spotinference::fleet
