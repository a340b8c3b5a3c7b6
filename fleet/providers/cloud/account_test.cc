#include "fleet/providers/cloud/account.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

class AccountTest : public testing::Test {
 protected:
  absl::Status Check(const std::string& account, bool is_new = false) { return CheckAccount(path_, account, is_new); }

  const std::string path_ =
      AccountPath(testing::TempDir(), testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(AccountTest, AnotherOneIsRefusedWhileThereAreMachines) {
  EXPECT_EQ(*ReadAccount(path_), "");
  ASSERT_TRUE(Check("account 1").ok()) << "a data_dir from before it was written down";
  EXPECT_TRUE(Check("account 1").ok());
  const absl::Status refused = Check("account 2");
  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  for (const char* part : {"account 1", "account 2", "--forget_machines"}) {
    EXPECT_TRUE(absl::StrContains(refused.message(), part)) << refused;
  }
  EXPECT_EQ(*ReadAccount(path_), "account 1");
  EXPECT_TRUE(Check("account 2", /*is_new=*/true).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Check("account 1")));
}

TEST_F(AccountTest, OneThatIsNotSaidIsNoneOfThoseBefore) {
  EXPECT_TRUE(Check("").ok()) << "a key that may not ask";
  EXPECT_TRUE(Check("organization 1").ok()) << "now it may";
  EXPECT_TRUE(absl::IsPermissionDenied(Check("")));
}

TEST_F(AccountTest, WhatCannotBeWrittenIsNotTaken) {
  EXPECT_FALSE(CheckAccount("/nowhere/account", "account 1", /*is_new=*/true).ok());
}

}  // namespace
}  // namespace spotinference::fleet
