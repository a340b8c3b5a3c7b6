// The metadata services of three clouds on one loopback port (their paths differ), with all that can go wrong: what a
// machine is, what becomes of it, what it may call its cloud with. Made after the clouds' documentation, and asked by
// their own SDKs (fleet/providers/conformance/sdk_test.py); never held against the clouds themselves.
#ifndef ENGINE_NOTICE_EMULATOR_METADATA_EMULATOR_H_
#define ENGINE_NOTICE_EMULATOR_METADATA_EMULATOR_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/base/fake_http_server.h"

namespace spotinference {

// Thread-safe.
class MetadataEmulator {
 public:
  // Of any text; market: spot or on_demand.
  struct Machine {
    std::string id, name, zone, type, market;
  };

  // `clock` outlives it.
  explicit MetadataEmulator(const Clock& clock, int port = 0);  // 0: a free one
  ~MetadataEmulator();

  std::string url() const { return server_.url(); }

  // What becomes of the machine, or of the service. INVALID_ARGUMENT: none of
  //   aws ACTION SECONDS            spot/instance-action: terminate, stop or hibernate, in so many seconds
  //   aws rebalance                 events/recommendations/rebalance, since now
  //   aws none                      neither
  //   aws expire                    the tokens given out so far are worth nothing
  //   gcp TRUE|FALSE                instance/preempted
  //   azure TYPE STATUS SECONDS MACHINE…   one more event, of these machines; SECONDS "-": it has no time
  //   azure none
  //   aws role ID SECRET TOKEN SECONDS   its role's key is this, for so long; at first it has none
  //   gcp token TOKEN SECONDS       its service account's access token
  //   azure token TOKEN SECONDS     its managed identity's
  //   machine ID NAME ZONE TYPE MARKET   what it is; MARKET: spot or on_demand. At first
  //                                 "i-0 machine_0 us-east-1a g6.xlarge spot"
  //   skew SECONDS                  its clock, against the machine's
  //   no_date                       answers have no Date
  //   repeat                        the same once more: Azure's document has a new incarnation, with each event twice,
  //                                 and Google's value a new etag
  //   fault KIND COUNT              the next COUNT requests: a status such as 503, or slow (by 0.2 s), half (of a
  //                                 document), garbage, cut (in the middle of the body), hang, stale (what was so
  //                                 before the last of the commands above)
  //   outage SECONDS                status 503 for so long, by `clock`
  //   slow SECONDS                  from now on each answer takes so long, by the machine's clock
  //   hang on|off                   from now on no answer comes; then all do
  //   acknowledged COUNT            changes nothing. FAILED_PRECONDITION: that is not how many events were acknowledged
  absl::Status Command(absl::string_view line);

  // What a command's words cannot say: names may have spaces in them, or be empty.
  void SetMachine(Machine machine);
  void AddAzureEvent(std::string type, std::string status, std::optional<absl::Duration> in,
                     std::vector<std::string> machines);

  // The EventIds that were acknowledged.
  std::vector<std::string> acknowledged() const;
  // One of Azure's events has, as after its acknowledgement.
  bool has_started() const;
  // Waits until so many requests have come in all.
  void AwaitRequests(int count) const;
  int requests() const;

 private:
  struct Event {
    std::string id, type, status;
    std::optional<absl::Time> not_before;
    std::vector<std::string> machines;
  };
  // What the services say.
  struct Word {
    std::string action;
    absl::Time action_at;
    std::optional<absl::Time> rebalance;
    bool preempted = false;
    int etag = 1;
    std::vector<Event> events;
    int incarnation = 1;
    int copies = 1;  // of each event
  };

  // What the machine may call its cloud with.
  struct Credentials {
    std::string id, secret, token;
    absl::Time until;
  };

  FakeHttpReply Answer(const FakeHttpRequest& request);
  FakeHttpReply Aws(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply Gcp(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply Azure(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply AwsRole(absl::string_view role) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply GcpPreempted(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply GcpToken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply AzureInstance(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply AzureToken(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitService() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // for as long as it is slow, or hangs
  void Spoil(FakeHttpReply& reply) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Document() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time Now() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return clock_.Now() + skew_; }
  const Word& Said() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return faults_ > 0 && fault_ == "stale" ? before_ : now_;
  }

  absl::Status FaultCommand(const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CredentialsCommand(const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AwsCommand(const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AzureCommand(const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Say(Word next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SayEvent(Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  mutable absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  int requests_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration skew_ ABSL_GUARDED_BY(mutex_);
  bool dates_ ABSL_GUARDED_BY(mutex_) = true;
  std::string fault_ ABSL_GUARDED_BY(mutex_);
  int faults_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time outage_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // by clock_
  absl::Duration slow_ ABSL_GUARDED_BY(mutex_);
  bool hangs_ ABSL_GUARDED_BY(mutex_) = false;
  Word now_ ABSL_GUARDED_BY(mutex_), before_ ABSL_GUARDED_BY(mutex_);
  int token_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<std::string, Credentials> credentials_ ABSL_GUARDED_BY(mutex_);  // by cloud
  Machine machine_ ABSL_GUARDED_BY(mutex_) = {"i-0", "machine_0", "us-east-1a", "g6.xlarge", "spot"};
  std::vector<std::string> acknowledged_ ABSL_GUARDED_BY(mutex_);
  FakeHttpServer server_;  // last: its threads use the rest
};

}  // namespace spotinference

#endif  // ENGINE_NOTICE_EMULATOR_METADATA_EMULATOR_H_
