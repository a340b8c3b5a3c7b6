// A selection made by the definition (engine/device/selection.h), for tests: as few candidates as a device may give, or
// more.
#ifndef ENGINE_SERVER_PLAIN_SELECTION_H_
#define ENGINE_SERVER_PLAIN_SELECTION_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/device/selection.h"
#include "engine/sample/noise.h"

namespace spotinference {

inline Selected SelectPlainly(absl::Span<const float> row, const Selection& selection, size_t most_candidates) {
  using Kind = Selection::Kind;
  Selected selected;
  for (const uint32_t id : selection.asked) selected.asked.push_back(row[id]);
  std::vector<std::pair<double, uint32_t>> ranked;  // by what makes a candidate, less being better, then id
  float largest = -std::numeric_limits<float>::infinity();
  const auto allowed = [&](uint32_t id) {
    return std::isfinite(row[id]) && (selection.allowed.empty() || (selection.allowed[id / 32] >> (id % 32) & 1) != 0);
  };
  for (uint32_t id = 0; id < row.size(); ++id) {
    if (allowed(id)) largest = std::max(largest, row[id]);
  }
  const Noise noise(selection.seed, selection.choice, selection.position);
  for (uint32_t id = 0; id < row.size(); ++id) {
    if (!allowed(id)) continue;
    const double z = (double{row[id]} - largest) / selection.temperature;
    ranked.emplace_back(selection.kind == Kind::kNoisy ? -(z + Noise::Gumbel(noise.Bits(id))) : -double{row[id]}, id);
    if (selection.kind == Kind::kTop) selected.weight += std::exp(z);
  }
  std::sort(ranked.begin(), ranked.end());
  for (size_t i = 0; i < ranked.size(); ++i) {
    const uint32_t id = ranked[i].second;
    // The first of the largest is one in any case.
    const bool first = row[id] == largest && !std::any_of(row.begin(), row.begin() + id, [&](const float& x) {
      return x == largest && allowed(static_cast<uint32_t>(&x - row.data()));
    });
    if (i < most_candidates || first) selected.candidates.push_back({id, row[id]});
  }
  if (ranked.size() > most_candidates) {
    selected.others = static_cast<float>(-ranked[most_candidates].first);
    selected.others_score = -ranked[most_candidates].first;
  }
  return selected;
}

}  // namespace spotinference

#endif  // ENGINE_SERVER_PLAIN_SELECTION_H_
