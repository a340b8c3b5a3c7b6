#include "gateway/known_machines.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "fleet/store/memory_store.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

class KnownMachinesTest : public testing::Test {
 protected:
  KnownMachinesTest()
      : data_dir_(testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::create_directories(data_dir_ + "/identity");
    for (const char* file : {"/fleet_secret", "/identity/authority.pem"}) std::ofstream(data_dir_ + file) << "it";
    config_.add_providers()->mutable_local();
    config_.add_providers()->mutable_gcp()->set_project("p");
    Know("local-1", "local");
    Know("gcp-1", "gcp");
  }

  void Know(const std::string& id, const std::string& provider) {
    fleet::MachineRecord machine = {.id = id, .provider = provider};
    machine.serial = ++serial_;
    ASSERT_TRUE(store_.Write({.machines = {{machine.serial, machine}}}, fleet::Store::Sync::kDurable).ok());
  }
  absl::StatusOr<Names> Check(bool forget = false) {
    const auto account_of = [this](const config::Provider&) { return account_; };
    return CheckMachines(config_, data_dir_, forget, account_of, store_);
  }
  Names Known() {
    Names names;
    for (const auto& [serial, machine] : store_.machines()) names.insert(machine.id);
    return names;
  }

  const std::string data_dir_;
  int64_t serial_ = 0;
  config::Config config_;
  fleet::MemoryStore store_;
  absl::StatusOr<std::string> account_ = "project p";  // of Google's
};

TEST_F(KnownMachinesTest, OfCloudsInTheConfigurationAreFine) {
  EXPECT_EQ(*Check(), Names{"gcp"});
  EXPECT_EQ(*Check(/*forget=*/true), Names{"gcp"});
  EXPECT_EQ(Known(), (Names{"gcp-1", "local-1"})) << "there is nothing to forget";
}

TEST_F(KnownMachinesTest, OutOfTheConfigurationsReachAreRefused) {
  Know("azure-1", "azure");
  const auto refused = Check();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()));
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "of azure-1 (azure, ")) << refused.status();
  EXPECT_EQ(*Check(/*forget=*/true), Names{"gcp"});
  EXPECT_EQ(Known(), (Names{"gcp-1", "local-1"}));
}

TEST_F(KnownMachinesTest, InAnotherAccountAreRefused) {
  EXPECT_EQ(*Check(), Names{"gcp"});
  account_ = "project q";
  const auto refused = Check();
  EXPECT_TRUE(absl::IsPermissionDenied(refused.status()));
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "gcp: the fleet's machines are in project p"));
  account_ = absl::UnavailableError("it is down");
  EXPECT_EQ(*Check(), Names{"gcp"}) << "it will be asked again";
  account_ = "project q";
  EXPECT_EQ(*Check(/*forget=*/true), Names{});
  EXPECT_EQ(Known(), Names{"local-1"});
  EXPECT_EQ(*Check(), Names{});
}

TEST_F(KnownMachinesTest, VolumesAreInAnAccountToo) {
  ASSERT_TRUE(store_.Write({.machines = {{2, std::nullopt}}}, fleet::Store::Sync::kOrdered).ok());
  const auto know_volume = [this](const std::string& provider) {
    const std::string name = "m@" + provider;
    const fleet::VolumeRecord volume = {.name = name, .offer = {.provider = provider}, .unused_since = {}};
    ASSERT_TRUE(store_.Write({.volumes = {{name, volume}}}, fleet::Store::Sync::kOrdered).ok());
  };
  know_volume("local");
  EXPECT_EQ(*Check(), Names{});
  know_volume("gcp");
  know_volume("azure");
  EXPECT_EQ(*Check(), Names{"gcp"}) << "its secret is still needed";
  account_ = "project q";
  EXPECT_TRUE(absl::IsPermissionDenied(Check().status()));
  EXPECT_EQ(store_.volumes().size(), 3);
  EXPECT_EQ(*Check(/*forget=*/true), Names{});
  ASSERT_EQ(store_.volumes().size(), 1);
  EXPECT_TRUE(store_.volumes().contains("m@local"));
}

TEST_F(KnownMachinesTest, WithoutWhatTheyAreKnownByAreForgottenWhenAsked) {
  for (const char* file : {"/fleet_secret", "/identity/authority.pem"}) {
    fs::remove(data_dir_ + file);
    EXPECT_EQ(*Check(), Names{"gcp"});
    EXPECT_EQ(*Check(/*forget=*/true), Names{}) << file;
    EXPECT_EQ(Known(), Names{"local-1"});
    std::ofstream(data_dir_ + file) << "another";
    Know("gcp-1", "gcp");
  }
}

}  // namespace
}  // namespace spotinference
