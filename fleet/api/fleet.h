// What the gateway asks of the fleet: an engine that serves a model, woken if need be.
//
// The fleet owns machines and the queue of requests that wait for one (parking). A caller holds a Lease for as long as it
// uses the engine; a model without leases and without waiters is idle and goes back to zero.
#ifndef FLEET_API_FLEET_H_
#define FLEET_API_FLEET_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/api/engine_figures.h"
#include "fleet/api/machine_life.h"

namespace grpc {
class ChannelCredentials;
}

namespace spotinference::fleet {

// A serving engine.
struct Endpoint {
  std::string machine_id;
  std::string address;      // for a gRPC channel
  std::string token;        // "authorization: Bearer <token>" of every call; never logged
  std::string model_hash;
  std::string numerics_id;
  // Good for this machine alone, wherever it answers (engine/api/mutual_tls.h); nullptr: plain, on loopback.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::string life;  // "m-1/3", of this start of the machine; log lines about its end say "interruption m-1/3"
};

// Use of an endpoint. Destroying it gives the endpoint back; any thread.
class Lease {
 public:
  // What was told of the answer that it was for.
  struct Use {
    int64_t tokens = 0;
    absl::Duration queued;                 // of its time, waiting in the engine for others to end
    std::optional<absl::Duration> waited;  // by its client, for its first token or in vain; nullopt: it had one before
  };

  Lease(Endpoint endpoint, std::shared_ptr<MachineLife> life, bool alone, absl::AnyInvocable<void(const Use&)> release)
      : endpoint_(std::move(endpoint)), life_(std::move(life)), alone_(alone), release_(std::move(release)) {}
  Lease(Lease&& other)
      : endpoint_(std::move(other.endpoint_)),
        life_(std::move(other.life_)),
        alone_(other.alone_),
        use_(other.use_),
        release_(std::exchange(other.release_, nullptr)) {}
  Lease& operator=(Lease&&) = delete;
  ~Lease() {
    if (release_) release_(use_);
  }
  const Endpoint& endpoint() const { return endpoint_; }
  // May be kept for longer than the lease.
  const std::shared_ptr<MachineLife>& life() const { return life_; }
  // No other lease of the machine lives beside it.
  bool alone() const { return alone_; }
  // These by one thread at a time. A token was generated, for the ledger:
  void CountToken() { ++use_.tokens; }
  // A sequence of the answer began so long after the engine had it.
  void NoteQueued(absl::Duration waited) { use_.queued = std::max(use_.queued, waited); }
  // The answer's first token came so long after its request, or it ended without one; infinite: it was turned away.
  void NoteWaited(absl::Duration waited) { use_.waited = std::max(use_.waited.value_or(waited), waited); }

 private:
  Endpoint endpoint_;
  std::shared_ptr<MachineLife> life_;
  bool alone_;
  Use use_;
  absl::AnyInvocable<void(const Use&)> release_;
};

// Why there is no lease, and what to tell the client.
struct AcquireError {
  enum class Reason {
    kUnknownModel,  // 404
    kQueueFull,     // 429, retry_after
    kWakeTimeout,   // 504: the wake passed its cap or the request its longest wait
    kNoCapacity,    // 503, retry_after: no provider has a machine
    kBackOff,       // 503, retry_after: the model failed to start; cause in `message`
    kShutdown,      // 503: the fleet is stopping
    kPoison,        // 500: it has ended engines, the last one while it was alone there
  };
  Reason reason;
  std::string message;
  absl::Duration retry_after = absl::ZeroDuration();
};

using AcquireResult = std::variant<Lease, AcquireError>;

// What a request asks for when it asks for a lease.
struct Claim {
  size_t bytes = 0;  // what the request occupies while it is parked
  std::string key;   // whose it is: for the ledger, and each has its share of the queue

  // Leases that it had and lost. One that had a lease is turned away by no full queue and no refusal. Where two of them ended
  // with a crash of the engine, it may be the request's doing: it gets the next machine alone, and where that one crashes
  // too it is refused. Deaths of whole machines count for nothing.
  struct Cut {
    std::shared_ptr<MachineLife> life;
    bool alone = false;
  };
  std::vector<Cut> cuts;
  bool begun = false;  // its client has a part of the answer: it had a lease, if only to give it back

