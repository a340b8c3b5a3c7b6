// What a cloud is asked, in words that all clouds have. A cloud's own folder maps calls and states, and remembers
// nothing but its credentials; what to ask when is cloud_provider's and life's.
#ifndef FLEET_PROVIDERS_CLOUD_CLOUD_API_H_
#define FLEET_PROVIDERS_CLOUD_CLOUD_API_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fleet/api/offer.h"
#include "fleet/providers/provider.h"

namespace spotinference::fleet {

// A machine's latest run as its cloud tells it, by the cloud's own clock: from when it is charged for, and until when,
// if that is over. No later and no earlier than it really is: what is not said exactly makes the run longer. nullopt:
// not told.
struct CloudRun {
  std::optional<absl::Time> began, ended;
  bool reclaimed = false;  // the cloud says that it took the machine back
};

struct CloudMachine {
  enum class State {
    kStarting,
    kRunning,
    kStopping,
    kStopped,  // can be started again
    kDeleting,
    kGone,     // still listed, never to come back
    kFailed,   // of no use; can be deleted
    kUnknown,  // a word that nobody told us of: it is waited for
  };
  std::string id;    // the cloud's
  std::string name;  // ours, unique among machines that are not gone
  std::string zone;
  std::string type;     // as Offer::machine_type; "": there is no machine, but what one has left behind
  Market market = Market::kOnDemand;
  std::string address;  // at which its engine can be reached; "": none yet
  bool public_address = false;  // it has one beside, for which its cloud charges
  double boot_gigabytes = 0;    // of the disk that it boots from, where its cloud charges for one, if only while it sleeps
  State state = State::kUnknown;
  bool is_off = false;  // kFailed, by a power-off from within: it is charged for on
  std::string word;  // the cloud's, for people
  CloudRun run;      // as far as lists tell it
};

struct CloudVolume {
  std::string id;
  std::string name;  // ours; there may be one in each zone
  std::string zoned_name;  // its name there, where neither `name` nor `id` has it (ZonedName); else ""
  std::string zone;
  bool ready = false;     // exists, and can be attached or is
  std::string machine;    // the id of the machine that has it, or is getting or losing it; "": none
  bool attached = false;  // to it, completely
  std::string word;
  double gigabytes = 0;
  std::optional<absl::Time> made;  // by the cloud's clock: it charges for it from then on
};

// A region or zone that could not be asked: an answer tells nothing of zones that begin with `place`.
struct UnheardPlace {
  std::string place;
  absl::Status status;
};

// All that carries the fleet's tag.
struct CloudInventory {
  std::vector<CloudMachine> machines;
  std::vector<CloudVolume> volumes;

  // Creates and starts that the cloud took on and then could not do. Each is told once.
  struct Failure {
    std::string name;  // the machine's
    absl::Status status;
    bool remains = false;  // the cloud keeps a machine of that name, of no use, until it is deleted
  };
  std::vector<Failure> failures;

  std::vector<UnheardPlace> unheard;
};

struct CloudOffers {
  std::vector<OfferNow> offers;
  std::vector<UnheardPlace> unheard;
  absl::Status quotas;  // where they could not be asked for: nothing is barred by what nobody knows
};

struct MachineOrder {
  std::string name;
  std::string token;  // the same for each try of one purchase, and for no other
  Offer offer;
  std::string user_data;  // a script that runs as root at the first boot
  std::string volume_id;  // attached from the beginning, where the cloud does that
};

// Blocking and thread-safe. Errors:
//   UNAVAILABLE, DEADLINE_EXCEEDED  throttled, broken or timed out; it may have been done. http.h: RetryAfter(status)
//   RESOURCE_EXHAUSTED              no stock, or a quota is used up (IsOverQuota); nothing was done
//   NOT_FOUND, ALREADY_EXISTS       as they say
//   FAILED_PRECONDITION             not in this state of the machine or the volume; nothing was done
//   INVALID_ARGUMENT, PERMISSION_DENIED, UNAUTHENTICATED  will fail again until somebody changes something
class CloudApi {
 public:
  struct Traits {
    std::string name;            // "aws", as in the configuration
    // StopMachine keeps it for StartMachine; without that it is deleted and bought anew. KeepsStopped: of a type, too.
    bool keeps_stopped = false;
    bool stopped_counts = false;  // against quotas, as one that runs does: to start it needs no room
    bool attaches_at_creation = false;  // else AttachVolume, once it runs
    int volume_gigabytes = 0;           // what CreateVolume makes
    bool public_address = false;  // a machine is bought with one, is reached at it, and loses it at its end
  };

  virtual ~CloudApi() = default;

  virtual const Traits& traits() const = 0;
  // keeps_stopped, of a machine of that type. "": it is not known.
  virtual bool KeepsStopped(const std::string&) const { return traits().keeps_stopped; }

  // Whose machines it lists, in words for people: another account's, project's or subscription's is another text. "":
  // the credentials may not ask for it. It is asked of the cloud where the configuration does not say it.
  virtual absl::StatusOr<std::string> Account() = 0;

  // These two fail where no place could be asked.
  virtual absl::StatusOr<CloudInventory> List() = 0;
  virtual absl::StatusOr<CloudOffers> Offers() = 0;

  // Its id. A second call with the same name and token makes no second machine, but may answer ALREADY_EXISTS.
  virtual absl::StatusOr<std::string> CreateMachine(const MachineOrder& order) = 0;
  virtual absl::Status StopMachine(const CloudMachine& machine) = 0;
  // Also where the cloud keeps none: somebody else may have stopped the machine before any list had it.
  virtual absl::Status StartMachine(const CloudMachine& machine) = 0;
  // Its volumes stay.
  virtual absl::Status DeleteMachine(const CloudMachine& machine) = 0;

  // A second call with the same name and token makes no second volume, but may answer ALREADY_EXISTS.
  virtual absl::Status CreateVolume(const std::string& name, const Offer& offer, const std::string& token) = 0;
  virtual absl::Status AttachVolume(const CloudVolume& volume, const CloudMachine& machine) = 0;
  virtual absl::Status DetachVolume(const CloudVolume& volume) = 0;
  virtual absl::Status DeleteVolume(const CloudVolume& volume) = 0;
  // Where a machine of that offer finds it.
  virtual absl::StatusOr<std::string> DevicePath(const CloudVolume& volume, const Offer& offer) = 0;

  // Of a machine that is stopped or gone, all that the cloud tells of its latest run. `last`: as a list last had it; of
  // one that no list had, its name and zone alone. UNAVAILABLE also while the end of the run is not told yet.
  virtual absl::StatusOr<CloudRun> LatestRun(const CloudMachine& last) = 0;

  // The cloud's own clock at its latest answer; InfinitePast(): none has told.
  virtual absl::Time LastDate() const { return absl::InfinitePast(); }

  // Every call ends CANCELLED at once, also those to come.
  virtual void Cancel() = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_CLOUD_API_H_
