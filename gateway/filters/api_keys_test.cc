#include "gateway/filters/api_keys.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/filters/gateway_keys.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

// A folder that is not there yet.
std::string NewFolder(absl::string_view name) {
  const std::string folder = absl::StrCat(std::getenv("TEST_TMPDIR"), "/", name);
  std::filesystem::remove_all(folder);
  return folder;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

TEST(ApiKeysTest, MintsOnceAndKnowsTheKeyAgain) {
  const std::string folder = NewFolder("mint") + "/deeper";
  const auto first = OpenStoredKeys(folder);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(absl::StartsWith(first->minted, "sk-spot-"));
  EXPECT_EQ(first->minted.size(), 8 + 43);  // 256 bits in base64
  EXPECT_EQ(first->keys.NameOf(first->minted), "default");

  const auto second = OpenStoredKeys(folder);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->minted, "");
  EXPECT_EQ(second->keys.NameOf(first->minted), "default");
  for (const std::string& wrong :
       {std::string(), first->minted.substr(1), first->minted + "x", std::string("sk-spot-")}) {
    EXPECT_EQ(second->keys.NameOf(wrong), std::nullopt);
  }
}

TEST(ApiKeysTest, StoresNoKeyAndTheFileIsPrivate) {
  const std::string folder = NewFolder("private");
  const auto stored = OpenStoredKeys(folder);
  ASSERT_TRUE(stored.ok()) << stored.status();
  const std::string path = folder + "/keys.json";
  EXPECT_FALSE(absl::StrContains(Contents(path), stored->minted.substr(8, 12)));
  struct stat status;
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600);
  const std::filesystem::directory_iterator files(folder);
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);  // no temporary file is left
}

TEST(ApiKeysTest, KeysAndSaltsDiffer) {
  std::set<std::string> seen;
  for (const absl::string_view name : {"a", "b", "c"}) {
    const std::string folder = NewFolder(name);
    seen.insert(OpenStoredKeys(folder)->minted);
    seen.insert(Contents(folder + "/keys.json"));
  }
  EXPECT_EQ(seen.size(), 6);
}

TEST(ApiKeysTest, ADamagedFileIsNotReplaced) {
  const std::string folder = NewFolder("damaged");
  std::filesystem::create_directories(folder);
  for (const absl::string_view json :
       {"", "{", "{}", R"({"salt":"AAAAAAAAAAAAAAAAAAAAAA==","keys":[]})",
        R"({"salt":"AA==","keys":[{"name":"x","sha256":"AA=="}]})",
        R"({"salt":"AAAAAAAAAAAAAAAAAAAAAA==","keys":[{"name":"x","sha256":"AA=="}]})"}) {
    std::ofstream(folder + "/keys.json") << json;
    EXPECT_TRUE(absl::IsDataLoss(OpenStoredKeys(folder).status())) << json;
    EXPECT_EQ(Contents(folder + "/keys.json"), json);
  }
}

TEST(ApiKeysTest, FoldersThatCannotBeWritten) {
  const std::string file = NewFolder("file");
  std::ofstream(file) << "x";
  EXPECT_FALSE(OpenStoredKeys(file).ok());
  EXPECT_FALSE(OpenStoredKeys(file + "/below").ok());
}

TEST(ApiKeysTest, OperatorsKeys) {
  const auto keys = HashKeys({{"a", "0123456789abcdef"}, {"b", "fedcba9876543210"}});
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->NameOf("0123456789abcdef"), "a");
  EXPECT_EQ(keys->NameOf("fedcba9876543210"), "b");
  EXPECT_EQ(keys->NameOf("0123456789abcdeF"), std::nullopt);
  for (const absl::string_view weak :
       {"", "0123456789abcde", "0123456789 abcdef", "0123456789abcdeé"}) {
    const absl::Status status = HashKeys({{"a", std::string(weak)}}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_FALSE(absl::StrContains(status.message(), "0123"));
  }
  EXPECT_EQ(ApiKeys().NameOf(""), std::nullopt);
}

TEST(GatewayKeysTest, FromEnvironmentFileAndDataDir) {
  const std::string folder = NewFolder("config");
  std::filesystem::create_directories(folder);
  config::Config config;
  config.set_data_dir(folder);
  const auto minted = OpenKeys(config);
  ASSERT_TRUE(minted.ok()) << minted.status();
  EXPECT_EQ(minted->keys->NameOf(minted->minted), "default");
  EXPECT_TRUE(minted->admin->empty());

  std::ofstream(folder + "/key") << "key-of-the-file-0123\n";
  setenv("TEST_KEY", "key-of-the-environment", 1);
  setenv("TEST_ADMIN", "key-of-the-administrator", 1);
  config::Key& in_file = *config.add_keys();
  in_file.set_name("file");
  in_file.set_key_file(folder + "/key");
  config::Key& in_environment = *config.add_keys();
  in_environment.set_name("environment");
  in_environment.set_key_env("TEST_KEY");
  config.set_admin_key_env("TEST_ADMIN");
  const auto given = OpenKeys(config);
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->minted, "");
  EXPECT_EQ(given->keys->NameOf("key-of-the-file-0123"), "file");
  EXPECT_EQ(given->keys->NameOf("key-of-the-environment"), "environment");
  EXPECT_EQ(given->keys->NameOf("key-of-the-administrator"), std::nullopt);
  EXPECT_EQ(given->keys->NameOf(minted->minted), std::nullopt);
  EXPECT_EQ(given->admin->NameOf("key-of-the-administrator"), "admin");

  in_environment.set_key_env("TEST_KEY_THAT_IS_NOT_SET");
  EXPECT_EQ(OpenKeys(config).status(),
            absl::FailedPreconditionError(
                "the environment variable TEST_KEY_THAT_IS_NOT_SET is not set"));
}

}  // namespace
}  // namespace spotinference
