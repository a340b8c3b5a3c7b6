#include "fleet/providers/cloud/delete_all.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/names.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

std::string Line(absl::string_view what, const std::string& name, const std::string& id, const absl::Status& status) {
  return absl::StrCat(what, " ", name, " (", id, "): ", status.ok() ? "deleted" : std::string(status.message()));
}

}  // namespace

absl::StatusOr<Deletion> DeleteWhatIsThere(CloudApi& api, bool dry_run) {
  ASSIGN_OR_RETURN(const CloudInventory inventory, api.List());
  const absl::Status would_be = absl::CancelledError("would be deleted");
  Deletion deletion;
  std::set<std::string> there;
  for (const CloudMachine& machine : inventory.machines) {
    if (machine.state == State::kGone || !IsFleetName(machine.name)) continue;
    ++deletion.left;
    there.insert(machine.id);
    if (machine.state == State::kDeleting) continue;
    const absl::Status status = dry_run ? would_be : api.DeleteMachine(machine);
    deletion.asked.push_back(Line("machine", machine.name, machine.id, status));
  }
  for (const CloudVolume& volume : inventory.volumes) {
    if (!IsFleetName(volume.name)) continue;
    ++deletion.left;
    if (dry_run) {
      deletion.asked.push_back(Line("volume", volume.name, volume.id, would_be));
      continue;
    }
    if (there.count(volume.machine) != 0 || !volume.ready) continue;
    const bool held = !volume.machine.empty();
    const absl::Status status = held ? api.DetachVolume(volume) : api.DeleteVolume(volume);
    deletion.asked.push_back(Line(held ? "attachment of volume" : "volume", volume.name, volume.id, status));
  }
  return deletion;
}

}  // namespace spotinference::fleet
