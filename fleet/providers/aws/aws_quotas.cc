#include "fleet/providers/aws/aws_quotas.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace spotinference::fleet {

void AwsQuotas::Add(absl::string_view name, double limit) {
  absl::string_view middle = name;
  Market market = Market::kOnDemand;
  if (absl::ConsumePrefix(&middle, "All ") && absl::ConsumeSuffix(&middle, " Spot Instance Requests")) {
    market = Market::kSpot;
  } else if (!absl::ConsumePrefix(&middle, "Running On-Demand ") || !absl::ConsumeSuffix(&middle, " instances")) {
    return;
  }
  known_.push_back({{std::string(name), region_, limit, 0}, market, {}});
  for (const absl::string_view word : absl::StrSplit(middle, absl::ByAnyChar(" ,()"), absl::SkipEmpty())) {
    known_.back().families.emplace_back(word);  // and words such as "Standard", which no family is called
  }
}

// "p5en.48xlarge" is of P5, where there is such a quota, and else of P.
size_t AwsQuotas::Find(absl::string_view type, Market market) const {
  const auto letters = std::find_if_not(type.begin(), type.end(), [](char c) { return absl::ascii_isalpha(c); });
  const auto digits = std::find_if_not(letters, type.end(), [](char c) { return absl::ascii_isdigit(c); });
  for (const auto end : {digits, letters}) {
    const std::string family = absl::AsciiStrToUpper(type.substr(0, end - type.begin()));
    const auto known = std::find_if(known_.begin(), known_.end(), [&](const Known& k) {
      return k.market == market && std::count(k.families.begin(), k.families.end(), family) != 0;
    });
    if (known != known_.end()) return known - known_.begin();
  }
  return known_.size();
}

void AwsQuotas::Use(absl::string_view type, Market market, double cpus) {
  if (const size_t at = Find(type, market); at < known_.size()) known_[at].quota.used += cpus;
}

std::string AwsQuotas::WhyOver(absl::string_view type, Market market, double cpus) const {
  const size_t at = Find(type, market);
  return at == known_.size() ? "" : fleet::WhyOver(known_[at].quota, cpus);
}

}  // namespace spotinference::fleet
