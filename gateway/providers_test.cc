#include "gateway/providers.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

fleet::MachineRecord Machine(const std::string& id, const std::string& provider, const std::string& region = "") {
  fleet::MachineRecord machine = {.id = id, .provider = provider};
  if (!region.empty()) machine.offer = fleet::Offer{.provider = provider, .region = region};
  return machine;
}

std::vector<std::string> OutOfReachOf(const config::Config& config) {
  std::vector<std::string> ids;
  const std::vector<fleet::MachineRecord> machines = {
      Machine("local-1", "local"),           Machine("old-1", ""),
      Machine("east-1", "aws", "us-east-1"), Machine("west-1", "aws", "us-west-2"),
      Machine("gcp-1", "gcp", "us-central1"), Machine("azure-1", "azure", "eastus"),
      Machine("hyperstack-1", "hyperstack", "CANADA-1"), Machine("hyperstack-2", "hyperstack")};
  for (const fleet::MachineRecord& machine : machines) {
    if (IsOutOfReach(config, machine)) ids.push_back(machine.id);
  }
  return ids;
}

TEST(OutOfReach, IsWhatNoProviderLists) {
  config::Config config;
  config.add_providers()->mutable_local();
  EXPECT_EQ(OutOfReachOf(config), (std::vector<std::string>{"east-1", "west-1", "gcp-1", "azure-1", "hyperstack-1",
                                                            "hyperstack-2"}));
  config.add_providers()->mutable_aws()->add_regions()->set_name("us-west-2");
  config.add_providers()->mutable_azure()->set_location("westeurope");
  config.add_providers()->mutable_hyperstack()->add_environments("default-NORWAY-1");
  EXPECT_EQ(OutOfReachOf(config), (std::vector<std::string>{"east-1", "gcp-1", "azure-1"}))
      << "Hyperstack's list is the account's";
  config.mutable_providers(1)->mutable_aws()->add_regions()->set_name("us-east-1");
  config.mutable_providers(2)->mutable_azure()->set_location("eastus");
  config.add_providers()->mutable_gcp()->add_zones("europe-west4-a");
  EXPECT_TRUE(OutOfReachOf(config).empty());
}

TEST(DayLimit, BindsCloudsAlwaysAndThisComputerIfThereIsOne) {
  config::Config config;
  config.mutable_spend()->set_max_dollars_per_day(0);
  config.add_providers()->mutable_local()->set_price_per_hour(1);
  EXPECT_EQ(DayLimit(config), std::nullopt);
  config.mutable_spend()->set_max_dollars_per_day(5);
  EXPECT_EQ(DayLimit(config), 5);
  config.add_providers()->mutable_aws();
  config.mutable_spend()->set_max_dollars_per_day(0);
  EXPECT_EQ(DayLimit(config), 0);
}

// A fleet with a data_dir, of which nobody has started a gateway, and a cloud that nobody is at.
class DeleteAllTest : public testing::Test {
 protected:
  DeleteAllTest() {
    config_.set_data_dir(testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name());
    config_.add_providers()->mutable_local();
    config::Azure& azure = *config_.add_providers()->mutable_azure();
    azure.set_subscription("s");
    azure.set_endpoint("http://127.0.0.1:1");
    azure.set_login("http://127.0.0.1:1");
  }

  config::Config config_;
};

TEST_F(DeleteAllTest, WithoutASecretNobodyKnowsWhichFleetItIs) {
  for (const bool dry_run : {false, true}) {
    const absl::Status status = DeleteAll(config_, /*every_fleet=*/false, dry_run);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    for (const char* part : {"/fleet_secret: there is none", "nothing is deleted", "--delete_all --every_fleet"}) {
      EXPECT_TRUE(absl::StrContains(status.message(), part)) << status;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(config_.data_dir())) << "it makes none";
}

TEST_F(DeleteAllTest, WhatIsNoSecretIsNobodys) {
  std::filesystem::create_directories(config_.data_dir());
  std::ofstream(config_.data_dir() + "/fleet_secret") << "";
  const absl::Status status = DeleteAll(config_, /*every_fleet=*/false, /*dry_run=*/false);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "holds no secret of a fleet")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "nothing is deleted")) << status;
}

TEST_F(DeleteAllTest, WithoutACloudThereIsNothingToKnow) {
  config_.mutable_providers()->RemoveLast();
  EXPECT_TRUE(DeleteAll(config_, /*every_fleet=*/false, /*dry_run=*/false).ok());
}

}  // namespace
}  // namespace spotinference
