// The script as an emulated machine runs it, with a script in the engine's place.
#include "fleet/providers/cloud/boot_script.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/sha256.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

namespace fs = std::filesystem;

constexpr char kEngine[] = "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$SPOTINFERENCE_ROOT/arguments\"\n";
constexpr uint64_t kGigabyte = 1 << 30;

class BootScriptTest : public testing::Test {
 protected:
  BootScriptTest() : root_(testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::create_directories(root_ + "/dev");
    fs::create_directories(root_ + "/disk");
    fs::create_directories(root_ + "/bin");
    fs::create_directory_symlink(root_ + "/disk", root_ + "/dev/vdb");
    WriteEngine(kEngine);
  }

  // In place of the system's.
  void Command(const std::string& name, const std::string& body) {
    std::ofstream(root_ + "/bin/" + name) << "#!/bin/sh\n" << body << "\n";
    fs::permissions(root_ + "/bin/" + name, fs::perms::owner_all);
  }

  void WriteEngine(const std::string& text) {
    std::ofstream(root_ + "/engine") << text;
    options_ = {.engine_url = absl::StrCat("file://", root_, "/engine"), .engine_sha256 = Sha256Hex(text)};
  }

  // Its exit status.
  int Run(const BootOptions& options, const MachineSpec& spec, const std::string& device = "/dev/vdb") {
    std::ofstream(root_ + "/user-data") << BootScript(options, spec, {"the 'authority'", "to'ken"}, device);
    const std::string command =
        absl::StrCat("PATH=", root_, "/bin:$PATH SPOTINFERENCE_ROOT=", root_,
                     " SPOTINFERENCE_ADDRESS=127.1.2.3 SPOTINFERENCE_STEP=", step_, " /bin/sh ", root_, "/user-data",
                     " 2> ", root_, "/errors");
    return WEXITSTATUS(std::system(command.c_str()));
  }

