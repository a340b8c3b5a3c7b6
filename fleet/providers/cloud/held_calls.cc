#include "fleet/providers/cloud/held_calls.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {
namespace {

constexpr char kHeld[] = "spotinference/held";

}  // namespace

bool IsHeld(const absl::Status& status) { return status.GetPayload(kHeld).has_value(); }

std::string CallOf(absl::string_view method, absl::string_view url) {
  return absl::StrCat(method, " ", url.substr(0, url.find('?')));
}

absl::Status HeldCalls::MayAsk(const std::string& call) {
  absl::MutexLock lock(&mutex_);
  const auto held = held_.find(call);
  if (held == held_.end()) return absl::OkStatus();
  const absl::Duration left = held->second.until - clock_.Elapsed();
  if (left <= absl::ZeroDuration()) {
    held_.erase(held);
    return absl::OkStatus();
  }
  absl::Status status = WithRetryAfter(held->second.answer, left);
  status.SetPayload(kHeld, absl::Cord(call));
  return status;
}

void HeldCalls::Note(const std::string& call, const absl::Status& answer) {
  const std::optional<absl::Duration> wait = RetryAfter(answer);
  if (!wait.has_value()) return;
  absl::MutexLock lock(&mutex_);
  Held& held = held_.try_emplace(call).first->second;
  held = {answer, std::max(held.until, clock_.Elapsed() + *wait)};
}

}  // namespace spotinference::fleet
