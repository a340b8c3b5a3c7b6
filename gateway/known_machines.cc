#include "gateway/known_machines.h"

#include <glog/logging.h>

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
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

}  // namespace

absl::StatusOr<std::set<std::string>> CheckMachines(const config::Config& config, const std::string& data_dir,
                                                    bool forget, fleet::Store& store) {
  ASSIGN_OR_RETURN(const fleet::Store::Contents contents, store.Load());
  const bool lost = IsLost(data_dir);
  std::set<std::string> clouds;
  std::vector<std::string> beyond;
  for (const fleet::MachineRecord& machine : contents.machines) {
    if (!IsOfCloud(machine)) continue;
    if (!IsOutOfReach(config, machine) && !(forget && lost)) {
      clouds.insert(machine.provider);
      continue;
    }
    beyond.push_back(ForPeople(machine));
    if (!forget) continue;
    LOG(WARNING) << beyond.back() << " is forgotten";
    RETURN_IF_ERROR(store.Remove(machine.serial));
  }
  if (forget || beyond.empty()) return clouds;
  return absl::FailedPreconditionError(
      absl::StrCat("the configuration no longer has the provider or the region of ", absl::StrJoin(beyond, ", "),
                   ": nobody would end what bills there. Put it back; or end it with --delete_all while it is still in "
                   "the configuration, and then start once with --forget_machines"));
}

}  // namespace spotinference
