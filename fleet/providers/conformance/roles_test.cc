// The roles for Google, Azure and Hyperstack in fleet/providers/README.md allow what the adapters call, and nothing
// else. (AWS's policy: policy_test.py.)
//
// Which permission a call needs is the clouds' word: Google's "IAM permissions reference" and "Create and start a
// Compute Engine instance"; Microsoft's "Azure resource provider operations" and, of what a machine is made with,
// "Tutorial: create an Azure custom role". A permission of Hyperstack's is for one method of one endpoint, as its Python
// package has it, and is named so. None was held against a live cloud.
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/cloud/secret.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

using Permissions = std::set<std::string>;

struct Call {
  const char* shape;  // "METHOD /path", "*" for a part of it
  Permissions needs;
};

const std::vector<Call>& GoogleCalls() {
  static const auto& calls = *new std::vector<Call>{
      {"POST /token", {}},
      {"GET /v1/services/*/skus", {}},
      {"GET /compute/v1/projects/*", {"compute.projects.get"}},
      {"GET /compute/v1/projects/*/regions/*", {"compute.regions.get"}},
      {"GET /compute/v1/projects/*/aggregated/instances", {"compute.instances.list"}},
      {"GET /compute/v1/projects/*/aggregated/disks", {"compute.disks.list"}},
      {"GET /compute/v1/projects/*/zones/*/machineTypes/*", {"compute.machineTypes.get"}},
      {"GET /compute/v1/projects/*/zones/*/operations", {"compute.zoneOperations.list"}},
      {"GET /compute/v1/projects/*/zones/*/operations/*", {"compute.zoneOperations.get"}},
      {"POST /compute/v1/projects/*/zones/*/disks", {"compute.disks.create", "compute.disks.setLabels"}},
      {"DELETE /compute/v1/projects/*/zones/*/disks/*", {"compute.disks.delete"}},
      {"POST /compute/v1/projects/*/zones/*/instances",
       {"compute.instances.create", "compute.instances.setLabels", "compute.instances.setMetadata",
        "compute.disks.create", "compute.disks.use", "compute.subnetworks.use", "compute.subnetworks.useExternalIp"}},
      {"DELETE /compute/v1/projects/*/zones/*/instances/*", {"compute.instances.delete"}},
      {"POST /compute/v1/projects/*/zones/*/instances/*/stop", {"compute.instances.stop"}},
      {"POST /compute/v1/projects/*/zones/*/instances/*/start", {"compute.instances.start"}},
      {"POST /compute/v1/projects/*/zones/*/instances/*/attachDisk",
       {"compute.instances.attachDisk", "compute.disks.use"}},
      {"POST /compute/v1/projects/*/zones/*/instances/*/detachDisk", {"compute.instances.detachDisk"}}};
  return calls;
}

