#include "fleet/providers/cloud/delete_all.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/names.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

constexpr int kEmptyLists = 2;  // the first may lag behind

bool PassesByItself(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
}

// One cloud, until it has nothing left or is given up.
class Sweep {
 public:
  Sweep(CloudApi& api, const DeletionOptions& options, absl::FunctionRef<void(const std::string&)> say)
      : api_(api), options_(options), say_(say) {}

  bool ended() const { return ended_; }
  absl::Duration due() const { return due_; }

  void Round(absl::Duration now) {
    const absl::StatusOr<CloudInventory> inventory = api_.List();
    error_ = inventory.status();
    if (!inventory.ok()) {
      SayOnce(absl::StrCat("cannot be listed: ", inventory.status().message()));
      ended_ = !PassesByItself(error_);
      due_ = now + BackOff(++failures_, error_);
      return;
    }
    left_.clear();
    EndMachines(*inventory);
    EndVolumes(*inventory);
    for (const UnheardPlace& place : inventory->unheard) {
      left_.push_back(absl::StrCat("what is in ", place.place, ", which cannot be asked: ", place.status.message()));
      SayOnce(left_.back());
    }
    failures_ = inventory->unheard.empty() ? 0 : failures_ + 1;
    empty_lists_ = left_.empty() ? empty_lists_ + 1 : 0;
    ended_ = options_.dry_run || empty_lists_ >= kEmptyLists;
    due_ = now + (failures_ == 0 ? options_.between : BackOff(failures_, inventory->unheard[0].status));
  }

  // What is to be said at the end; "": nothing is left.
  std::string Rest() const {
    if (!error_.ok()) return absl::StrCat(api_.traits().name, ": ", error_.message());
    if (options_.dry_run || left_.empty()) return "";
    return absl::StrCat(api_.traits().name, ": left are ", absl::StrJoin(left_, ", "));
  }

 private:
  void EndMachines(const CloudInventory& inventory) {
    for (const CloudMachine& machine : inventory.machines) {
      if (machine.state == State::kGone || !IsFleetName(machine.name)) continue;
      const std::string what = absl::StrCat("machine ", machine.name, " (", machine.id, ")");
      left_.push_back(what);
      if (machine.state != State::kDeleting) Do(what, [&] { return api_.DeleteMachine(machine); });
    }
  }

  void EndVolumes(const CloudInventory& inventory) {
    for (const CloudVolume& volume : inventory.volumes) {
      if (!IsFleetName(volume.name)) continue;
      const std::string what = absl::StrCat("volume ", volume.name, " (", volume.id, ")");
      const bool held = std::any_of(
          inventory.machines.begin(), inventory.machines.end(),
          [&](const CloudMachine& m) { return m.id == volume.machine && m.state != State::kGone; });
      left_.push_back(what);
      if (!options_.dry_run && (held || !volume.ready)) continue;
      if (options_.dry_run || volume.machine.empty()) {
        Do(what, [&] { return api_.DeleteVolume(volume); });
      } else {
        Do(absl::StrCat("attachment of ", what), [&] { return api_.DetachVolume(volume); });
      }
    }
  }

  void Do(const std::string& what, absl::FunctionRef<absl::Status()> end) {
    if (options_.dry_run) return SayOnce(absl::StrCat(what, ": would be deleted"));
    const absl::Status status = end();
    SayOnce(absl::StrCat(what, ": ", status.ok() ? "deleted" : std::string(status.message())));
  }

  void SayOnce(const std::string& line) {
    if (said_.insert(line).second) say_(absl::StrCat(api_.traits().name, ": ", line));
  }

  CloudApi& api_;
  const DeletionOptions& options_;
  const absl::FunctionRef<void(const std::string&)> say_;
  bool ended_ = false;
  absl::Duration due_ = -absl::InfiniteDuration();
  absl::Status error_;  // of the last list
  int failures_ = 0, empty_lists_ = 0;
  std::vector<std::string> left_;
  std::set<std::string> said_;
};

}  // namespace

absl::Status DeleteAll(const std::vector<std::unique_ptr<CloudApi>>& clouds, const DeletionOptions& options,
                       const Clock& clock, absl::FunctionRef<void(absl::Duration)> sleep,
                       absl::FunctionRef<void(const std::string&)> say) {
  std::vector<Sweep> sweeps;
  for (const std::unique_ptr<CloudApi>& api : clouds) sweeps.emplace_back(*api, options, say);
  const absl::Duration end = clock.Elapsed() + options.limit;
  for (;;) {
    absl::Duration next = absl::InfiniteDuration();
    for (Sweep& sweep : sweeps) {
      if (!sweep.ended() && sweep.due() <= clock.Elapsed()) sweep.Round(clock.Elapsed());
      if (!sweep.ended()) next = std::min(next, sweep.due());
    }
    if (next > end) break;
    sleep(std::max(absl::ZeroDuration(), next - clock.Elapsed()));
  }
  std::vector<std::string> rest;
  for (const Sweep& sweep : sweeps) {
    if (std::string line = sweep.Rest(); !line.empty()) rest.push_back(std::move(line));
  }
  if (rest.empty()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrJoin(rest, "\n"));
}

}  // namespace spotinference::fleet
