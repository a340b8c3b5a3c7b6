#include "fleet/plan/parking_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"

namespace spotinference::fleet {

int ParkingQueue::resuming() const {
  return static_cast<int>(std::count_if(waiters_.begin(), waiters_.end(),
                                        [](const auto& waiter) { return waiter.second.claim.resumes(); }));
}

std::optional<std::vector<ParkingQueue::Id>> ParkingQueue::WhoMakesPlace(const Claim& claim,
                                                                         const Limits& limits) const {
  struct Share {
    size_t requests = 0, bytes = 0;
    std::vector<Waiters::const_iterator> may_leave;  // the newest last
  };
  size_t requests = waiters_.size() + 1, bytes = bytes_ + claim.bytes;
  const auto too_many = [&] { return requests > limits.requests; };
  const auto full = [&] { return too_many() || bytes > limits.bytes; };
  std::vector<Id> leave;
  if (!full()) return leave;
  std::map<absl::string_view, Share> shares;
  for (auto waiter = waiters_.begin(); waiter != waiters_.end(); ++waiter) {
    Share& share = shares[waiter->second.claim.key];
    ++share.requests;
    share.bytes += waiter->second.claim.bytes;
    if (!waiter->second.claim.resumes()) share.may_leave.push_back(waiter);
  }
  Share& own = shares[claim.key];
  ++own.requests;
  own.bytes += claim.bytes;
  while (full()) {
    const auto size = [&](const Share& share) { return too_many() ? share.requests : share.bytes; };
    Share* most = &own;
    for (auto& [key, share] : shares) {
      if (!share.may_leave.empty() && size(share) > size(*most)) most = &share;
    }
    if (most == &own) return std::nullopt;
    const auto& [id, newest] = *most->may_leave.back();
    most->may_leave.pop_back();
    leave.push_back(id);
    --requests;
    --most->requests;
    bytes -= newest.claim.bytes;
    most->bytes -= newest.claim.bytes;
  }
  return leave;
}

void ParkingQueue::Park(Id id, Claim claim, bool awake, const Limits& limits, absl::Duration now) {
  bytes_ += claim.bytes;
  waiters_.emplace(id, Waiter{std::move(claim), now, now + limits.longest, awake});
}

std::optional<ParkingQueue::Waiter> ParkingQueue::Remove(Id id) {
  Waiters::node_type node = waiters_.extract(id);
  if (node.empty()) return std::nullopt;
  bytes_ -= node.mapped().claim.bytes;
  return std::move(node.mapped());
}

std::vector<ParkingQueue::Id> ParkingQueue::ByTurns() const {
  std::map<absl::string_view, int> turns;
  std::vector<std::pair<int, Id>> order;
  for (const auto& [id, waiter] : waiters_) {
    order.emplace_back(waiter.claim.resumes() ? -1 : turns[waiter.claim.key]++, id);
  }
  std::sort(order.begin(), order.end());
  std::vector<Id> ids;
  for (const auto& [turn, id] : order) ids.push_back(id);
  return ids;
}

std::vector<ParkingQueue::Id> ParkingQueue::Expired(absl::Duration now) const {
  std::vector<Id> ids;
  for (const auto& [id, waiter] : waiters_) {
    if (waiter.deadline > now) break;
    ids.push_back(id);
  }
  return ids;
}

absl::Duration ParkingQueue::next_deadline() const {
  return waiters_.empty() ? absl::InfiniteDuration() : waiters_.begin()->second.deadline;
}

std::vector<ParkingQueue::Id> ParkingQueue::ToRefuse(bool also_who_resumes) const {
  std::vector<Id> ids;
  for (const auto& [id, waiter] : waiters_) {
    if (also_who_resumes || !waiter.claim.resumes()) ids.push_back(id);
  }
  return ids;
}

}  // namespace spotinference::fleet