const std::vector<Call>& AzureCalls() {
  static const auto& calls = *new std::vector<Call>{
      {"POST /*/oauth2/v2.0/token", {}},
      {"GET /api/retail/prices", {}},
      {"GET /subscriptions/*/providers/Microsoft.Compute/virtualMachines", {"Microsoft.Compute/virtualMachines/read"}},
      {"GET /subscriptions/*/providers/Microsoft.Compute/skus", {"Microsoft.Compute/skus/read"}},
      {"GET /subscriptions/*/providers/Microsoft.Compute/locations/*/usages",
       {"Microsoft.Compute/locations/usages/read"}},
      {"GET /subscriptions/*/providers/Microsoft.Compute/locations/*/operations/*",
       {"Microsoft.Compute/locations/operations/read"}},
      {"GET GROUP/Microsoft.Compute/virtualMachines", {"Microsoft.Compute/virtualMachines/read"}},
      {"PUT GROUP/Microsoft.Compute/virtualMachines/*",
       {"Microsoft.Compute/virtualMachines/write", "Microsoft.Compute/disks/read", "Microsoft.Compute/disks/write",
        "Microsoft.Network/networkInterfaces/read", "Microsoft.Network/networkInterfaces/write",
        "Microsoft.Network/networkInterfaces/join/action", "Microsoft.Network/publicIPAddresses/read",
        "Microsoft.Network/publicIPAddresses/write", "Microsoft.Network/publicIPAddresses/join/action",
        "Microsoft.Network/virtualNetworks/subnets/join/action"}},
      {"DELETE GROUP/Microsoft.Compute/virtualMachines/*", {"Microsoft.Compute/virtualMachines/delete"}},
      {"POST GROUP/Microsoft.Compute/virtualMachines/*/start", {"Microsoft.Compute/virtualMachines/start/action"}},
      {"POST GROUP/Microsoft.Compute/virtualMachines/*/deallocate",
       {"Microsoft.Compute/virtualMachines/deallocate/action"}},
      {"POST GROUP/Microsoft.Compute/virtualMachines/*/attachDetachDataDisks",
       {"Microsoft.Compute/virtualMachines/attachDetachDataDisks/action"}},
      {"GET GROUP/Microsoft.Compute/disks", {"Microsoft.Compute/disks/read"}},
      {"PUT GROUP/Microsoft.Compute/disks/*", {"Microsoft.Compute/disks/write"}},
      {"DELETE GROUP/Microsoft.Compute/disks/*", {"Microsoft.Compute/disks/delete"}},
      {"GET GROUP/Microsoft.Network/networkInterfaces", {"Microsoft.Network/networkInterfaces/read"}},
      {"DELETE GROUP/Microsoft.Network/networkInterfaces/*", {"Microsoft.Network/networkInterfaces/delete"}},
      {"GET GROUP/Microsoft.Network/publicIPAddresses", {"Microsoft.Network/publicIPAddresses/read"}},
      {"DELETE GROUP/Microsoft.Network/publicIPAddresses/*", {"Microsoft.Network/publicIPAddresses/delete"}}};
  return calls;
}

const std::vector<Call>& HyperstackCalls() {
  static const auto& calls = *new std::vector<Call>{
      {"GET /v1/auth/organizations", {"GET /auth/organizations"}},
      {"GET /v1/billing/billing/virtual-machine/*/billing-events",
       {"GET /billing/billing/virtual-machine/{vm_id}/billing-events"}},
      {"GET /v1/core/environments", {"GET /core/environments"}},
      {"GET /v1/core/environments/*/vm-quota", {"GET /core/environments/{id}/vm-quota"}},
      {"GET /v1/core/flavors", {"GET /core/flavors"}},
      {"GET /v1/core/stocks", {"GET /core/stocks"}},
      {"GET /v1/core/virtual-machines", {"GET /core/virtual-machines"}},
      {"POST /v1/core/virtual-machines", {"POST /core/virtual-machines"}},
      {"DELETE /v1/core/virtual-machines/*", {"DELETE /core/virtual-machines/{vm_id}"}},
      {"POST /v1/core/virtual-machines/*/attach-volumes", {"POST /core/virtual-machines/{vm_id}/attach-volumes"}},
      {"POST /v1/core/virtual-machines/*/detach-volumes", {"POST /core/virtual-machines/{vm_id}/detach-volumes"}},
      {"GET /v1/core/virtual-machines/*/hibernate", {"GET /core/virtual-machines/{vm_id}/hibernate"}},
      {"GET /v1/core/virtual-machines/*/hibernate-restore", {"GET /core/virtual-machines/{vm_id}/hibernate-restore"}},
      {"GET /v1/core/volumes", {"GET /core/volumes"}},
      {"POST /v1/core/volumes", {"POST /core/volumes"}},
      {"DELETE /v1/core/volumes/*", {"DELETE /core/volumes/{volume_id}"}},
      {"GET /v1/pricebook", {"GET /pricebook"}}};
  return calls;
}

bool Fits(absl::string_view call, const std::string& shape) {
  const std::vector<absl::string_view> parts = absl::StrSplit(call, '/');
  const std::vector<std::string> wanted =
      absl::StrSplit(absl::StrReplaceAll(shape, {{"GROUP", "/subscriptions/*/resourceGroups/*/providers"}}), '/');
  if (parts.size() != wanted.size()) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (wanted[i] != "*" && parts[i] != wanted[i]) return false;
  }
  return true;
}

// What stands in the README's blocks of that language, each whole.
std::vector<std::string> Blocks(const std::string& language) {
  std::ifstream file("fleet/providers/README.md");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<std::string> blocks;
  const std::string begin = "```" + language + "\n";
  for (size_t at = text.find(begin); at != text.npos; at = text.find(begin, at + 1)) {
    blocks.push_back(text.substr(at + begin.size(), text.find("```", at + 3) - at - begin.size()));
  }
  return blocks;
}