  std::string Read(const std::string& path) const {
    std::ifstream file(root_ + "/" + path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  const std::string root_;
  std::string step_ = "1";  // of the watch, in seconds: after forty of them it takes the machine for forgotten
  BootOptions options_;
};

TEST_F(BootScriptTest, RunsTheEngineThatIsAskedFor) {
  options_.notice = "local,aws";
  const MachineSpec spec = {
      .weights = "https://host/a file?key=$(touch bad)&b='#sha256=00", .backend = "cpu", .context_tokens = 64};
  for (int boot = 0; boot < 2; ++boot) {
    ASSERT_EQ(Run(options_, spec), 0);
    const std::string arguments = Read("arguments");
    EXPECT_TRUE(absl::StrContains(arguments, "--listen=127.1.2.3:8500\n")) << arguments;
    EXPECT_TRUE(absl::StrContains(arguments, "--notice=local,aws\n")) << arguments;
    EXPECT_TRUE(absl::StrContains(arguments, "--context_tokens=64\n")) << arguments;
    EXPECT_TRUE(absl::StrContains(arguments, "--model=https://host/a file")) << arguments;
    EXPECT_FALSE(absl::StrContains(arguments, "touch")) << "the query is secret: " << arguments;
    EXPECT_FALSE(absl::StrContains(arguments, "model_hash")) << arguments;
    EXPECT_TRUE(absl::StrContains(arguments, "/var/lib/spotinference/identity\n")) << arguments;
    EXPECT_TRUE(absl::StrContains(arguments, "--silence_limit=15m\n")) << arguments;
    EXPECT_EQ(Read("var/lib/spotinference/identity/authority.pem"), "the 'authority'");
    EXPECT_EQ(Read("var/lib/spotinference/identity/token"), "to'ken");
    EXPECT_TRUE(absl::StrContains(Read("var/lib/spotinference/model_query"), "key=$(touch bad)&b='"));
    fs::remove(root_ + "/engine");  // the second boot has it on the volume
  }
}

TEST_F(BootScriptTest, TheHubsTokenGoesWhereTheHubIsAskedAndNowhereElse) {
  WriteEngine("#!/bin/sh\nprintf '%s\\n' \"$@\" \"token ${HF_TOKEN:-none}\" > \"$SPOTINFERENCE_ROOT/arguments\"\n");
  options_.hub_token = "hf_'secret'";
  ASSERT_EQ(Run(options_, {.weights = "hf://o/r/f.gguf"}), 0);
  EXPECT_TRUE(absl::EndsWith(Read("arguments"), "\ntoken hf_'secret'\n")) << Read("arguments");
  EXPECT_EQ(Read("errors"), "");
  EXPECT_FALSE(absl::StrContains(BootScript(options_, {.weights = "https://h/a#sha256=00"}, {"pem", "t"}, "/dev/vdb"),
                                 "secret"));
  options_.hub_token.clear();
  ASSERT_EQ(Run(options_, {.weights = "hf://o/r/f.gguf"}), 0);
  EXPECT_TRUE(absl::EndsWith(Read("arguments"), "\ntoken none\n")) << Read("arguments");
}

TEST_F(BootScriptTest, AnotherEngineIsNotLeftOnTheVolume) {
  const std::string old = root_ + "/disk/engine-old";
  std::ofstream(old) << "old";
  std::ofstream(old + ".new") << "half";
  ASSERT_EQ(Run(options_, {.weights = "hf://o/r/f.gguf"}), 0);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_FALSE(fs::exists(old + ".new"));
  EXPECT_TRUE(fs::exists(root_ + "/disk/engine-" + options_.engine_sha256));
}

TEST_F(BootScriptTest, ALinterHasNothingToSay) {
  std::ofstream(root_ + "/user-data") << BootScript(options_, {.weights = "hf://o/r/f"}, {"pem", "token"}, "/dev/vdb");
  EXPECT_EQ(std::system(absl::StrCat(std::getenv("SHELLCHECK"), " -s sh ", root_, "/user-data").c_str()), 0);
}

TEST_F(BootScriptTest, RunsNoOtherEngine) {
  const BootOptions options = {.engine_url = absl::StrCat("file://", root_, "/engine"),
                               .engine_sha256 = Sha256Hex("another")};
  EXPECT_EQ(Run(options, {.weights = "hf://o/r/f"}), 2);
  EXPECT_EQ(Read("arguments"), "");
}

TEST_F(BootScriptTest, AKnownMachineGetsNoTokenAgain) {
  fs::create_directories(root_ + "/var/lib/spotinference/identity");
  std::ofstream(root_ + "/var/lib/spotinference/identity/key.pem") << "key";
  ASSERT_EQ(Run(options_, {.weights = "hf://o/r/f"}), 0);
  EXPECT_FALSE(fs::exists(root_ + "/var/lib/spotinference/identity/token"));
}

TEST_F(BootScriptTest, PowersOffWhenItsEngineHasHeardNobody) {
  WriteEngine("#!/bin/sh\nexit 3\n");
  EXPECT_EQ(Run(options_, {.weights = "hf://o/r/f"}), 3);
  EXPECT_TRUE(fs::exists(root_ + "/poweroff"));
}

TEST_F(BootScriptTest, AnotherEndOfTheEngineIsNoReason) {
  WriteEngine("#!/bin/sh\nexit 1\n");
  EXPECT_EQ(Run(options_, {.weights = "hf://o/r/f"}), 1);
  EXPECT_FALSE(fs::exists(root_ + "/poweroff"));
}

TEST_F(BootScriptTest, PowersOffWhenAnEngineHangsUnheard) {
  step_ = "0.01";
  WriteEngine("#!/bin/sh\nuntil [ -e \"$SPOTINFERENCE_ROOT/poweroff\" ]; do sleep 0.01; done\n");
  EXPECT_EQ(Run(options_, {.weights = "hf://o/r/f"}), 0);
  EXPECT_TRUE(absl::StrContains(Read("errors"), "20 minutes")) << Read("errors");
}

TEST_F(BootScriptTest, StaysWhileSomebodyIsHeard) {
  step_ = "0.01";
  fs::create_directories(root_ + "/var/lib/spotinference/identity");  // the word may come before the script makes it
  // The watch sleeps between its steps: there is a word before each of them.
  Command("sleep", R"sh(
echo >> "$SPOTINFERENCE_ROOT/var/lib/spotinference/identity/contact"
echo >> "$SPOTINFERENCE_ROOT/steps"
exec /bin/sleep "$@")sh");
  WriteEngine(R"sh(#!/bin/sh
until [ "$(wc -l < "$SPOTINFERENCE_ROOT/steps")" -ge 100 ]; do /bin/sleep 0.01; done
)sh");
  EXPECT_EQ(Run(options_, {.weights = "hf://o/r/f"}), 0);
  EXPECT_FALSE(fs::exists(root_ + "/poweroff"));
}

// Disks are files, and what is done to them is written down.
class BootScriptDiskTest : public BootScriptTest {
 protected:
  BootScriptDiskTest() {
    fs::remove(disk_);
    Command("blkid", "for disk; do :; done; [ ! -e \"$disk.broken\" ] || exit 4; [ -e \"$disk.signed\" ] || exit 2");
    Command("mkfs.ext4", "echo mkfs >> \"$SPOTINFERENCE_ROOT/calls\"");
    Command("mountpoint", "exit 1");
    Command("mount", "echo mount >> \"$SPOTINFERENCE_ROOT/calls\"");
    std::ofstream(disk_).close();
    fs::resize_file(disk_, kGigabyte);  // of zeros, and takes no room
  }

  std::string Calls() {
    fs::remove(root_ + "/calls");
    EXPECT_EQ(Run(options_, {.weights = "hf://o/r/f"}), 0);
    return Read("calls");
  }

  const std::string disk_ = root_ + "/dev/vdb";
};

TEST_F(BootScriptDiskTest, ABlankDiskBecomesTheVolume) { EXPECT_EQ(Calls(), "mkfs\nmount\n"); }

TEST_F(BootScriptDiskTest, WhatHasAFileSystemOrCannotBeLookedAtIsLeftAsItIs) {
  for (const std::string ending : {".signed", ".broken"}) {
    std::ofstream(disk_ + ending).close();
    EXPECT_EQ(Calls(), "mount\n") << ending;
    fs::remove(disk_ + ending);
  }
  fs::resize_file(disk_, 1 << 20);  // shorter than what is looked at
  EXPECT_EQ(Calls(), "mount\n");
  fs::resize_file(disk_, 0);
  EXPECT_EQ(Calls(), "mount\n");
}

TEST_F(BootScriptDiskTest, WhatWasEverWrittenToIsNotMadeAnew) {
  for (const uint64_t offset : {uint64_t{0}, uint64_t{1080}, uint64_t{134217728 + 56}}) {  // as of a superblock
    fs::resize_file(disk_, 0);
    fs::resize_file(disk_, kGigabyte);
    std::fstream file(disk_, std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put('x');
    file.close();
    EXPECT_EQ(Calls(), "mount\n") << offset;
  }
}

}  // namespace
}  // namespace spotinference::fleet
