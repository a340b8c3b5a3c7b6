// Who belongs to a fleet: its certificate authority, and whose key each machine's is.
//
// A machine is expected before it is bought, under a token that is good once: with it the machine's key becomes known.
// From then on that key alone gets certificates in the machine's name, for as long as the machine is not forgotten.
//
//   FOLDER/authority.pem   the authority's key and certificate; whoever has it is the fleet
//   FOLDER/machines/…      of each machine: the hash of its token, or of its key
#ifndef FLEET_IDENTITY_AUTHORITY_H_
#define FLEET_IDENTITY_AUTHORITY_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/api/mutual_tls.h"
#include "engine/base/certificate.h"
#include "engine/base/clock.h"

namespace spotinference::fleet {

// Thread-safe. Calls that change what must not be forgotten block for the disk.
class Authority {
 public:
  static constexpr absl::Duration kTokenLife = absl::Hours(1);  // from the purchase to the first word of its engine
  static constexpr absl::Duration kCertificateLife = absl::Hours(1);
  static constexpr absl::Duration kSlack = absl::Minutes(10);  // by which the fleet's own clock may step back

  // Made in `folder`, if it is not there and the fleet is new; "": kept in memory alone, for a simulation.
  // FAILED_PRECONDITION: what is there is no authority, or cannot be read, or is gone: the machines of a fleet that is
  // not new trust it alone. `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<Authority>> Open(const std::string& folder, const Clock& clock,
                                                         bool is_new);

  // The gateway's key is made anew each time and never written. Its certificate lasts as long as the authority: who
  // could steal the one has the other.
  const GatewayIdentity& gateway() const { return gateway_; }

  // A machine of this id will be bought: its token, which is in no file. What was known of an earlier one is forgotten.
  // INVALID_ARGUMENT: it is no id of a machine. Durable.
  absl::StatusOr<std::string> Expect(absl::string_view machine_id);

  // For MachineName and CredentialsTo: its id and a word that another machine of that id, bought after it or before,
  // does not have. Of a machine that is not expected, a name that nobody has.
  std::string NameOf(absl::string_view machine_id) const;

  // It starts again; where it has not used its token, that is good for another kTokenLife. NOT_FOUND: not expected.
  absl::Status ExpectAgain(absl::string_view machine_id);

  // A certificate for the key of `request` (certificate.h), in the machine's name. The first one costs the token.
  // NOT_FOUND: no such machine is expected. PERMISSION_DENIED: the token is wrong, too old or used, or the key is not
  // the machine's. INVALID_ARGUMENT: it is no request.
  absl::StatusOr<std::string> Certify(absl::string_view machine_id, absl::string_view request, absl::string_view token);

  // The machine, which was called `name` (NameOf) when it was asked, has the certificate that Certify gave.
  void NoteInstalled(absl::string_view machine_id, absl::string_view name);

  // It is expected, and has no certificate of this process's life, or one whose half is over, or one that the clock has
  // stepped away from: certificates go by the wall clock.
  bool IsDue(absl::string_view machine_id) const;

  // It will not be certified again. Durable, or the log says why not.
  void Forget(absl::string_view machine_id);

 private:
  struct Machine {
    std::string purchase;    // a word of it
    std::string token_hash;  // "": used
    absl::Time token_until;
    std::string key_hash;
    absl::Time installed_at = absl::InfinitePast();  // its certificate; by Clock::Now()
  };

  Authority(std::string folder, KeyAndCertificate authority, const Clock& clock);

  absl::Status Load();
  std::string PathOf(absl::string_view machine_id) const;
  absl::Status Keep(const std::string& machine_id, Machine machine) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static bool Parse(absl::string_view text, std::string* machine_id, Machine* machine);

  const std::string folder_;
  const KeyAndCertificate authority_;
  const Clock& clock_;
  GatewayIdentity gateway_;

  mutable absl::Mutex mutex_;
  std::map<std::string, Machine, std::less<>> machines_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference::fleet

#endif  // FLEET_IDENTITY_AUTHORITY_H_