  bool resumes() const { return begun || !cuts.empty(); }
};

// How far a wake is, for the waiting client.
struct WakeProgress {
  std::string stage;   // "launching", "downloading", "booting"
  absl::Duration eta;  // from measured wakes
};

// A row of GET /admin/v1/machines.
struct MachineView {
  std::string id, model, state, provider, market, zone, volume, backend, numerics_id, reason;
  absl::Time since;
  double price_per_hour = 0;
  int active = 0;  // answers on it
};

// A line of the metrics that the fleet owns, by model.
struct ModelView {
  std::string model;
  int parked = 0;
  int active = 0;
  // Of the engines that run, as last heard, some seconds ago. Totals include engines that are gone and never step back
  // while the fleet lives.
  EngineFigures engines;
  uint64_t download_done_bytes = 0, download_total_bytes = 0;  // of weights that are on their way to engines
};

// A row of GET /admin/v1/ledger: what machines of a model were used for since the fleet's store was made.
struct LedgerLine {
  std::string model, market;
  std::string use;  // busy, idle, waking, lost
  absl::Duration time;
  double dollars = 0;
  std::string key;               // of busy time: whose answers ran; where several did, each has its part
  double on_demand_dollars = 0;  // what the same machines would have cost so; 0: not known
  int64_t tokens = 0;            // generated, of leases that are over
  double replacing_dollars = 0;  // of `dollars`, those of starts in the place of machines taken away or dead
};

// A row of the same route's "storage": what a model's machines cost beside their time, since the fleet's store was made.
struct StorageLine {
  std::string model;
  std::string kind;           // "volume", "boot_disk" (a machine's own), or "address" (its public one)
  double gigabyte_hours = 0;  // of volumes and disks
  double dollars = 0;
};

// A row of GET /admin/v1/decisions: what the fleet did with a machine, or that it refused, and why.
struct DecisionView {
  absl::Time at;
  std::string model, machine, action;  // action: the machine's new state, or "refused"
  std::string why;                     // in words and numbers
  std::string provider, market, zone;  // of the machine
  double price_per_hour = 0;
  int waiting = 0, active = 0;  // requests of the model, then
};

// Machines that were taken away, or died, since the fleet's process began.
struct InterruptionCount {
  std::string provider;
  bool noticed = false;
  int64_t count = 0;
};

// Thread-safe.
class Fleet {
 public:
  virtual ~Fleet() = default;

  using WaitId = uint64_t;

  // Finds an endpoint of `model`, or parks until a wake has one. `done` runs exactly once, on a thread of the fleet's
  // or before Acquire returns, unless Cancel comes first; it must not block.
  virtual WaitId Acquire(absl::string_view model, const Claim& claim,
                         absl::AnyInvocable<void(AcquireResult)> done) = 0;

  // The client left: its place in the queue is free, `done` is destroyed and will not run. A no-op after `done` ran.
  virtual void Cancel(WaitId id) = 0;

  // A call to this machine broke in a way that says it may be gone. The fleet looks for itself and replaces it.
  virtual void ReportBroken(absl::string_view machine_id, absl::string_view why) = 0;

  // This machine's engine has said that the machine will be taken away. The fleet asks it when.
  virtual void ReportNotice(absl::string_view machine_id) = 0;

  // Of the wake under way for `model`; nullopt when there is none.
  virtual std::optional<WakeProgress> Progress(absl::string_view model) const = 0;

  virtual std::vector<MachineView> Machines() const = 0;
  virtual std::vector<ModelView> Models() const = 0;
  virtual std::vector<LedgerLine> LedgerLines() const = 0;
  virtual std::vector<StorageLine> StorageLines() const = 0;
  virtual std::vector<InterruptionCount> Interruptions() const = 0;
  virtual std::vector<DecisionView> Decisions() const = 0;  // the latest, newest first

  // An admin's orders; Machines shows what becomes of them. NOT_FOUND: no such machine or model; FAILED_PRECONDITION:
  // its state does not allow it. `done` runs exactly once, on a thread of the fleet's or before the call returns, OK
  // when the order is written down, so that it outlives this process; it must not block.
  using OrderDone = absl::AnyInvocable<void(absl::Status)>;

  // The machine is taken away when `notice` has run out, as a cloud would: its engine is told, and another one is sought.
  virtual void Interrupt(absl::string_view machine_id, absl::Duration notice, OrderDone done) = 0;
  // It is gone at once and without a word.
  virtual void Kill(absl::string_view machine_id, OrderDone done) = 0;
  // Its answers go on elsewhere, its volume stays.
  virtual void Hibernate(absl::string_view machine_id, OrderDone done) = 0;
  // As if a request came for `model`, once.
  virtual void WakeModel(absl::string_view model, OrderDone done) = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_API_FLEET_H_
