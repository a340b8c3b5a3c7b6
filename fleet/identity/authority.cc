#include "fleet/identity/authority.h"

#include <glog/logging.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"
#include "fleet/providers/cloud/secret.h"

namespace spotinference::fleet {
namespace {

using Role = CertificateTerms::Role;

constexpr char kAuthorityName[] = "spotinference:authority";
constexpr absl::Duration kAuthorityLife = absl::Hours(24 * 3650);
constexpr absl::Duration kMachineSlack = absl::Hours(24);  // by which a machine's clock may be behind at first
constexpr size_t kMaxIdBytes = 512;
constexpr size_t kMaxFileBytes = 16 << 10;
constexpr int kTokenBytes = 32;
constexpr int kPurchaseBytes = 8;

// They are part of a certificate's name.
bool IsMachineId(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::string_view("._-:/").find(static_cast<char>(c)) != absl::string_view::npos;
  });
}

absl::StatusOr<KeyAndCertificate> NewAuthority(absl::Time now) {
  const std::string key = NewPrivateKey();
  ASSIGN_OR_RETURN(const std::string certificate,
                   SelfSigned(key, {Role::kAuthority, kAuthorityName, now - kMachineSlack, now + kAuthorityLife}));
  return KeyAndCertificate{key, certificate};
}

absl::StatusOr<KeyAndCertificate> OpenAuthority(const std::string& path, absl::Time now, bool is_new) {
  absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxFileBytes);
  if (absl::IsNotFound(text.status()) && !is_new) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is gone, and the fleet's machines trust it alone. Put it back; or end them with "
                           "--delete_all, and then start once with --forget_machines"));
  }
  if (absl::IsNotFound(text.status())) {
    ASSIGN_OR_RETURN(KeyAndCertificate made, NewAuthority(now));
    RETURN_IF_ERROR(WriteWholeFile(path, absl::StrCat(made.key, made.certificate)));
    return made;
  }
  if (!text.ok()) return text.status();
  const size_t end = text->find("-----BEGIN CERTIFICATE");
  KeyAndCertificate authority = {text->substr(0, end), end == std::string::npos ? "" : text->substr(end)};
  if (const absl::Status status = CheckAuthority(authority); !status.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is no authority's key and certificate (", status.message(),
                     "); expected what was made there. Without it, remove it when no machine of the fleet runs"));
  }
  return authority;
}

absl::Status MakeFolder(const std::string& folder) {
  if (folder.empty()) return absl::OkStatus();
  std::error_code error;
  std::filesystem::create_directories(folder + "/machines", error);
  if (!error && chmod(folder.c_str(), 0700) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(folder, ": cannot be made: ", error.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Authority>> Authority::Open(const std::string& folder, const Clock& clock, bool is_new) {
  RETURN_IF_ERROR(MakeFolder(folder));
  ASSIGN_OR_RETURN(KeyAndCertificate pair,
                   folder.empty() ? NewAuthority(clock.Now())
                                  : OpenAuthority(folder + "/authority.pem", clock.Now(), is_new));
  auto authority = std::unique_ptr<Authority>(new Authority(folder, std::move(pair), clock));
  GatewayIdentity& gateway = authority->gateway_;
  gateway.authority = authority->authority_.certificate;
  gateway.key = NewPrivateKey();
  ASSIGN_OR_RETURN(const std::string request, CertificateRequest(gateway.key));
  const absl::Time now = clock.Now();
  ASSIGN_OR_RETURN(gateway.certificate,
                   Issue(authority->authority_, request,
                         {Role::kClient, kGatewayName, now - kMachineSlack, now + kAuthorityLife}));
  RETURN_IF_ERROR(authority->Load());
  return authority;
}

Authority::Authority(std::string folder, KeyAndCertificate authority, const Clock& clock)
    : folder_(std::move(folder)), authority_(std::move(authority)), clock_(clock) {}

// A machine whose file is damaged is unknown: it gets no certificate, and the fleet starts another one.
absl::Status Authority::Load() {
  if (folder_.empty()) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  std::error_code error;
  std::filesystem::directory_iterator entry(folder_ + "/machines", error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string path = entry->path().string();
    if (entry->path().extension() == ".tmp") continue;  // whoever was writing it has ended meanwhile
    absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxFileBytes);
    if (!text.ok()) return absl::FailedPreconditionError(text.status().message());
    std::string id;
    Machine machine;
    if (Parse(*text, &id, &machine) && PathOf(id) == path) {
      machines_.emplace(std::move(id), std::move(machine));
    } else {
      LOG(WARNING) << path << ": says of no machine who it is";
    }
  }
  if (!error) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(folder_, "/machines: cannot be read: ", error.message()));
}

// Lines: its id; a word of its purchase; "token HASH UNIX_SECONDS" or "key HASH".
bool Authority::Parse(absl::string_view text, std::string* machine_id, Machine* machine) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  if (lines.size() != 4 || !lines[3].empty() || !IsMachineId(lines[0]) || !IsHexHash(lines[1], 2 * kPurchaseBytes)) {
    return false;
  }
  *machine_id = lines[0];
  machine->purchase = lines[1];
  const std::vector<std::string> words = absl::StrSplit(lines[2], ' ');
  if (words.size() < 2 || !IsHexHash(words[1], 64)) return false;
  int64_t until = 0;
  if (words[0] == "key" && words.size() == 2) {
    machine->key_hash = words[1];
  } else if (words[0] == "token" && words.size() == 3 && absl::SimpleAtoi(words[2], &until)) {
    machine->token_hash = words[1];
    machine->token_until = absl::FromUnixSeconds(until);
  } else {
    return false;
  }
  return true;
}

