#include "engine/volume/simulated_file_system.h"

#include <set>

#include "gtest/gtest.h"

namespace spotinference {
namespace {

absl::Span<const std::byte> Bytes(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// What of "/v/f" a disk may have after a power cut: its bytes, or "-" for no such file.
std::set<std::string> AfterPowerCut(void (*write)(SimulatedFileSystem&)) {
  std::set<std::string> seen;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SimulatedFileSystem files;
    EXPECT_TRUE(files.CreateFolder("/v").ok());
    files.Restart(SimulatedFileSystem::Cut::kKill, 0);
    write(files);
    files.Restart(SimulatedFileSystem::Cut::kPower, seed);
    const auto map = files.Map("/v/f");
    if (absl::IsNotFound(map.status())) seen.insert("-");
    else if (!map.ok()) seen.insert("");
    else seen.insert(std::string(reinterpret_cast<const char*>((*map)->bytes().data()), (*map)->bytes().size()));
  }
  return seen;
}

TEST(SimulatedFileSystemTest, WhatIsSyncedStays) {
  EXPECT_EQ(AfterPowerCut([](SimulatedFileSystem& files) {
              const auto file = *files.Create("/v/f");
              ASSERT_TRUE(file->Write(0, Bytes("ab")).ok());
              ASSERT_TRUE(file->Sync().ok());
              ASSERT_TRUE(files.SyncFolder("/v").ok());
            }),
            std::set<std::string>({"ab"}));
}

TEST(SimulatedFileSystemTest, ANameThatIsNotSyncedMayBeLost) {
  EXPECT_EQ(AfterPowerCut([](SimulatedFileSystem& files) {
              const auto file = *files.Create("/v/f");
              ASSERT_TRUE(file->Write(0, Bytes("ab")).ok());
              ASSERT_TRUE(file->Sync().ok());
            }),
            std::set<std::string>({"-", "ab"}));
}

TEST(SimulatedFileSystemTest, WritesThatAreNotSyncedComeInAnyOrderAndInPart) {
  EXPECT_EQ(AfterPowerCut([](SimulatedFileSystem& files) {
              const auto file = *files.Create("/v/f");
              ASSERT_TRUE(files.SyncFolder("/v").ok());
              ASSERT_TRUE(file->Write(0, Bytes("ab")).ok());
              ASSERT_TRUE(file->Write(1, Bytes("x")).ok());
            }),
            std::set<std::string>({"", "a", "ab", "ax", std::string("\0", 1), std::string("\0x", 2)}));
}

TEST(SimulatedFileSystemTest, ARenamingThatIsNotSyncedLeavesOneOfTheTwo) {
  EXPECT_EQ(AfterPowerCut([](SimulatedFileSystem& files) {
              for (const char* path : {"/v/f", "/v/g"}) {
                const auto file = *files.Create(path);
                ASSERT_TRUE(file->Write(0, Bytes(path)).ok());
                ASSERT_TRUE(file->Sync().ok());
              }
              ASSERT_TRUE(files.SyncFolder("/v").ok());
              ASSERT_TRUE(files.Rename("/v/g", "/v/f").ok());
            }),
            std::set<std::string>({"/v/f", "/v/g"}));
}

TEST(SimulatedFileSystemTest, AfterTheCutNothingChanges) {
  SimulatedFileSystem files;
  ASSERT_TRUE(files.CreateFolder("/v").ok());
  files.CutAfter(3, 1);
  const auto file = *files.Create("/v/f");
  EXPECT_FALSE(file->Write(0, Bytes("abcdef")).ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_FALSE(files.Remove("/v/f").ok());
  EXPECT_LT(files.Contents("/v/f").size(), 7);
  files.Restart(SimulatedFileSystem::Cut::kKill, 0);
  EXPECT_TRUE(files.Remove("/v/f").ok());
}

}  // namespace
}  // namespace spotinference
