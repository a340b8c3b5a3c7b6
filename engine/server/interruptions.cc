#include "engine/server/interruptions.h"

#include <glog/logging.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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

void Interruptions::NameLife(absl::string_view life) {
  const auto plain = [](unsigned char c) { return absl::ascii_isalnum(c) || absl::StrContains("-_./", c); };
  if (life.size() > 128 || !absl::c_all_of(life, plain)) return;
  absl::MutexLock lock(&mutex_);
  life_ = std::string(life);
}

std::string Interruptions::Id() const { return life_.empty() ? "" : absl::StrCat(", interruption ", life_); }

uint32_t Interruptions::Announce(const Notice& notice) {
  absl::MutexLock lock(&mutex_);
  const auto [known, added] = standing_.insert_or_assign(notice.source, notice);
  const uint32_t ended = Apply();
  Tell(true);
  LOG(WARNING) << "notice of " << notice.source << (added ? "" : ", changed") << ": "
               << (notice.kind == Notice::Kind::kStop ? "the machine goes in " : "the machine is at risk in ")
               << notice.at - clock_.Elapsed() << " (" << notice.reason << "); " << ended << " sequences handed over"
               << Id();
  return ended;
}

void Interruptions::Withdraw(absl::string_view source) {
  absl::MutexLock lock(&mutex_);
  const auto found = standing_.find(source);
  if (found == standing_.end()) return;
  standing_.erase(found);
  Apply();
  Tell(true);
  LOG(WARNING) << "notice of " << source << " withdrawn; " << standing_.size() << " others stand" << Id();
}

uint32_t Interruptions::HandOver() {
  absl::MutexLock lock(&mutex_);
  hands_over_ = true;
  const uint32_t ended = Apply();
  LOG(INFO) << ended << " sequences handed over: another engine has room" << Id();
  return ended;
}

void Interruptions::End() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  const uint32_t ended = Apply();
  Tell(false);
  LOG_IF(INFO, ended > 0) << ended << " sequences handed over: the engine ends" << Id();
}

bool Interruptions::hands_over() const {
  absl::MutexLock lock(&mutex_);
  return hands_over_;
}

void Interruptions::AwaitHandOver() {
  absl::MutexLock lock(&mutex_);
  while (!ended_ && !hands_over_) {
    const Notice* const stop = FindStop();
    if (stop == nullptr) {
      changed_.Wait(&mutex_);
      continue;
    }
    const absl::Duration left = stop->at - reserve_ - clock_.Elapsed();
    if (left > absl::ZeroDuration()) {
      changed_.WaitWithTimeout(&mutex_, left);
    } else {
      LOG(INFO) << Apply() << " sequences handed over: no time is left" << Id();
    }
  }
}

bool Interruptions::AwaitEnd(absl::Duration margin) {
  absl::MutexLock lock(&mutex_);
  while (!ended_) {
    const Notice* const stop = FindStop();
    if (stop == nullptr || !hands_over_) return false;
    const absl::Duration left = stop->at - margin - clock_.Elapsed();
    if (left <= absl::ZeroDuration()) return true;
    changed_.WaitWithTimeout(&mutex_, left);
  }
  return true;
}

std::optional<api::Notice> Interruptions::MostUrgent() const {
  absl::MutexLock lock(&mutex_);
  const Notice* const notice = FindMostUrgent();
  if (notice == nullptr) return std::nullopt;
  return ToProto(*notice, clock_.Elapsed());
}

uint64_t Interruptions::changes() const {
  absl::MutexLock lock(&mutex_);
  return changes_;
}

uint64_t Interruptions::AwaitChange(uint64_t known, absl::AnyInvocable<void(bool)> done) {
  absl::MutexLock lock(&mutex_);
  ++last_wait_;
  if (changes_ != known || ended_) done(!ended_);
  else waits_.emplace(last_wait_, std::move(done));
  return last_wait_;
}

bool Interruptions::Forget(uint64_t wait) {
  absl::MutexLock lock(&mutex_);
  return waits_.erase(wait) > 0;
}

void Interruptions::Tell(bool changed) {
  changes_ += changed;
  for (auto& [wait, done] : std::exchange(waits_, {})) done(changed);
}

const Notice* Interruptions::FindMostUrgent() const {
  const auto urgency = [](const auto& entry) { return std::make_tuple(entry.second.kind, entry.second.at); };
  const auto most = std::min_element(standing_.begin(), standing_.end(),
                                     [&](const auto& a, const auto& b) { return urgency(a) < urgency(b); });
  return most == standing_.end() ? nullptr : &most->second;
}

const Notice* Interruptions::FindStop() const {
  const Notice* const notice = FindMostUrgent();
  return notice != nullptr && notice->kind == Notice::Kind::kStop ? notice : nullptr;
}

// Under the lock, so that of two sources' changes the last one holds.
uint32_t Interruptions::Apply() {
  changed_.SignalAll();
  const Notice* const stop = FindStop();
  stops_ = stop != nullptr;
  hands_over_ = stop != nullptr && (hands_over_ || ended_ || stop->at - reserve_ <= clock_.Elapsed());
  if (hands_over_) return engine_.HandOver(NoticedError(ToProto(*stop, clock_.Elapsed())));
  engine_.Admit();
  return 0;
}

}  // namespace spotinference
