// A machine gets no identity or role of its cloud: who breaks into one can ask nothing of the account. The create of
// each cloud has what is named here and nothing else: no IamInstanceProfile and no LaunchTemplate, which may have one
// (RunInstances), no serviceAccounts (instances.insert), no identity (PUT virtualMachines). One program with
// roles_test.cc.
#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/cloud/secret.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

using Members = std::set<std::string>;

// Of the body and of what is in its "properties"; of AWS's parameters what stands before the first '.'.
Members MembersOf(const std::string& cloud, const std::string& body) {
  Members members;
  if (cloud == "aws") {
    for (const absl::string_view parameter : absl::StrSplit(body, '&')) {
      members.emplace(parameter.substr(0, std::min(parameter.find('.'), parameter.find('='))));
    }
    return members;
  }
  const absl::StatusOr<Json> json = Json::Parse(body);
  EXPECT_TRUE(json.ok()) << body;
  if (!json.ok()) return members;
  for (const std::string& name : json->Names()) members.insert(name);
  for (const std::string& name : (*json)["properties"].Names()) members.insert("properties." + name);
  return members;
}

Members Allowed(const std::string& cloud) {
  if (cloud == "aws") {
    return {"Action", "Version", "ImageId", "InstanceType", "MinCount", "MaxCount", "ClientToken", "Placement",
            "UserData", "InstanceInitiatedShutdownBehavior", "MetadataOptions", "SecurityGroupId", "NetworkInterface",
            "InstanceMarketOptions", "TagSpecification"};
  }
  if (cloud == "gcp") {
    return {"name", "machineType", "labels", "disks", "networkInterfaces", "metadata", "scheduling"};
  }
  if (cloud == "azure") {
    return {"location", "zones", "tags", "properties", "properties.hardwareProfile", "properties.priority",
            "properties.evictionPolicy", "properties.billingProfile", "properties.storageProfile",
            "properties.osProfile", "properties.networkProfile"};
  }
  return {"name", "environment_name", "image_name", "flavor_name", "key_name", "count", "labels", "user_data",
          "assign_floating_ip", "enable_port_randomization", "security_rules"};
}

class MachineIdentityTest : public CloudFixture {
 protected:
  // Of each machine that is asked for, in each market, in a zone in which there is a volume.
  Members AskedFor() {
    Members asked;
    emulator_.Hear([&](const FakeHttpRequest& request) {
      if (absl::StrContains(request.body, GetParam().create)) {
        EXPECT_FALSE(absl::StrContains(request.target, "emplate")) << request.target;
        asked.merge(MembersOf(GetParam().name, request.body));
      }
    });
    const std::unique_ptr<CloudApi> api = Api("spotinference-ab12-");
    const absl::StatusOr<CloudOffers> offers = api->Offers();
    EXPECT_TRUE(offers.ok()) << offers.status();
    std::set<Market> markets;
    for (const OfferNow& now : offers.ok() ? offers->offers : std::vector<OfferNow>()) {
      if (!markets.insert(now.offer.market).second) continue;
      const std::string name = absl::StrCat("spotinference-ab12-", ++count_);
      EXPECT_TRUE(api->CreateVolume(name, now.offer, NewPurchaseToken()).ok());
      clock_.Advance(absl::Seconds(5));
      const absl::StatusOr<CloudInventory> inventory = api->List();
      EXPECT_TRUE(inventory.ok() && !inventory->volumes.empty());
      MachineOrder order = {.name = name, .token = NewPurchaseToken(), .offer = now.offer, .user_data = "#!/bin/sh"};
      if (api->traits().attaches_at_creation) order.volume_id = inventory->volumes.back().id;
      const absl::StatusOr<std::string> id = api->CreateMachine(order);
      EXPECT_TRUE(id.ok()) << id.status();
    }
    EXPECT_FALSE(markets.empty());
    emulator_.Hear(nullptr);
    return asked;
  }

 private:
  int count_ = 0;
};

TEST_P(MachineIdentityTest, NoneIsAskedFor) {
  for (const std::string& zone : {GetParam().zone, GetParam().other_zone})
    Say(absl::StrCat("stock ", GetParam().name, " ", zone, " ", GetParam().type, " 9"));
  Members asked = AskedFor();
  public_address_ = true;
  asked.merge(AskedFor());
  EXPECT_EQ(asked, Allowed(GetParam().name));
}

INSTANTIATE_TEST_SUITE_P(Clouds, MachineIdentityTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
