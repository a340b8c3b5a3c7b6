#include "fleet/decision_log.h"

#include <algorithm>
#include <utility>

namespace spotinference::fleet {

void DecisionLog::Recall(const std::map<int64_t, DecisionView>& decisions) {
  decisions_ = decisions;
  while (decisions_.size() > kMost) Forget(decisions_.begin());
}

void DecisionLog::Note(DecisionView decision) {
  if (decision.action == "refused") {
    const auto said = std::find_if(decisions_.begin(), decisions_.end(), [&](const auto& earlier) {
      const DecisionView& other = earlier.second;
      return other.action == decision.action && other.model == decision.model && other.why == decision.why;
    });
    if (said != decisions_.end()) Forget(said);
  }
  const int64_t number = decisions_.empty() ? 1 : decisions_.rbegin()->first + 1;
  changes_[number] = decision;
  decisions_.emplace(number, std::move(decision));
  if (decisions_.size() > kMost) Forget(decisions_.begin());
}

void DecisionLog::Forget(std::map<int64_t, DecisionView>::iterator decision) {
  changes_[decision->first] = std::nullopt;
  decisions_.erase(decision);
}

std::vector<DecisionView> DecisionLog::Latest() const {
  std::vector<DecisionView> latest;
  for (auto decision = decisions_.rbegin(); decision != decisions_.rend(); ++decision) latest.push_back(decision->second);
  return latest;
}

DecisionLog::Changes DecisionLog::TakeChanges() { return std::exchange(changes_, {}); }

}  // namespace spotinference::fleet
