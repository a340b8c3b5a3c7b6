// What befalls the emulated clouds and their machines by themselves: all that the emulator's commands can switch on,
// drawn from a seed, each for a while. The same seed brings the same at the same times to the same machines.
#ifndef FLEET_PROVIDERS_EMULATOR_MISFORTUNE_H_
#define FLEET_PROVIDERS_EMULATOR_MISFORTUNE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/providers/emulator/cloud_model.h"

namespace spotinference::fleet {

// Not thread-safe.
class Misfortune {
 public:
  Misfortune() = default;  // none ever comes
  // So many an hour on average, from `now` on, by the model's clock.
  Misfortune(uint64_t seed, double per_hour, absl::Duration now);

  // Brings about what is due by `now`, and ends what has lasted.
  void Advance(CloudModel& model, MachineHost& host, absl::Duration now);
  // Ends all that lasts; no more comes.
  void End(CloudModel& model, MachineHost& host);

  // While the API answers nobody.
  bool is_down() const { return down_ > 0; }
  // The status of one more request of a burst of them; "": there is none.
  std::string NextOfBurst();

  // What has come, in order: its name, and whom it has hit.
  const std::vector<std::string>& happened() const { return happened_; }

  // Of everything that can come.
  static std::vector<std::string> Names();

 private:
  using Undo = std::function<void(CloudModel&, MachineHost&)>;
  struct Kind {
    const char* name;
    // Whom it hits; "": there is nobody to be hit.
    std::string (Misfortune::*bring)(CloudModel& model, MachineHost& host, absl::Duration now);
  };
  static const std::vector<Kind>& Kinds();
  void Bring(const Kind& kind, CloudModel& model, MachineHost& host, absl::Duration now);

  std::string TakeWithNotice(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string TakeInSilence(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string TakeAndWithdraw(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string PowerOff(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string Rebalance(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string RepeatNotice(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string StaleNotice(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string MetadataOutage(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string MachineSkew(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string StopNeverEnds(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string AttachNeverEnds(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string DeadKeepVolumes(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string LateFailure(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string NoStock(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string ListLag(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string Hide(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string CloudSkew(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string Unreachable(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string Down(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string Burst(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string Expire(CloudModel& model, MachineHost& host, absl::Duration now);
  std::string NewFields(CloudModel& model, MachineHost& host, absl::Duration now);

  // One that runs, of that cloud ("": of any); nullptr: none does.
  EmulatedMachine* AnyRunning(CloudModel& model, absl::string_view cloud = "");
  std::string Tell(CloudModel& model, MachineHost& host, absl::string_view cloud, const std::string& command);
  std::string Flag(CloudModel& model, absl::Duration now, bool CloudModel::Habits::*flag);
  absl::Duration Between(int least_seconds, int most_seconds);
  void Later(absl::Duration at, Undo undo) { lasting_.emplace(at, std::move(undo)); }

  std::mt19937_64 random_;
  double per_hour_ = 0;
  absl::Duration next_ = absl::InfiniteDuration();
  // Of its own, since it changes nothing else: what a seed brings beside it is as it was without.
  std::mt19937_64 new_fields_random_;
  absl::Duration next_new_fields_ = absl::InfiniteDuration();
  std::multimap<absl::Duration, Undo> lasting_;  // by its end
  int down_ = 0;                                 // outages that go on
  int burst_ = 0;                                // requests of it that are left
  std::string burst_status_;
  std::vector<std::string> happened_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_MISFORTUNE_H_
