// What callers show that they are: of a machine's own metadata service, for as long as it is good, and the next one
// where it is refused before its time.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/notice/emulator/metadata_emulator.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class CloudCredentialsTest : public CloudFixture {
 protected:
  // The adapter of a gateway on a machine of the cloud, which has no credentials but its metadata service's.
  std::unique_ptr<CloudApi> ApiOnMachine() {
    auto api = Api("spotinference-ab12-");
    GetParam().move_to_machine(metadata_.url());
    return api;
  }

  // From now on the metadata service has another token, which is good for an hour.
  void Grant() {
    std::string command;
    emulator_.Look([&](CloudModel& model) { command = GrantCommand(model, GetParam().name); });
    ASSERT_TRUE(metadata_.Command(command).ok()) << command;
  }

  // Asks the cloud, and tells how often the metadata service was asked meanwhile.
  int AskedForAList(CloudApi& api) {
    const int before = metadata_.requests();
    const auto list = api.List();
    EXPECT_TRUE(list.ok() && list->unheard.empty()) << list.status();
    return metadata_.requests() - before;
  }

  MetadataEmulator metadata_{clock_};
};

TEST_P(CloudCredentialsTest, AMachinesOwnAreGoodForAsLongAsTheySay) {
  const auto api = ApiOnMachine();
  EXPECT_TRUE(absl::IsUnauthenticated(api->List().status())) << "it has none";
  Grant();
  EXPECT_GT(AskedForAList(*api), 0);
  clock_.Advance(absl::Minutes(50));
  EXPECT_EQ(AskedForAList(*api), 0);
  Grant();
  clock_.Advance(absl::Minutes(9));  // what it has is good still, but not for long
  EXPECT_GT(AskedForAList(*api), 0);
  clock_.Advance(absl::Minutes(2));  // and what it had is not any more
  EXPECT_EQ(AskedForAList(*api), 0);
}

TEST_P(CloudCredentialsTest, OneThatIsRefusedBeforeItsTimeIsReplacedWithinTheCall) {
  const auto api = ApiOnMachine();
  Grant();
  EXPECT_GT(AskedForAList(*api), 0);
  Say("expire");
  Grant();
  EXPECT_GT(AskedForAList(*api), 0);
  EXPECT_EQ(AskedForAList(*api), 0);
  Say("expire");  // and the metadata service goes on to give the old one
  EXPECT_FALSE(api->List().ok());
  Grant();
  EXPECT_GT(AskedForAList(*api), 0);
}

TEST_P(CloudCredentialsTest, APurchaseThatIsRefusedForThemIsMadeOnceWithTheNext) {
  const auto api = ApiOnMachine();
  Grant();
  const auto offers = api->Offers();
  ASSERT_TRUE(offers.ok()) << offers.status();
  Say("expire");
  Grant();
  EXPECT_TRUE(api->CreateVolume("spotinference-ab12-v", offers->offers[0].offer, std::string(32, 'a')).ok());
  EXPECT_EQ(volumes(), 1);
}

// A metadata service that is being updated says 404 and 410, and so much of a machine would be a word of its end.
TEST_P(CloudCredentialsTest, WhatTheirServiceSaysIsNotSaidOfMachines) {
  const auto api = ApiOnMachine();
  for (const char* status : {"404", "410", "409", "412", "429", "500"}) {
    ASSERT_TRUE(metadata_.Command(absl::StrCat("fault ", status, " 1")).ok());
    const absl::Status deleted = api->DeleteMachine({.id = "i-1", .name = "m", .zone = GetParam().zone});
    EXPECT_TRUE(absl::IsUnavailable(deleted) || absl::IsUnauthenticated(deleted)) << status << ": " << deleted;
  }
}

TEST_P(CloudCredentialsTest, AFleetLivesOnWhileTheyCome) {
  Serve(Spec());
  Say("expire");
  Pass(absl::Minutes(2));
  Say("expire");
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  EXPECT_EQ(emulator_.billing(), 0);
  Say("expire");
  Serve(Spec(), /*restore=*/true);
  EXPECT_TRUE(events_.empty());
}

std::vector<CloudUnderTest> CloudsWithMachinesOfRights() {
  std::vector<CloudUnderTest> clouds;
  for (CloudUnderTest& cloud : AllClouds()) {
    if (cloud.move_to_machine != nullptr) clouds.push_back(std::move(cloud));
  }
  return clouds;
}

INSTANTIATE_TEST_SUITE_P(Clouds, CloudCredentialsTest, testing::ValuesIn(CloudsWithMachinesOfRights()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