Permissions GoogleRole() {
  Permissions role;
  for (const std::string& block : Blocks("yaml")) {
    if (!absl::StrContains(block, "includedPermissions:")) continue;
    for (absl::string_view line : absl::StrSplit(block, '\n')) {
      if (absl::ConsumePrefix(&line, "- ")) role.emplace(line);
    }
  }
  return role;
}

Permissions AzureRoles() {
  Permissions roles;
  for (const std::string& block : Blocks("json")) {
    const absl::StatusOr<Json> role = Json::Parse(block);
    EXPECT_TRUE(role.ok()) << block;
    if (!role.ok()) continue;
    for (const Json& action : (*role)["Actions"].Items()) roles.insert(action.Text());
  }
  return roles;
}

Permissions HyperstackRole() {
  Permissions role;
  for (const std::string& block : Blocks("http")) {
    for (const absl::string_view line : absl::StrSplit(block, '\n', absl::SkipEmpty())) role.emplace(line);
  }
  return role;
}

const std::vector<Call>& CallsOf(const std::string& cloud) {
  return cloud == "gcp" ? GoogleCalls() : cloud == "azure" ? AzureCalls() : HyperstackCalls();
}

Permissions RoleOf(const std::string& cloud) {
  return cloud == "gcp" ? GoogleRole() : cloud == "azure" ? AzureRoles() : HyperstackRole();
}

class RolesTest : public CloudFixture {
 protected:
  void After(const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
    clock_.Advance(absl::Seconds(5));
    const absl::StatusOr<CloudInventory> inventory = api_->List();
    ASSERT_TRUE(inventory.ok()) << inventory.status();
    machine_ = inventory->machines.empty() ? CloudMachine() : inventory->machines[0];
    volume_ = inventory->volumes.empty() ? CloudVolume() : inventory->volumes[0];
  }

  std::unique_ptr<CloudApi> api_;
  CloudMachine machine_;
  CloudVolume volume_;
};

TEST_P(RolesTest, AllowWhatIsCalledAndNothingElse) {
  if (GetParam().name == "aws") GTEST_SKIP() << "has no role of this kind";
  public_address_ = true;
  api_ = Api("spotinference-ab12-");
  Say("habit keeps_addresses 1");
  const absl::StatusOr<CloudOffers> offers = api_->Offers();
  ASSERT_TRUE(offers.ok() && offers->quotas.ok() && !offers->offers.empty());
  const Offer offer = offers->offers[0].offer;
  After(api_->CreateVolume("spotinference-ab12-v", offer, NewPurchaseToken()));
  MachineOrder order = {.name = "spotinference-ab12-m", .token = NewPurchaseToken(), .offer = offer};
  order.volume_id = volume_.id;
  After(api_->CreateMachine(order).status());
  if (!api_->traits().attaches_at_creation) After(api_->AttachVolume(volume_, machine_));
  After(api_->StopMachine(machine_));
  After(api_->StartMachine(machine_));
  After(api_->DetachVolume(volume_));
  if (!absl::IsUnimplemented(api_->AttachVolume(volume_, machine_))) After(absl::OkStatus());
  EXPECT_TRUE(api_->Account().ok());
  const CloudMachine last = machine_;
  After(api_->DeleteMachine(machine_));
  EXPECT_TRUE(api_->LatestRun({.id = last.id, .name = last.name, .zone = last.zone}).ok());
  for (int i = 0; i < 2 && !machine_.name.empty(); ++i) After(api_->DeleteMachine(machine_));  // interface, address
  EXPECT_EQ(addresses(), 0);
  After(api_->DeleteVolume(volume_));

  Permissions needed;
  for (const std::string& call : emulator_.calls()) {
    bool is_known = false;
    for (const Call& known : CallsOf(GetParam().name)) {
      if (!Fits(call, known.shape)) continue;
      is_known = true;
      needed.insert(known.needs.begin(), known.needs.end());
    }
    EXPECT_TRUE(is_known) << call;
  }
  EXPECT_EQ(RoleOf(GetParam().name), needed);
}

INSTANTIATE_TEST_SUITE_P(Clouds, RolesTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
