// The metadata services of three clouds on one loopback port (their paths differ), with all that can go wrong. Made
// after the clouds' documentation; never held against the clouds themselves.
#ifndef ENGINE_NOTICE_EMULATOR_METADATA_EMULATOR_H_
#define ENGINE_NOTICE_EMULATOR_METADATA_EMULATOR_H_

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
  //   name MACHINE                  of this machine, for Azure; at first "machine_0"
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

  // The EventIds that were acknowledged.
  std::vector<std::string> acknowledged() const;
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

  FakeHttpReply Answer(const FakeHttpRequest& request);
  FakeHttpReply Aws(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply Gcp(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FakeHttpReply Azure(const FakeHttpRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitService() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // for as long as it is slow, or hangs
  void Spoil(FakeHttpReply& reply) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Document() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time Now() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return clock_.Now() + skew_; }
  const Word& Said() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return faults_ > 0 && fault_ == "stale" ? before_ : now_;
  }

  absl::Status FaultCommand(const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AwsCommand(const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AzureCommand(const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

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
  std::string name_ ABSL_GUARDED_BY(mutex_) = "machine_0";
  std::vector<std::string> acknowledged_ ABSL_GUARDED_BY(mutex_);
  FakeHttpServer server_;  // last: its threads use the rest
};

}  // namespace spotinference

#endif  // ENGINE_NOTICE_EMULATOR_METADATA_EMULATOR_H_
