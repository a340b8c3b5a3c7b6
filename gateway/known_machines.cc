#include "gateway/known_machines.h"

#include <glog/logging.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/account.h"
#include "gateway/providers.h"

namespace spotinference {
namespace {

std::string ForPeople(const fleet::MachineRecord& machine) {
  return absl::StrCat(machine.id, " (", machine.provider,
                      machine.offer.has_value() ? absl::StrCat(", ", machine.offer->zone) : "", ", ",
                      fleet::MachineStateName(machine.state), ")");
}

// What is missing is refused where it would be made anew (secret.h, authority.h).
bool IsLost(const std::string& data_dir) {
  return !std::filesystem::exists(data_dir + "/fleet_secret") ||
         !std::filesystem::exists(data_dir + "/identity/authority.pem");
}

// Of each provider that has machines on record in another account than its own: how that is refused.
absl::StatusOr<std::map<std::string, absl::Status>> Elsewhere(const config::Config& config,
                                                              const std::string& data_dir, AccountOf account_of,
                                                              const fleet::Store::Contents& known) {
  std::map<std::string, absl::Status> elsewhere;
  for (const config::Provider& provider : config.providers()) {
    const std::string name = ProviderName(provider);
    const auto is_its = [&](const fleet::MachineRecord& machine) { return machine.provider == name; };
    const auto has_its = [&](const fleet::VolumeRecord& volume) { return volume.offer.provider == name; };
    const bool knows = std::any_of(known.machines.begin(), known.machines.end(), is_its) ||
                       std::any_of(known.volumes.begin(), known.volumes.end(), has_its);
    if (provider.has_local() || !knows) continue;
    const absl::StatusOr<std::string> account = account_of(provider);
    if (!account.ok()) {
      LOG(WARNING) << name << ": does not say whose account it is: " << account.status();
      continue;
    }
    const absl::Status status = fleet::CheckAccount(fleet::AccountPath(data_dir, name), *account, /*is_new=*/false);
    if (absl::IsPermissionDenied(status)) {
      elsewhere[name] = status;
    } else {
      RETURN_IF_ERROR(status);
    }
  }
  return elsewhere;
}

// Of volumes beside the machines: adds to `clouds`, and forgets what it is told to.
absl::Status CheckVolumes(const fleet::Store::Contents& known, bool forget, bool lost,
                          absl::FunctionRef<bool(const fleet::MachineRecord&)> is_beyond, fleet::Store& store,
                          std::set<std::string>& clouds) {
  for (const fleet::VolumeRecord& volume : known.volumes) {
    const fleet::MachineRecord like = {.provider = volume.offer.provider, .offer = volume.offer};
    if (!IsOfCloud(like)) continue;
    const bool beyond = is_beyond(like);
    if (!beyond && !(forget && lost)) clouds.insert(like.provider);
    if (!forget || (!beyond && !lost)) continue;
    LOG(WARNING) << "the volume " << volume.name << " is forgotten";
    RETURN_IF_ERROR(store.Write({.volumes = {{volume.name, std::nullopt}}}, fleet::Store::Sync::kOrdered));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::set<std::string>> CheckMachines(const config::Config& config, const std::string& data_dir,
                                                    bool forget, AccountOf account_of, fleet::Store& store) {
  ASSIGN_OR_RETURN(const fleet::Store::Contents contents, store.Load());
  ASSIGN_OR_RETURN(const auto elsewhere, Elsewhere(config, data_dir, account_of, contents));
  if (!forget && !elsewhere.empty()) {
    return absl::PermissionDeniedError(
        absl::StrCat(elsewhere.begin()->first, ": ", elsewhere.begin()->second.message()));
  }
  const bool lost = IsLost(data_dir);
  std::set<std::string> clouds;
  std::vector<std::string> beyond;
  const auto is_beyond = [&](const fleet::MachineRecord& machine) {
    return IsOutOfReach(config, machine) || elsewhere.count(machine.provider) != 0;
  };
  RETURN_IF_ERROR(CheckVolumes(contents, forget, lost, is_beyond, store, clouds));
  for (const fleet::MachineRecord& machine : contents.machines) {
    if (!IsOfCloud(machine)) continue;
    if (!is_beyond(machine) && !(forget && lost)) {
      clouds.insert(machine.provider);
      continue;
    }
    beyond.push_back(ForPeople(machine));
    if (!forget) continue;
    LOG(WARNING) << beyond.back() << " is forgotten";
    RETURN_IF_ERROR(store.Write({.machines = {{machine.serial, std::nullopt}}}, fleet::Store::Sync::kOrdered));
  }
  if (forget || beyond.empty()) return clouds;
  return absl::FailedPreconditionError(
      absl::StrCat("the configuration no longer has the provider or the region of ", absl::StrJoin(beyond, ", "),
                   ": nobody would end what bills there. Put it back; or end it with --delete_all while it is still in "
                   "the configuration, and then start once with --forget_machines"));
}

}  // namespace spotinference
