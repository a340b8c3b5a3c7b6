// The engines on emulated machines: where the cloud boots them, and what they answer to the fleet's questions.
#ifndef FLEET_FAULTS_ENGINES_H_
#define FLEET_FAULTS_ENGINES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fleet/faults/faults.h"
#include "fleet/faults/sim.h"
#include "fleet/probe/probe.h"
#include "fleet/providers/emulator/cloud_model.h"

namespace spotinference::fleet {

inline constexpr char kModelHash[] = "abc";

class Engines : public MachineHost, public Probe {
 public:
  Engines(Sim& sim, const Faults& faults) : sim_(sim), faults_(faults) {}

  // Answers on the machine end here, or (`hangs`) nothing comes of them any more.
  void OnBroken(std::function<void(int64_t machine, bool hangs)> broken) { broken_ = std::move(broken); }

  // How many have a lease on it. An engine says that it seats two of them and lets the others wait.
  void CountAnswers(std::function<int(int64_t machine)> answers) { answers_ = std::move(answers); }

  // Whether an answer can begin on it.
  bool Serves(int64_t machine) const;
  static int64_t NumberOf(const std::string& address);

  // It is likely to be taken away, and not yet to be: a rebalance notice.
  void PutAtRisk(int64_t machine);

  // MachineHost
  std::string Address(int64_t machine) override;
  void Boot(const EmulatedMachine& machine) override;
  void Halt(const EmulatedMachine& machine) override;
  void Erase(const EmulatedMachine& machine) override { Halt(machine); }
  void Attach(const EmulatedMachine& machine, const EmulatedVolume& volume) override;
  void Detach(const EmulatedMachine& machine, const EmulatedVolume&) override { attached_.erase(machine.number); }
  void Notice(const EmulatedMachine& machine, std::optional<absl::Duration> left) override;
  absl::Status Tell(const EmulatedMachine&, const std::string&) override {
    return absl::NotFoundError("it has no metadata service");
  }

  // Probe
  void Ask(const Endpoint& endpoint, absl::Duration deadline,
           absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done) override;
  void AskFigures(const Endpoint& endpoint, absl::Duration deadline,
                  absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done) override;
  void AwaitNotice(const Endpoint& endpoint, uint64_t notices, absl::Duration deadline,
                   absl::AnyInvocable<void(const absl::Status&)> done) override;
  void HandOver(const Endpoint& endpoint, absl::Duration deadline,
                absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override;
  void Interrupt(const Endpoint& endpoint, absl::Duration notice, absl::Duration deadline,
                 absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override;

 private:
  using NoticeWait = absl::AnyInvocable<void(const absl::Status&)>;  // empty once it has run
  struct Engine {
    std::string user_data;  // what it was started with
    uint64_t start = 0;     // tells it from an earlier engine of its machine
    bool serves = false, hangs = false;
    bool at_risk = false;
    std::optional<absl::Duration> taken_at;
    bool handed_over = false;  // its answers are elsewhere, and it takes no more; until then it serves on
    uint64_t notices = 0;      // EngineFigures::notices
    std::vector<std::shared_ptr<NoticeWait>> waits;
  };

  void StartIfReady(int64_t machine);
  static void EndWait(NoticeWait& wait, const absl::Status& status);
  static void NoticesChanged(Engine& engine);
  void GoesIn(int64_t machine, Engine& engine, absl::Duration left);
  void HandOverNow(int64_t machine, Engine& engine);
  Engine* Find(const Endpoint& endpoint);
  // When nobody is there it is the deadline that says so.
  template <typename Answer>
  void Reply(absl::Duration deadline, const Engine* engine, Answer answer,
             absl::AnyInvocable<void(Answer)> done);

  Sim& sim_;
  const Faults& faults_;
  std::function<void(int64_t, bool)> broken_;
  std::function<int(int64_t)> answers_;
  std::map<int64_t, Engine> engines_;  // by machine, while it runs
  std::map<int64_t, bool> attached_;   // machines with a volume
  uint64_t starts_ = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_FAULTS_ENGINES_H_
