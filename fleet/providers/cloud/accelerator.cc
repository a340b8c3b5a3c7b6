#include "fleet/providers/cloud/accelerator.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace spotinference::fleet {
namespace {

// Makers and brands, how it is plugged in and wired, and how Hyperstack calls what it may take back.
constexpr absl::string_view kNoKind[] = {"NVIDIA", "TESLA", "AMD", "PCIE", "SXM", "SXM4", "SXM5", "NVLINK", "MEGA",
                                         "SPOT"};

struct Larger {
  absl::string_view name;
  double gigabytes;  // at least
  absl::string_view as;
};
constexpr Larger kLarger[] = {{"A100", 79, "A100-80GB"}, {"V100", 31, "V100-32GB"}};

// "80G", "80GB" → 80; 0: it is none.
double Gigabytes(absl::string_view word) {
  double gigabytes = 0;
  const bool is_memory = absl::ConsumeSuffix(&word, "GB") || absl::ConsumeSuffix(&word, "G");
  if (!is_memory || word.find_first_not_of("0123456789") != word.npos) return 0;
  return absl::SimpleAtod(word, &gigabytes) ? gigabytes : 0;
}

}  // namespace

std::string AcceleratorName(absl::string_view word, double gigabytes) {
  const std::string upper = absl::AsciiStrToUpper(word);
  std::vector<absl::string_view> kind;
  for (const absl::string_view part : absl::StrSplit(upper, absl::ByAnyChar("- _"), absl::SkipEmpty())) {
    if (std::find(std::begin(kNoKind), std::end(kNoKind), part) != std::end(kNoKind)) continue;
    if (const double memory = Gigabytes(part); memory > 0) gigabytes = memory;
    else kind.push_back(part);
  }
  std::string name = absl::StrJoin(kind, "-");
  // "RTX PRO Server 6000", "RTX-PRO6000-SE", "RTXPRO6000BSE"
  if (absl::StartsWith(absl::StrJoin(kind, ""), "RTXPRO") && absl::StrContains(name, "6000")) return "RTX-PRO-6000";
  for (const Larger& larger : kLarger) {
    if (name == larger.name && gigabytes >= larger.gigabytes) return std::string(larger.as);
  }
  return name;
}

}  // namespace spotinference::fleet
