#include "fleet/providers/azure/azure_sizes.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "fleet/providers/cloud/accelerator.h"

namespace spotinference::fleet {
namespace {

// "Standard_NC4as_T4_v3" has a T4 in its name, as the newer sizes do. What is called A100 has 80 GB.
struct Named {
  absl::string_view part;
  double gigabytes = 0;
};
constexpr Named kNamed[] = {{"T4"},    {"A10"},  {"A100", 80}, {"H100"},   {"H200"},         {"GB200"},
                            {"GB300"}, {"V620"}, {"V710"},     {"MI300X"}, {"RTXPRO6000BSE"}};

// The older ones are known by their family and version: "Standard_NC6s_v3".
struct OfFamily {
  absl::string_view family, version, accelerator;
  double gigabytes = 0;
};
constexpr OfFamily kOfFamilies[] = {
    {"NC", "v3", "V100", 16}, {"ND", "v2", "V100", 32}, {"ND", "v4", "A100", 40}, {"NV", "v3", "M60"},
    {"NV", "v4", "MI25"}};

// Families whose sizes with fewer CPUs than these have less than a whole one: "Accelerators" at
// https://learn.microsoft.com/azure/virtual-machines/sizes/gpu-accelerated/nv-family and ng-family. The last is not
// described there: of its sizes those with up to 72 have a quarter or a half of the memory.
struct Shared {
  absl::string_view family, part;
  int cpus;
};
constexpr Shared kShared[] = {
    {"NV", "A10", 36}, {"NV", "V710", 24}, {"NV", "v4", 32}, {"NG", "V620", 32}, {"NC", "RTXPRO6000BSE", 128}};

}  // namespace

std::string AcceleratorOfSize(absl::string_view size) {
  const std::vector<absl::string_view> parts = absl::StrSplit(size, '_');
  for (const absl::string_view part : parts) {
    for (const Named& named : kNamed) {
      if (part == named.part) return AcceleratorName(part, named.gigabytes);
    }
  }
  if (parts.size() != 3) return "";
  const auto digits = std::find_if_not(parts[1].begin(), parts[1].end(), absl::ascii_isupper);
  const absl::string_view family = parts[1].substr(0, digits - parts[1].begin());
  for (const OfFamily& known : kOfFamilies) {
    if (family == known.family && parts[2] == known.version) return AcceleratorName(known.accelerator, known.gigabytes);
  }
  return "";
}

bool HasPartOfAccelerator(absl::string_view size) {
  const std::vector<absl::string_view> parts = absl::StrSplit(size, '_');
  if (parts.size() < 3) return false;
  const auto digits = std::find_if_not(parts[1].begin(), parts[1].end(), absl::ascii_isupper);
  const auto rest = std::find_if_not(digits, parts[1].end(), absl::ascii_isdigit);
  int cpus = 0;
  if (!absl::SimpleAtoi(absl::string_view(digits, rest - digits), &cpus)) return false;
  const absl::string_view family = parts[1].substr(0, digits - parts[1].begin());
  return std::any_of(std::begin(kShared), std::end(kShared), [&](const Shared& shared) {
    return family == shared.family && cpus < shared.cpus &&
           std::find(parts.begin(), parts.end(), shared.part) != parts.end();
  });
}

}  // namespace spotinference::fleet
