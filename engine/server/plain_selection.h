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
#include "engine/sample/logit.h"
#include "engine/sample/noise.h"

namespace spotinference {

// kLikelier, of `ids`.
inline std::vector<Selected::Likelier> CountPlainly(absl::Span<const float> row, const Selection& selection,
                                                    absl::Span<const uint32_t> ids) {
  std::vector<Selected::Likelier> likelier;
  for (const Selection::Bound& bound : selection.bounds) {
    Selected::Likelier& sum = likelier.emplace_back();
    for (const uint32_t id : ids) {
      const float z = Scaled(row[id], selection.largest, 1 / selection.temperature);
      if (!std::isfinite(z) || z < bound.z || (z == bound.z && id >= bound.id)) continue;
      ++sum.count;
      sum.weight += Weight(z);
    }
  }
  return likelier;
}

inline Selected SelectPlainly(absl::Span<const float> row, const Selection& selection, size_t most_candidates) {
  using Kind = Selection::Kind;
  Selected selected;
  for (const uint32_t id : selection.asked) selected.asked.push_back(row[id]);
  std::vector<uint32_t> ids;  // not yet candidates
  for (uint32_t id = 0; id < row.size(); ++id) {
    const bool allowed = selection.allowed.empty() || (selection.allowed[id / 32] >> (id % 32) & 1) != 0;
    const bool tied = row[id] == selection.tied && id >= selection.tied_id;
    if (allowed && std::isfinite(row[id]) && row[id] >= selection.least && !tied) ids.push_back(id);
  }
  if (selection.kind == Kind::kLikelier) {
    selected.likelier = CountPlainly(row, selection, ids);
    return selected;
  }
  if (ids.empty()) return selected;
  const auto logit = [&](uint32_t id) { return double{row[id]}; };
  const uint32_t largest =
      *std::max_element(ids.begin(), ids.end(), [&](uint32_t a, uint32_t b) { return row[a] < row[b]; });
  const auto z = [&](uint32_t id) { return (logit(id) - row[largest]) / selection.temperature; };
  const Noise noise(selection.seed, selection.choice, selection.position);
  const auto score = [&](uint32_t id) { return z(id) + Noise::Gumbel(noise.Bits(id)); };
  // Makes candidates of those that are first; what the next one has.
  const auto take = [&](const auto& by, size_t most) {
    std::vector<std::pair<double, uint32_t>> ranked;
    for (const uint32_t id : ids) ranked.emplace_back(-by(id), id);
    std::sort(ranked.begin(), ranked.end());
    ids.clear();
    for (size_t i = 0; i < ranked.size(); ++i) {
      const uint32_t id = ranked[i].second;
      if (i < most) {
        selected.candidates.push_back({id, row[id]});
      } else {
        ids.push_back(id);
      }
    }
    return ids.empty() ? -std::numeric_limits<double>::infinity() : by(ids[0]);
  };
  if (selection.kind == Kind::kTop) {
    for (const uint32_t id : ids) selected.weight += std::exp(z(id));
  }
  if (selection.kind != Kind::kNoisy) selected.others = static_cast<float>(take(logit, most_candidates));
  if (selection.kind != Kind::kLargest) selected.others_score = take(score, std::max<size_t>(1, most_candidates / 4));
  if (std::find(ids.begin(), ids.end(), largest) != ids.end()) selected.candidates.push_back({largest, row[largest]});
  return selected;
}

}  // namespace spotinference

#endif  // ENGINE_SERVER_PLAIN_SELECTION_H_
