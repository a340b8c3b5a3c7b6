// What the fleet asks of whoever has machines: a cloud, or this computer.
//
// Calls return at once; what becomes of them arrives as events. A machine is known by a name that
// the caller made up and wrote down before the first call, and that no other machine ever had: a
// repeated call with the same name makes no second machine. A lost name can therefore always be
// asked about again, with Adopt.
#ifndef FLEET_PROVIDERS_PROVIDER_H_
#define FLEET_PROVIDERS_PROVIDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/api/fleet.h"
#include "fleet/api/offer.h"

namespace spotinference::fleet {

struct MachineSpec {
  std::string id;          // the unique name
  std::string provider;    // Caps::name of whom it is asked of; "": there is only one
  std::string volume;      // outlives the machine; one machine at a time has it
  std::string weights;     // path of the model's file, or the source that the engine downloads it from
  std::string model_hash;  // SHA-256 of the file, hex; "": any
  std::string head_hash;   // of the head of a downloaded file; "": any
  std::string backend;
  uint32_t context_tokens = 0;  // 0: the model's own
  // What to buy, or as what a machine to restore was bought. Without one the provider chooses: where the volume is, if
  // there is stock, else the cheapest.
  std::optional<Offer> offer;
  absl::Time billed_until = absl::InfinitePast();  // what ended before, by the cloud's clock, is another run
};

// What can be bought at this moment; what is known to have no stock is none.
struct OfferNow {
  Offer offer;
  std::optional<int> stock;  // machines; nullopt: the provider does not say
  std::optional<absl::Time> priced_since;  // by its clock, when this price began; nullopt: it does not say
  // Why the account may not have another one though it is sold, as a quota with its limit and use, or that its
  // credentials are refused; "": it may.
  std::string barred;
  bool bars_restores = false;  // and so it is with one that is hibernated there
};

// What a cloud says of a volume. It charges for it from `made` on, whatever machine has it.
struct VolumeNews {
  std::string name;      // MachineSpec::volume
  double gigabytes = 0;
  double per_hour = 0;   // dollars
  absl::Time made;       // by its cloud's clock
};
// RESOURCE_EXHAUSTED, by what the account may have and not by what the market has: waiting does not help, and another
// account would have got it.
inline absl::Status OverQuota(absl::string_view why) {
  absl::Status status = absl::ResourceExhaustedError(why);
  status.SetPayload("quota", absl::Cord("used up"));
  return status;
}
inline bool IsOverQuota(const absl::Status& status) {
  return absl::IsResourceExhausted(status) && status.GetPayload("quota").has_value();
}

struct MachineEvent {
  enum class Kind {
    kStarted,  // exists and boots; `handle`
    kReady,    // serves; `endpoint`
    kDownload,  // boots, and its weights come: `done_bytes` of `total_bytes`
    kAdopted,  // still runs, nobody asked it whether it serves; `handle`, `endpoint` (address as it
               // was passed)
    kEnded,    // of TerminateLost: whether its machine outlived its engine is known, `crashed`
    kGone,     // does not exist any more, or never came to be; `status`
    kVolume,   // of no machine: `volume` is in a list
    kStray,    // of a machine of this fleet's that nobody has asked for, or asks for any more: `handle`, `offer` (as
               // what it was bought, at today's price; 0: none is known), `began`; told with each list that has it
               // running, and in the end, or when somebody asks for it again, once with `ended`. `machine_id` is its
               // Provider::NameOf.
    kAsleep,   // of a machine that no call before its kGone is about: its cloud kept it, stopped, from `began` to `ended`;
               // told by the hour. `handle`, `offer` and `machine_id` as of kStray
    kOffers,   // of no machine: `offers` is all that the provider sells, in place of what it told before; where it never
               // could and its credentials are refused, only `status` says so
  };
  Kind kind = Kind::kGone;
  std::string machine_id;
  // The provider's own words for the machine, to keep and to give to Adopt. Of kGone: "" where it was not seen to run.
  std::string handle;
  Endpoint endpoint;
  uint64_t done_bytes = 0, total_bytes = 0;
  // Of kEnded, and of kGone of a machine that served: its engine died by itself, and the machine lived on.
  bool crashed = false;
  // Of kGone and kStray, by the cloud's own clock and as far as it says so: from when and until when it charges for the
  // machine's latest run, which may be one that an earlier kGone told of; and whether it took the machine back. Of
  // kStray both are always told, `began` without what other events told of; what its cloud does not say is when lists
  // first had the machine, and first lacked it.
  std::optional<absl::Time> began, ended;
  bool reclaimed = false;
  // Of kStarted, kAdopted, kGone, kStray and kAsleep: it has one, or had, for which its cloud charges.
  bool public_address = false;
  double boot_gigabytes = 0;    // of the same: of the disk that it boots from, where its cloud charges for one, if only asleep
  bool kept = false;            // of kGone and a stray's end: its cloud has it still, stopped, with that disk
  bool never_ran = false;  // of kGone: since the machine was asked for none has run
  // OK: as asked. RESOURCE_EXHAUSTED: no capacity, or IsOverQuota; nothing was started. FAILED_PRECONDITION: would
  // fail again. Any other code: died, may succeed when tried again. The message is for people and
  // names the cause.
  absl::Status status;
  std::optional<VolumeNews> volume;  // of kVolume, which comes before the same call's kGone
  // Of Discard's kGone, and by the provider's clock: when the volume was first missed, some seconds after its end;
  // nullopt: no list since the call had it.
  std::optional<absl::Time> volume_ended;
  std::vector<OfferNow> offers;
  std::optional<Offer> offer;  // of kStray and kAsleep
};

// Thread-safe. Each Launch, Restore and Adopt is followed by that machine's events in order, ending
// with kGone, after which the name is silent until it is restored. Nothing is ever given up half
// way: after Hibernate and Terminate kGone comes for certain, when the machine is gone and bills no
// more.
class Provider {
 public:
  // What does not change while the provider lives.
  struct Caps {
    std::string name;    // "local"
    std::string market;  // "on_demand" or "spot"; of a provider with one offer, as are the next two
    std::string zone;
    double price_per_hour = 0;
    bool sells_offers = false;  // Launch needs an offer: while none is known nothing can be bought
    bool hibernates = false;    // Restore works; else a stopped machine is absent
    bool outlives_host = true;  // machines survive a crash of the fleet's computer, so their start
                                // must be durable first
  };

