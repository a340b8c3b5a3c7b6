#include "fleet/providers/cloud/delete_all.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {
namespace {

using State = CloudMachine::State;

constexpr int kEmptyLists = 2;  // the first may lag behind
constexpr absl::Duration kDetachCall = absl::Seconds(20);  // its effect is waited for before it is made again

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
    const absl::Status account = CheckAccount();
    const absl::StatusOr<CloudInventory> inventory = account.ok() ? api_.List() : account;
    error_ = inventory.status();
    if (!inventory.ok()) {
      SayOnce(absl::StrCat("cannot be listed: ", inventory.status().message()));
      ended_ = !PassesByItself(error_);
      due_ = now + BackOff(++failures_, error_);
      return;
    }
    left_.clear();
    EndMachines(*inventory);
    EndVolumes(*inventory, now);
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
  absl::Status CheckAccount() {
    const auto known = options_.accounts.find(api_.traits().name);
    if (is_theirs_ || known == options_.accounts.end()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::string account, api_.Account());
    is_theirs_ = account == known->second;
    if (is_theirs_) return absl::OkStatus();
    return absl::PermissionDeniedError(
        absl::StrCat("what is to be deleted is in ", known->second, ", and these credentials are of ",
                     account.empty() ? "an account that they may not ask for" : account));
  }

  bool IsOurs(const std::string& name) const {
    return IsFleetName(name) && absl::StartsWith(name, options_.name_prefix);
  }

  void EndMachines(const CloudInventory& inventory) {
    for (const CloudMachine& machine : inventory.machines) {
      if (machine.state == State::kGone || !IsOurs(machine.name)) continue;
      const std::string what = absl::StrCat("machine ", machine.name, " (", machine.id, ")");
      left_.push_back(what);
      if (machine.state != State::kDeleting) Do(what, [&] { return api_.DeleteMachine(machine); });
    }
  }

  void EndVolumes(const CloudInventory& inventory, absl::Duration now) {
    for (const CloudVolume& volume : inventory.volumes) {
      if (!IsOurs(volume.name)) continue;
      const std::string& name = volume.zoned_name.empty() ? volume.name : volume.zoned_name;
      const std::string what = absl::StrCat("volume ", name, " (", volume.id, ")");
      const bool held = std::any_of(
          inventory.machines.begin(), inventory.machines.end(),
          [&](const CloudMachine& m) { return m.id == volume.machine && m.state != State::kGone; });
      left_.push_back(what);
      const bool is_free = volume.machine.empty();
      if (!options_.dry_run && (held || (is_free && !volume.ready))) continue;
      if (options_.dry_run || is_free) {
        Do(what, [&] { return api_.DeleteVolume(volume); });
        continue;
      }
      // It may be on its way to a machine that is gone, or from it, for ever.
      const auto before = detached_.find(volume.id);
      if (before != detached_.end() && now - before->second < kDetachCall) continue;
      if (Do(absl::StrCat("attachment of ", what), [&] { return api_.DetachVolume(volume); })) {
        detached_[volume.id] = now;
      }
    }
  }

  // True: it was asked for.
  bool Do(const std::string& what, absl::FunctionRef<absl::Status()> end) {
    const absl::Status status = options_.dry_run ? absl::OkStatus() : end();
    const std::string done = options_.dry_run ? "would be deleted" : "deleted";
    SayOnce(absl::StrCat(what, ": ", status.ok() ? done : std::string(status.message())));
    return status.ok();
  }

  void SayOnce(const std::string& line) {
    if (said_.insert(line).second) say_(absl::StrCat(api_.traits().name, ": ", line));
  }

  CloudApi& api_;
  const DeletionOptions& options_;
  const absl::FunctionRef<void(const std::string&)> say_;
  bool ended_ = false, is_theirs_ = false;
  absl::Duration due_ = -absl::InfiniteDuration();
  absl::Status error_;  // of the last list
  int failures_ = 0, empty_lists_ = 0;
  std::vector<std::string> left_;
  std::set<std::string> said_;
  std::map<std::string, absl::Duration> detached_;  // by the volume's id, when that was last asked for
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
