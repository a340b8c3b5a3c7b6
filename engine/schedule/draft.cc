#include "engine/schedule/draft.h"

#include <algorithm>

namespace spotinference {
namespace {

constexpr int kLookBack = 8192;

// How many ids before `end` are the same as the last ones, up to 3.
int Matching(absl::Span<const uint32_t> ids, size_t end) {
  int n = 0;
  while (n < 3 && n < static_cast<int>(end) && ids[end - 1 - n] == ids[ids.size() - 1 - n]) ++n;
  return n;
}

}  // namespace

absl::Span<const uint32_t> Draft(absl::Span<const uint32_t> ids, int32_t most) {
  if (ids.size() < 3 || most <= 0) return {};
  const size_t first = ids.size() > kLookBack ? ids.size() - kLookBack : 0;
  size_t of_two = 0;  // where a match of two ends
  for (size_t end = ids.size() - 1; end > first; --end) {
    if (ids[end - 1] != ids.back()) continue;
    const int n = Matching(ids, end);
    if (n == 3) return ids.subspan(end, std::min<size_t>(most, ids.size() - end));
    if (n == 2 && of_two == 0) of_two = end;
  }
  if (of_two == 0) return {};
  return ids.subspan(of_two, std::min<size_t>(most, ids.size() - of_two));
}

bool DraftRecord::Pays() {
  if (accepted_ >= kNeeded) return true;
  if (--rest_ > 0) return false;
  accepted_ = kNeeded;
  return true;
}

void DraftRecord::Verified(int32_t accepted) {
  accepted_ += (static_cast<float>(accepted) - accepted_) / 8;
  if (accepted_ < kNeeded) rest_ = kRest;
}

}  // namespace spotinference
