// The script as an emulated machine runs it, with a script in the engine's place.
#include "fleet/providers/cloud/boot_script.h"

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

class BootScriptTest : public testing::Test {
 protected:
  BootScriptTest() : root_(testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::create_directories(root_ + "/dev");
    fs::create_directories(root_ + "/disk");
    fs::create_directory_symlink(root_ + "/disk", root_ + "/dev/vdb");
    std::ofstream(root_ + "/engine") << kEngine;
  }

  // A disk in the folder's place, and programs that write down that they were called.
  void AddDisk(const std::string& content) {
    fs::remove(root_ + "/dev/vdb");
    std::ofstream(root_ + "/dev/vdb") << content;
    fs::create_directories(root_ + "/bin");
    for (const char* const program : {"mkfs.ext4", "mount", "mountpoint"}) {
      const std::string path = absl::StrCat(root_, "/bin/", program);
      std::ofstream(path) << "#!/bin/sh\necho " << program << " >> " << root_ << "/called\n[ " << program
                          << " != mountpoint ]\n";
      fs::permissions(path, fs::perms::owner_all);
    }
  }

  // Its exit status.
  int Run(const BootOptions& options, const MachineSpec& spec) {
    std::ofstream(root_ + "/user-data") << BootScript(options, spec, "to'ken", "/dev/vdb");
    const std::string command =
        absl::StrCat("PATH=", root_, "/bin:$PATH SPOTINFERENCE_ROOT=", root_,
                     " SPOTINFERENCE_ADDRESS=127.1.2.3 /bin/sh ", root_, "/user-data 2> /dev/null");
    return WEXITSTATUS(std::system(command.c_str()));
  }

  std::string Read(const std::string& path) const {
    std::ifstream file(root_ + "/" + path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  const std::string root_;
};

TEST_F(BootScriptTest, FormatsABlankDiskAndNoOther) {
  const BootOptions options = {.engine_url = absl::StrCat("file://", root_, "/engine"),
                               .engine_sha256 = Sha256Hex(kEngine)};
  const std::string blank(2 << 20, '\0');
  AddDisk(blank);
  EXPECT_EQ(Run(options, {.weights = "hf://o/r/f"}), 0);
  EXPECT_EQ(Read("called"), "mkfs.ext4\nmountpoint\nmount\n");
  for (const std::string& other : {std::string(), blank.substr(0, 1000) + "x" + blank}) {
    fs::remove(root_ + "/called");
    AddDisk(other);
    EXPECT_EQ(Run(options, {.weights = "hf://o/r/f"}), 0);
    EXPECT_EQ(Read("called"), "mountpoint\nmount\n") << "it is not to be read, or has something on it";
  }
}

TEST_F(BootScriptTest, RunsTheEngineThatIsAskedFor) {
  const BootOptions options = {.engine_url = absl::StrCat("file://", root_, "/engine"),
                               .engine_sha256 = Sha256Hex(kEngine),
                               .notice = "local,aws"};
  MachineSpec spec = {
      .weights = "https://host/a file?key=$(touch bad)&b='#sha256=00", .backend = "cpu", .context_tokens = 64};
  for (int boot = 0; boot < 2; ++boot) {
    ASSERT_EQ(Run(options, spec), 0);
    const std::string arguments = Read("arguments");
    EXPECT_TRUE(absl::StrContains(arguments, "--listen=127.1.2.3:8500\n")) << arguments;
    EXPECT_TRUE(absl::StrContains(arguments, "--notice=local,aws\n")) << arguments;
    EXPECT_TRUE(absl::StrContains(arguments, "--context_tokens=64\n")) << arguments;
    EXPECT_TRUE(absl::StrContains(arguments, "--model=https://host/a file")) << arguments;
    EXPECT_FALSE(absl::StrContains(arguments, "touch")) << "the query is secret: " << arguments;
    EXPECT_FALSE(absl::StrContains(arguments, "model_hash")) << arguments;
    EXPECT_EQ(Read("var/lib/spotinference/token"), "to'ken");
    EXPECT_TRUE(absl::StrContains(Read("var/lib/spotinference/model_query"), "key=$(touch bad)&b='"));
    fs::remove(root_ + "/engine");  // the second boot has it on the volume
  }
}

TEST_F(BootScriptTest, RunsNoOtherEngine) {
  const BootOptions options = {.engine_url = absl::StrCat("file://", root_, "/engine"),
                               .engine_sha256 = Sha256Hex("another")};
  EXPECT_EQ(Run(options, {.weights = "hf://o/r/f"}), 2);
  EXPECT_EQ(Read("arguments"), "");
}

}  // namespace
}  // namespace spotinference::fleet