  virtual ~Provider() = default;

  virtual const Caps& caps() const = 0;

  // What the machine is called where it runs. Calls nobody.
  virtual std::string NameOf(const MachineSpec& spec) const { return spec.id; }

  // Where events go: `listener` runs on a thread of the provider's, one event at a time, and must
  // not block. Set before the first call; nullptr ends the delivery, and on return none is under
  // way.
  virtual void Listen(absl::AnyInvocable<void(MachineEvent)> listener) = 0;

  virtual void Launch(const MachineSpec& spec) = 0;
  virtual void Restore(const MachineSpec& spec) = 0;

  // Finds what a former life of the caller started. `handle` and `address` are what was written
  // down of it, "" where it had come to neither. Answers kAdopted or kGone.
  virtual void Adopt(const MachineSpec& spec, absl::string_view handle,
                     absl::string_view address) = 0;

  // Stops the machine in good order; the volume stays.
  virtual void Hibernate(absl::string_view machine_id) = 0;

  // Ends it at once; the volume stays.
  virtual void Terminate(absl::string_view machine_id) = 0;

  // The same of one whose engine is not there any more, though nobody asked for that. Where the machine's end takes its
  // time, kEnded comes before kGone; without it kGone alone tells.
  virtual void TerminateLost(absl::string_view machine_id) = 0;

  // Deletes what is left of a machine that is hibernated or gone, and its volume, for good. kGone: OK where nothing is
  // left; FAILED_PRECONDITION where something is that could not be deleted, as while another machine has the volume.
  // Where no machine is left the id is one that no machine has.
  virtual void Discard(const MachineSpec& spec) = 0;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_PROVIDER_H_
