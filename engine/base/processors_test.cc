#include "engine/base/processors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

namespace spotinference {
namespace {

class CgroupTest : public testing::Test {
 protected:
  std::string root_ = testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
};

TEST_F(CgroupTest, TheLeastQuotaOnTheWayUpCounts) {
  Write("pods/one/cpu.max", "max 100000\n");
  Write("pods/cpu.max", "350000 100000\n");
  EXPECT_EQ(CgroupProcessors("0::/pods/one\n", root_), 3.5);
  Write("cpu.max", "200000 100000\n");
  EXPECT_EQ(CgroupProcessors("0::/pods/one\n", root_), 2);
}

TEST_F(CgroupTest, InAContainerTheMountIsTheGroup) {
  Write("cpu.max", "150000 100000\n");
  EXPECT_EQ(CgroupProcessors("0::/system/docker-1\n", root_), 1.5);
}

TEST_F(CgroupTest, VersionOne) {
  Write("cpu/a/cpu.cfs_quota_us", "400000\n");
  Write("cpu/a/cpu.cfs_period_us", "100000\n");
  Write("cpu/b/cpu.cfs_quota_us", "-1\n");
  Write("cpu/b/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(CgroupProcessors("4:memory:/x\n3:cpuacct,cpu:/a\n", root_), 4);
  EXPECT_TRUE(std::isinf(CgroupProcessors("1:cpu:/b\n", root_)));
}

TEST_F(CgroupTest, NoneOrNonsenseIsNoLimit) {
  EXPECT_TRUE(std::isinf(CgroupProcessors("", root_)));
  Write("cpu.max", "0 0\n");
  EXPECT_TRUE(std::isinf(CgroupProcessors("0::\n0::/\nnonsense\n", root_)));
}

TEST(UsableThreads, IsAtLeastOne) { EXPECT_GE(UsableThreads(), 1); }

}  // namespace
}  // namespace spotinference
