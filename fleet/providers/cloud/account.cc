#include "fleet/providers/cloud/account.h"

#include <glog/logging.h>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"

namespace spotinference::fleet {
namespace {

constexpr size_t kMaxFileBytes = 4 << 10;

}  // namespace

std::string AccountPath(const std::string& data_dir, const std::string& provider) {
  return absl::StrCat(data_dir, "/fleet_account.", provider);
}

absl::StatusOr<std::string> ReadAccount(const std::string& path) {
  absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxFileBytes);
  return absl::IsNotFound(text.status()) ? "" : std::move(text);
}

absl::Status CheckAccount(const std::string& path, const std::string& account, bool is_new) {
  ASSIGN_OR_RETURN(const std::string former, ReadAccount(path));
  if (account == former) return absl::OkStatus();
  if (!former.empty() && !is_new) {
    return absl::PermissionDeniedError(
        absl::StrCat("the fleet's machines are in ", former, ", and these credentials are of ",
                     account.empty() ? "one that they may not ask for" : account,
                     ": nobody would end what bills there. Put the former ones back; or end it with --delete_all and "
                     "them, and then start once with --forget_machines"));
  }
  LOG_IF(WARNING, !former.empty()) << "machines come from " << account << " now; volumes that are left in " << former
                                   << " go on billing";
  return WriteWholeFile(path, account);
}

}  // namespace spotinference::fleet