std::string Authority::PathOf(absl::string_view machine_id) const {
  return absl::StrCat(folder_, "/machines/", Sha256Hex(machine_id).substr(0, 32));
}

absl::Status Authority::Keep(const std::string& machine_id, Machine machine) {
  const std::string line =
      machine.token_hash.empty()
          ? absl::StrCat("key ", machine.key_hash)
          : absl::StrCat("token ", machine.token_hash, " ", absl::ToUnixSeconds(machine.token_until));
  const std::string text = absl::StrCat(machine_id, "\n", machine.purchase, "\n", line, "\n");
  if (!folder_.empty()) RETURN_IF_ERROR(WriteWholeFile(PathOf(machine_id), text));
  machines_.insert_or_assign(machine_id, std::move(machine));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Authority::Expect(absl::string_view machine_id) {
  if (!IsMachineId(machine_id)) return absl::InvalidArgumentError("it is no id of a machine");
  const std::string token = RandomHex(kTokenBytes);
  absl::MutexLock lock(&mutex_);
  Machine machine;
  machine.purchase = RandomHex(kPurchaseBytes);
  machine.token_hash = Sha256Hex(token);
  machine.token_until = clock_.Now() + kTokenLife;
  RETURN_IF_ERROR(Keep(std::string(machine_id), std::move(machine)));
  return token;
}

std::string Authority::NameOf(absl::string_view machine_id) const {
  absl::MutexLock lock(&mutex_);
  const auto found = machines_.find(machine_id);
  return absl::StrCat(machine_id, "/", found == machines_.end() ? "" : found->second.purchase);
}

absl::Status Authority::ExpectAgain(absl::string_view machine_id) {
  absl::MutexLock lock(&mutex_);
  const auto found = machines_.find(machine_id);
  if (found == machines_.end()) return absl::NotFoundError(absl::StrCat(machine_id, " is not expected"));
  Machine machine = found->second;
  machine.installed_at = absl::InfinitePast();
  if (machine.token_hash.empty()) {
    found->second = std::move(machine);
    return absl::OkStatus();
  }
  machine.token_until = clock_.Now() + kTokenLife;
  return Keep(std::string(machine_id), std::move(machine));
}

absl::StatusOr<std::string> Authority::Certify(absl::string_view machine_id, absl::string_view request,
                                               absl::string_view token) {
  ASSIGN_OR_RETURN(const std::string key_hash, RequestKeyHash(request));
  const auto refused = [&](absl::string_view why) {
    return absl::PermissionDeniedError(absl::StrCat("whoever answers as ", machine_id, " ", why));
  };
  absl::MutexLock lock(&mutex_);
  const auto found = machines_.find(machine_id);
  if (found == machines_.end()) return absl::NotFoundError(absl::StrCat(machine_id, " is not expected"));
  const Machine& machine = found->second;
  const absl::Time now = clock_.Now();
  if (machine.token_hash.empty()) {
    if (machine.key_hash != key_hash) return refused("has another key than the machine");
  } else {
    // Hashes may be compared in any time.
    if (Sha256Hex(token) != machine.token_hash) return refused("has not its token");
    if (now >= machine.token_until) return refused("has a token that is too old");
    // Before the certificate is given: a token must not be good twice, whatever happens here.
    Machine enrolled;
    enrolled.purchase = machine.purchase;
    enrolled.key_hash = key_hash;
    RETURN_IF_ERROR(Keep(std::string(machine_id), std::move(enrolled)));
    LOG(INFO) << machine_id << " has enrolled";
  }
  return Issue(authority_, request,
               {Role::kServer, MachineName(absl::StrCat(machine_id, "/", machine.purchase)), now - kSlack,
                now + kCertificateLife, kMachineHost});
}

void Authority::NoteInstalled(absl::string_view machine_id, absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  const auto found = machines_.find(machine_id);
  if (found != machines_.end() && name == absl::StrCat(machine_id, "/", found->second.purchase)) {
    found->second.installed_at = clock_.Now();
  }
}

bool Authority::IsDue(absl::string_view machine_id) const {
  absl::MutexLock lock(&mutex_);
  const auto found = machines_.find(machine_id);
  if (found == machines_.end()) return false;
  const absl::Duration age = clock_.Now() - found->second.installed_at;
  return age >= kCertificateLife / 2 || age <= -kSlack / 2;
}

void Authority::Forget(absl::string_view machine_id) {
  absl::MutexLock lock(&mutex_);
  if (machines_.erase(std::string(machine_id)) == 0 || folder_.empty()) return;
  // A file that says nothing is nobody's, should the unlinking not outlive a crash of the computer.
  const std::string path = PathOf(machine_id);
  const absl::Status emptied = WriteWholeFile(path, "");
  LOG_IF(ERROR, !emptied.ok()) << machine_id << " is not forgotten for good: " << emptied;
  unlink(path.c_str());
}

}  // namespace spotinference::fleet
