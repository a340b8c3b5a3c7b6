#include "fleet/providers/cloud/secret.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(Secret, IsMadeOnceForItsOwnerAlone) {
  const std::string path = testing::TempDir() + "/secret";
  const auto first = OpenSecret(path);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->size(), 64);
  EXPECT_EQ(*OpenSecret(path), *first);
  struct stat file;
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600);
  std::ofstream(path) << *first << "\n";
  EXPECT_EQ(*OpenSecret(path), *first) << "as an editor leaves it";
  std::ofstream(path) << "short";
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenSecret(path).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenSecret("/nowhere/secret").status()));
  EXPECT_NE(RandomHex(16), RandomHex(16));
}

TEST(Secret, OfAFleetThatHasMachinesIsNotMadeAnew) {
  const std::string path = testing::TempDir() + "/lost_secret";
  const absl::Status gone = OpenSecret(path, /*is_new=*/false).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(gone));
  EXPECT_TRUE(absl::StrContains(gone.message(), "--delete_all --every_fleet")) << gone;
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  const auto made = OpenSecret(path, /*is_new=*/true);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(*OpenSecret(path, /*is_new=*/false), *made);
}

TEST(Secret, IsNotMadeByWhoReadsIt) {
  const std::string path = testing::TempDir() + "/read_secret";
  EXPECT_TRUE(absl::IsNotFound(ReadSecret(path).status()));
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  const auto made = OpenSecret(path);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(*ReadSecret(path), *made);
  std::ofstream(path) << "short";
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadSecret(path).status()));
}

}  // namespace
}  // namespace spotinference::fleet
