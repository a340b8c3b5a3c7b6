// The emulated clouds on one loopback port: their APIs' paths differ. Made after the clouds' documentation and SDKs;
// never held against the clouds themselves.
#ifndef FLEET_PROVIDERS_EMULATOR_CLOUD_EMULATOR_H_
#define FLEET_PROVIDERS_EMULATOR_CLOUD_EMULATOR_H_

#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/clock.h"
#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/cloud_model.h"
#include "fleet/providers/emulator/misfortune.h"
#include "fleet/providers/emulator/trusted_keys.h"

namespace spotinference::fleet {

// The metadata emulator's command by which a machine of the cloud has a new token; "": the cloud has none.
std::string GrantCommand(CloudModel& model, absl::string_view cloud);

// Thread-safe.
class CloudEmulator {
 public:
  // Clock and host outlive it. At first nothing is sold.
  CloudEmulator(const Clock& clock, MachineHost& host, int port = 0);  // 0: a free one
  ~CloudEmulator();                                                    // every machine is halted

  std::string url() const { return server_.url(); }

  // The same over HTTP: POST /emulator/command. INVALID_ARGUMENT: none of
  //   sell CLOUD REGION ZONE TYPE ACCELERATOR COUNT ON_DEMAND_PRICE SPOT_PRICE STOCK   SPOT_PRICE "-": not sold so;
  //                               ACCELERATOR in the cloud's own words, of aws also NAME/MIB, with its memory,
  //                               and NAME/MIB/0.125, COUNT such parts of one
  //   stock CLOUD ZONE TYPE COUNT
  //   take MACHINE SECONDS gone|stopped [silent]    the cloud takes it away; MACHINE: a name, or the number in its id
  //   poweroff MACHINE                              it shuts itself down
  //   withdraw MACHINE                              after all it does not
  //   hide MACHINE SECONDS        no list has it for so long
  //   word MACHINE [WORD]         lists call its state so, as long as it is there; without: as ever
  //   fault KIND COUNT [TEXT]     the next COUNT requests, with TEXT in target or body, or as their method: a status
  //                               such as 429 or 503, with Retry-After: 1; 429:17: in the cloud's own words, with 17;
  //                               lost (not done, no answer), unheard (done, no answer), garbage and empty (done),
  //                               twice (done two times), stale (done, answered as some seconds ago), hang (not done)
  //   forgive                     no such fault is left
  //   chaos SEED SHARE [PER_HOUR] from now on that share of all requests has one of these, but empty and hang, and so
  //                               many of misfortune.h's kinds come an hour; 0: none. GET /emulator/happened lists them
  //   down, up                    every request is lost
  //   tell MACHINE COMMAND…       its metadata service gets the command (engine/notice/emulator/metadata_emulator.h),
  //                               as "aws rebalance"
  //   grant MACHINE               its role, service account or identity has a token of an hour, with every right
  //   expire                      the access tokens given out so far, and AWS's session tokens, are worth nothing
  //   trust ISSUER FILE           the token services take what is signed by the key of the certificate in FILE (PEM);
  //                               ISSUER: an assertion's "iss": a service account, a client of Azure's, or another
  //   unreachable PLACE           aws, gcp: no request about that region or zone is done; reachable: none is out any more
  //   habit NAME VALUE            CloudModel::Habits by its fields' names; times in seconds
  //   skew SECONDS                the clouds' clock, against ours
  absl::Status Command(absl::string_view line);

  // For tests in the same process.
  void Look(absl::FunctionRef<void(CloudModel&)> at);
  int requests() const;
  void Hear(std::function<void(const FakeHttpRequest&)> heard);  // each request from now on, before its answer
  std::set<std::string> calls() const;  // "METHOD /path" of each
  // Each answer that had a Retry-After, in order. A call: the method and path, or AWS's region and action.
  struct Told {
    std::string call;
    absl::Duration at, wait;
    std::optional<absl::Duration> again;  // when that call was next made
  };
  std::vector<Told> told() const;
  // Machines that bill at this moment.
  int billing();

  void Advance();

  // By itself, of Misfortune::Names(), each with whom it has hit.
  std::vector<std::string> happened() const;

 private:
  struct Fault {
    std::string kind, text;
    int left = 0;
  };

  FakeHttpReply Answer(const FakeHttpRequest& request);
  FakeHttpReply AnswerCloud(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AdvanceAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply Dispatch(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string DrawFault(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteCall(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply Refuse(const FakeHttpRequest& request, int status, absl::string_view seconds)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status SetHabit(const std::string& name, double value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Take(const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Sell(const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  EmulatedMachine* Find(const std::string& machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Machines() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  MachineHost& host_;
  mutable absl::Mutex mutex_;
  CloudModel model_ ABSL_GUARDED_BY(mutex_);
  TrustedKeys keys_ ABSL_GUARDED_BY(mutex_);
  int requests_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void(const FakeHttpRequest&)> heard_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<Told> told_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, size_t> last_told_ ABSL_GUARDED_BY(mutex_);  // by call, in told_
  std::vector<Fault> faults_ ABSL_GUARDED_BY(mutex_);
  bool down_ ABSL_GUARDED_BY(mutex_) = false;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  double chaos_ ABSL_GUARDED_BY(mutex_) = 0;
  Misfortune misfortune_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::pair<FakeHttpReply, absl::Duration>> last_answers_ ABSL_GUARDED_BY(mutex_);  // by request
  FakeHttpServer server_;  // last: its threads use the rest
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_CLOUD_EMULATOR_H_
