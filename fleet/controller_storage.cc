// What costs beside machines' time.
//
// What volumes cost: each of them its gigabytes, from when its cloud made it until it is gone, whatever machine has it,
// also while no fleet is there. So it is worked out anew from what the store has of each, and is never added up.
//
// Its begin is by its cloud's clock, its end by ours: clouds do not tell when a volume went. So it ends with the first
// list that lacked it. Where another life of the fleet had begun to delete it and no list of this one has it, it
// went about when that one began.
//
// So it is with the disk that a machine boots from and, of the clouds that leave it to a stopped machine, its public
// address: they cost from the machine's order until the word of its end, or until its cloud says that it ended. What
// is over is added up in the ledger, with the write that takes the machine from its record. Another cloud's address
// costs while the machine runs, and the ledger has it with the run (ledger/ledger.h).
//
// Hyperstack's disk costs while its machine sleeps: each sleep is added up with the write that ends it, which is its
// restore's, or the one of the machine's own end.
#include <glog/logging.h>

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

void Controller::EndUpkeep(MachineRecord& machine, absl::Time end) {
  ledger_.BookStorage(UpkeepOf(machine, end));
  machine.bought = absl::InfinitePast();
}

std::vector<StorageLine> Controller::StorageLines() const {
  absl::MutexLock lock(&mutex_);
  Ledger sums;
  const auto add = [&sums](const EndedVolume& volume) {
    const double hours = absl::ToDoubleHours(volume.ended - volume.made);
    sums.BookStorage({{{volume.model, "volume"}, {volume.gigabytes * hours, volume.dollars}}});
  };
  for (const EndedVolume& volume : ended_volumes_) add(volume);
  for (const auto& [name, volume] : volumes_) {
    if (const std::optional<EndedVolume> now = EndedAt(volume.record, clock_.Now())) add(*now);
    if (volume.deleted.has_value()) sums.BookStorage(UpkeepOf(volume.deleted->record, clock_.Now()));
  }
  for (const auto* const machines : {&machines_, &strays_}) {
    for (const auto& [id, machine] : *machines) sums.BookStorage(UpkeepOf(machine.record, clock_.Now()));
  }
  for (const Ledger::Entry& entry : ledger_.Entries(clock_.Elapsed()))
    sums.BookStorage({{{entry.model, "address"}, {0, entry.address_dollars}}});
  sums.BookStorage(ledger_.storage());
  std::vector<StorageLine> lines;
  for (const auto& [of, sum] : sums.storage()) {
    const bool is_volume = of.second == "volume";  // one that has just been made is in it, too
    if (is_volume || sum.dollars > 0) lines.push_back({of.first, of.second, sum.gigabyte_hours, sum.dollars});
  }
  return lines;
}

}  // namespace spotinference::fleet
