#include "fleet/providers/cloud/delete_all.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

std::string Line(absl::string_view what, const std::string& name, const std::string& id, const absl::Status& status) {
  return absl::StrCat(what, " ", name, " (", id, "): ", status.ok() ? "deleted" : std::string(status.message()));
}

}  // namespace

absl::StatusOr<Deletion> DeleteWhatIsThere(CloudApi& api) {
  ASSIGN_OR_RETURN(const CloudInventory inventory, api.List());
  Deletion deletion;
  std::set<std::string> there;
  for (const CloudMachine& machine : inventory.machines) {
    if (machine.state == State::kGone) continue;
    ++deletion.left;
    there.insert(machine.id);
    if (machine.state == State::kDeleting) continue;
    deletion.asked.push_back(Line("machine", machine.name, machine.id, api.DeleteMachine(machine)));
  }
  for (const CloudVolume& volume : inventory.volumes) {
    ++deletion.left;
    if (there.count(volume.machine) != 0 || !volume.ready) continue;
    const bool held = !volume.machine.empty();
    const absl::Status status = held ? api.DetachVolume(volume) : api.DeleteVolume(volume);
    deletion.asked.push_back(Line(held ? "attachment of volume" : "volume", volume.name, volume.id, status));
  }
  return deletion;
}

}  // namespace spotinference::fleet
