// What costs beside machines' time.
//
// What volumes cost: each of them its gigabytes, from when its cloud made it until it is gone, whatever machine has it,
// also while no fleet is there. So it is worked out anew from what the store has of each, and is never added up.
//
// Its begin is by its cloud's clock, its end by ours: clouds do not tell when a volume went. So it ends with the first
// list that lacked it. Where another life of the fleet had begun to delete it and no list of this one has it, it
// went about when that one began.
//
// A machine's public address costs for as long as the machine runs; the ledger has it with the run (ledger/ledger.h).
#include <glog/logging.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fleet/controller.h"

namespace spotinference::fleet {

// A volume that somebody else deleted, and that was made again, goes on as one.
void Controller::OnVolume(const VolumeNews& news) {
  const auto known = volumes_.find(news.name);
  if (known == volumes_.end() || known->second.record.made > absl::InfinitePast()) return;
  VolumeRecord& volume = known->second.record;
  volume.made = news.made;
  volume.gigabytes = news.gigabytes;
  volume.per_hour = news.per_hour;
  LOG(INFO) << "the volume " << news.name << " of " << news.gigabytes << " GB costs " << news.per_hour
            << " dollars an hour since " << news.made;
  Keep({.volumes = {{news.name, volume}}});
}

std::vector<StorageLine> Controller::StorageLines() const {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, StorageLine> by_model;
  const auto add = [&by_model](const EndedVolume& volume) {
    StorageLine& line = by_model[volume.model];
    line.gigabyte_hours += volume.gigabytes * absl::FDivDuration(volume.ended - volume.made, absl::Hours(1));
    line.dollars += volume.dollars;
  };
  for (const EndedVolume& volume : ended_volumes_) add(volume);
  for (const auto& [name, volume] : volumes_) {
    if (const std::optional<EndedVolume> now = EndedAt(volume.record, clock_.Now())) add(*now);
  }
  std::map<std::string, double> addresses;
  for (const Ledger::Entry& entry : ledger_.Entries(clock_.Elapsed())) addresses[entry.model] += entry.address_dollars;
  std::vector<StorageLine> lines;
  for (const auto& [model, line] : by_model)
    lines.push_back({.model = model, .kind = "volume", .gigabyte_hours = line.gigabyte_hours, .dollars = line.dollars});
  for (const auto& [model, dollars] : addresses) {
    if (dollars > 0) lines.push_back({.model = model, .kind = "address", .dollars = dollars});
  }
  return lines;
}

}  // namespace spotinference::fleet
