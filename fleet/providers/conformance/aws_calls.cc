// aws_calls URL IMAGE: all that the fleet asks of AWS, once, against a server that others wrote; a line of what came of
// each. Keys are AWS's usual environment variables. Exit status 1: a call failed, or its effect was not listed; quotas
// and the price list only say what came of them, since without these there are offers all the same.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "fleet/providers/aws/aws_api.h"
#include "fleet/providers/cloud/secret.h"

namespace spotinference::fleet {
namespace {

constexpr char kName[] = "spotinference-moto-m";

std::string Describe(CloudApi& api) {
  const auto inventory = api.List();
  if (!inventory.ok()) return inventory.status().ToString();
  std::string text;
  for (const CloudMachine& machine : inventory->machines) {
    absl::StrAppend(&text, machine.name, " in ", machine.zone, ": ", machine.word, "; ");
  }
  for (const CloudVolume& volume : inventory->volumes) {
    absl::StrAppend(&text, volume.name, " in ", volume.zone, ": ", volume.word, volume.attached ? " attached" : "",
                    volume.ready ? "; " : " not ready; ");
  }
  return text;
}

// What is said of the call, and then of all that is listed.
bool Say(CloudApi& api, const char* call, const absl::Status& status) {
  std::printf("%s: %s; %s\n", call, status.ToString().c_str(), Describe(api).c_str());
  return status.ok();
}

absl::StatusOr<CloudMachine> Machine(CloudApi& api) {
  const auto inventory = api.List();
  if (!inventory.ok()) return inventory.status();
  if (inventory->machines.empty()) return absl::NotFoundError("no machine is listed");
  return inventory->machines[0];
}

absl::StatusOr<CloudVolume> Volume(CloudApi& api) {
  const auto inventory = api.List();
  if (!inventory.ok()) return inventory.status();
  if (inventory->volumes.empty()) return absl::NotFoundError("no volume is listed");
  return inventory->volumes[0];
}

bool Run(CloudApi& api) {
  const auto account = api.Account();
  if (!account.ok()) return Say(api, "Account", account.status());
  const auto offers = api.Offers();
  if (!offers.ok()) return Say(api, "Offers", offers.status());
  if (offers->offers.empty()) return Say(api, "Offers", absl::NotFoundError("none"));
  const Offer offer = offers->offers.front().offer;
  std::printf("Offers: %s %s %d\n", offer.zone.c_str(), offer.accelerator.c_str(), offer.accelerators);
  const absl::Status prices = offers->unheard.empty() ? absl::OkStatus() : offers->unheard[0].status;
  const bool on_demand = std::any_of(offers->offers.begin(), offers->offers.end(),
                                     [](const OfferNow& now) { return now.offer.market == Market::kOnDemand; });
  std::printf("Quotas: %s\nPrices: %s; %s\n", offers->quotas.ToString().c_str(), prices.ToString().c_str(),
              on_demand ? "on demand, too" : "none on demand");
  if (!Say(api, "CreateVolume", api.CreateVolume(kName, offer, NewPurchaseToken()))) return false;
  const auto id = api.CreateMachine(
      {.name = kName, .token = NewPurchaseToken(), .offer = offer, .user_data = "#!/bin/sh\nexit 0\n"});
  if (!Say(api, "CreateMachine", id.status())) return false;
  const auto machine = Machine(api);
  auto volume = Volume(api);
  if (!machine.ok() || !volume.ok() || machine->id != *id) return false;
  std::printf("Address: %s\n", machine->address.c_str());
  if (!Say(api, "AttachVolume", api.AttachVolume(*volume, *machine))) return false;
  volume = Volume(api);
  if (!volume.ok() || volume->machine != *id) return false;
  const bool done = Say(api, "DetachVolume", api.DetachVolume(*volume)) &&
                    Say(api, "StartMachine", api.StartMachine(*machine)) &&
                    Say(api, "DeleteMachine", api.DeleteMachine(*machine)) &&
                    Say(api, "DeleteVolume", api.DeleteVolume(*volume));
  std::printf("Boot: %g GB\n", machine->boot_gigabytes);
  return done;
}

}  // namespace
}  // namespace spotinference::fleet

int main(int argc, char** argv) {
  using namespace spotinference;  // NOLINT
  if (argc != 3) return 2;
  fleet::AwsOptions options;
  options.regions = {{.name = "us-east-1", .image = argv[2]}};
  options.instance_types = {"g4dn.xlarge"};
  options.name_prefix = "spotinference-moto-";
  options.public_address = true;
  options.endpoint = options.pricing_endpoint = argv[1];
  const std::unique_ptr<fleet::CloudApi> api = fleet::NewAwsApi(options, RealClock());
  return fleet::Run(*api) ? 0 : 1;
}
