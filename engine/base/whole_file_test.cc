#include "engine/base/whole_file.h"

#include <sys/stat.h>

#include <filesystem>

#include "gtest/gtest.h"

namespace spotinference {
namespace {

const std::string kPath = testing::TempDir() + "/a_file";

TEST(WholeFileTest, ReplacesWhatIsThereAndIsNobodyElses) {
  EXPECT_TRUE(absl::IsNotFound(ReadWholeFile(kPath + ".none", 10).status()));
  ASSERT_TRUE(WriteWholeFile(kPath, "first, and long").ok());
  ASSERT_TRUE(WriteWholeFile(kPath, std::string("se\0ond", 6)).ok());
  const absl::StatusOr<std::string> read = ReadWholeFile(kPath, 6);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, std::string("se\0ond", 6));
  struct stat file;
  ASSERT_EQ(stat(kPath.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
}

TEST(WholeFileTest, TakesNoMoreThanItIsTold) {
  ASSERT_TRUE(WriteWholeFile(kPath, "1234567").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadWholeFile(kPath, 6).status()));
}

TEST(WholeFileTest, WhatCannotBeWrittenLeavesTheOldOne) {
  ASSERT_TRUE(WriteWholeFile(kPath, "old").ok());
  EXPECT_TRUE(absl::IsUnavailable(WriteWholeFile(testing::TempDir() + "/no folder/file", "new")));
  std::filesystem::create_directory(testing::TempDir() + "/taken");
  EXPECT_TRUE(absl::IsUnavailable(WriteWholeFile(testing::TempDir() + "/taken", "new")));
  for (const auto& entry : std::filesystem::directory_iterator(testing::TempDir())) {
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
  }
  EXPECT_EQ(*ReadWholeFile(kPath, 6), "old");
}

}  // namespace
}  // namespace spotinference
