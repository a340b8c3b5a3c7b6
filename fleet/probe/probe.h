// Asks an engine who it is, whether it serves, and what it has done; tells it that its machine goes.
#ifndef FLEET_PROBE_PROBE_H_
#define FLEET_PROBE_PROBE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fleet/api/fleet.h"

namespace spotinference::fleet {

struct EngineIdentity {
  std::string model_hash;
  std::string numerics_id;
  uint32_t context_tokens = 0;
  std::optional<EngineNotice> notice = std::nullopt;  // through which it serves on
};

// Thread-safe. Its destructor waits for the open questions, and for no notices.
class Probe {
 public:
  virtual ~Probe() = default;

  // Returns at once; `done` runs once, on any thread, at `deadline` at the latest. Good: an engine
  // of this API version answers at the endpoint, takes its token, and serves. UNAVAILABLE: it
  // drains or does not answer; where a notice is why it drains, the status carries it
  // (engine/api/status.h).
  virtual void Ask(const Endpoint& endpoint, absl::Duration deadline,
                   absl::AnyInvocable<void(absl::StatusOr<EngineIdentity>)> done) = 0;

  // The same for what the engine says of its work, whether it drains or not.
  virtual void AskFigures(const Endpoint& endpoint, absl::Duration deadline,
                          absl::AnyInvocable<void(absl::StatusOr<EngineFigures>)> done) = 0;

  // `done` has OK as soon as what the engine has heard of its machine's future is not what it was when it said
  // EngineFigures::notices any more; else why it will not say so.
  virtual void AwaitNotice(const Endpoint& endpoint, uint64_t notices, absl::Duration deadline,
                           absl::AnyInvocable<void(const absl::Status&)> done) = 0;

  // The machine goes, and another one has room for what runs there. `done` has how many sequences the engine has handed
  // over.
  virtual void HandOver(const Endpoint& endpoint, absl::Duration deadline,
                        absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) = 0;

  // Its machine goes in `notice`. `done` has how many sequences the engine has handed over at once.
  virtual void Interrupt(const Endpoint& endpoint, absl::Duration notice, absl::Duration deadline,
                         absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROBE_PROBE_H_
