#include "fleet/plan/volumes.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace spotinference::fleet {
namespace {

constexpr double kWakeCost = 20;  // the machine's own price, and 19 times that for those who wait (idle_timeout.h)
constexpr absl::Duration kShortest = absl::Hours(24);
constexpr absl::Duration kLongest = absl::Hours(30 * 24);
constexpr absl::Duration kEmpty = absl::Hours(1);

std::string Why(const VolumeRules& rules, const VolumeCopy& volume, absl::Duration now) {
  const absl::Duration unused = absl::Floor(now - volume.unused_since, absl::Minutes(1));
  std::string why = absl::StrFormat("unused for %s and kept for %s", absl::FormatDuration(unused),
                                    absl::FormatDuration(absl::Floor(KeptFor(rules, volume), absl::Minutes(1))));
  if (!volume.filled) return why + ": there are no weights on it";
  if (rules.keep.has_value()) return why + " by the configuration";
  return why + absl::StrFormat(": it costs $%.4f/h, and filling another one takes %s at $%.4f/h", volume.per_hour,
                               absl::FormatDuration(rules.fill), volume.machine_per_hour);
}

// The model's last one with weights; nullptr: a machine has such a one, or there is none.
const VolumeCopy* LastFilled(absl::Span<const VolumeCopy> volumes) {
  const VolumeCopy* last = nullptr;
  for (const VolumeCopy& volume : volumes) {
    if (!volume.filled) continue;
    if (volume.in_use) return nullptr;
    if (last == nullptr || volume.unused_since > last->unused_since) last = &volume;
  }
  return last;
}

}  // namespace

absl::Duration KeptFor(const VolumeRules& rules, const VolumeCopy& volume) {
  if (!rules.keep.has_value() && volume.per_hour <= 0) return absl::InfiniteDuration();
  const absl::Duration kept = rules.keep.has_value()
                                  ? *rules.keep
                                  : std::clamp(kWakeCost * rules.fill * (volume.machine_per_hour / volume.per_hour),
                                               kShortest, kLongest);
  return volume.filled ? kept : std::min(kept, kEmpty);
}

VolumePlan PlanVolumes(const VolumeRules& rules, absl::Span<const VolumeCopy> volumes, absl::Duration now) {
  VolumePlan plan;
  if (rules.parked) return plan;
  const VolumeCopy* const last = rules.configured ? LastFilled(volumes) : nullptr;
  for (const VolumeCopy& volume : volumes) {
    if (volume.in_use || &volume == last) continue;
    const absl::Duration due = std::max(volume.unused_since + KeptFor(rules, volume), volume.not_before);
    if (now >= due) plan.ends.emplace_back(volume.name, Why(rules, volume, now));
    else plan.next = std::min(plan.next, due);
  }
  return plan;
}

}  // namespace spotinference::fleet
