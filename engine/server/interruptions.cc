#include "engine/server/interruptions.h"

#include <glog/logging.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "engine/api/status.h"

namespace spotinference {
namespace {

namespace api = engine::v1;

api::Notice ToProto(const Notice& notice, absl::Duration now) {
  api::Notice out;
  out.set_source(notice.source);
  out.set_kind(notice.kind == Notice::Kind::kStop ? api::Notice::KIND_STOP : api::Notice::KIND_AT_RISK);
  const int64_t left_ms = absl::ToInt64Milliseconds(notice.at - now);
  out.set_left_ms(static_cast<uint32_t>(std::clamp<int64_t>(left_ms, 0, std::numeric_limits<uint32_t>::max())));
  out.set_reason(notice.reason);
  return out;
}

}  // namespace

uint32_t Interruptions::Announce(const Notice& notice) {
  absl::MutexLock lock(&mutex_);
  const auto [known, added] = standing_.insert_or_assign(notice.source, notice);
  const uint32_t ended = Apply();
  LOG(WARNING) << "notice of " << notice.source << (added ? "" : ", changed") << ": "
               << (notice.kind == Notice::Kind::kStop ? "the machine goes in " : "the machine is at risk in ")
               << notice.at - clock_.Elapsed() << " (" << notice.reason << "); " << ended << " sequences handed over";
  return ended;
}

void Interruptions::Withdraw(absl::string_view source) {
  absl::MutexLock lock(&mutex_);
  const auto found = standing_.find(source);
  if (found == standing_.end()) return;
  standing_.erase(found);
  Apply();
  LOG(WARNING) << "notice of " << source << " withdrawn; " << standing_.size() << " others stand";
}

void Interruptions::AwaitEnd(absl::Duration margin) {
  absl::MutexLock lock(&mutex_);
  while (!ended_) {
    const Notice* const notice = FindMostUrgent();
    const bool stops = notice != nullptr && notice->kind == Notice::Kind::kStop;
    const absl::Duration left = stops ? notice->at - margin - clock_.Elapsed() : absl::InfiniteDuration();
    if (left <= absl::ZeroDuration()) return;
    changed_.WaitWithTimeout(&mutex_, left);
  }
}

void Interruptions::End() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  changed_.SignalAll();
}

std::optional<api::Notice> Interruptions::MostUrgent() const {
  absl::MutexLock lock(&mutex_);
  const Notice* const notice = FindMostUrgent();
  if (notice == nullptr) return std::nullopt;
  return ToProto(*notice, clock_.Elapsed());
}

const Notice* Interruptions::FindMostUrgent() const {
  const auto urgency = [](const auto& entry) { return std::make_tuple(entry.second.kind, entry.second.at); };
  const auto most = std::min_element(standing_.begin(), standing_.end(),
                                     [&](const auto& a, const auto& b) { return urgency(a) < urgency(b); });
  return most == standing_.end() ? nullptr : &most->second;
}

// Under the lock, so that of two sources' changes the last one holds.
uint32_t Interruptions::Apply() {
  changed_.SignalAll();
  const Notice* const notice = FindMostUrgent();
  if (notice != nullptr && notice->kind == Notice::Kind::kStop) {
    return engine_.HandOver(NoticedError(ToProto(*notice, clock_.Elapsed())));
  }
  engine_.Admit();
  return 0;
}

}  // namespace spotinference
