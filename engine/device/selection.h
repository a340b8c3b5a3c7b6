// What a sampler needs of an output row, so that a device with memory of its own need not give all of it.
//
// The device scans the row; the sampler picks from the few logits that it is given, and can prove that no other could
// have been picked, or lets the device look again (engine/server/candidate_pick.h). So nothing that a device rounds
// decides what is picked.
#ifndef ENGINE_DEVICE_SELECTION_H_
#define ENGINE_DEVICE_SELECTION_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"

namespace spotinference {

// What is wanted of a row. Spans stay valid during the run.
struct Selection {
  enum class Kind : uint8_t {
    kAll,      // nothing: the row itself is, if anything
    kLargest,  // the candidate of the largest logit
    kTop,      // those of the largest logits, and, of the other ids, those of kNoisy
    kNoisy,    // those of the largest logit / temperature + noise
    kLikelier  // how many are likelier than `bounds`, and what they weigh: only of a row that was looked through
  };
  // Likelier than it is what has a larger z, or, of the same z, a smaller id; z as in engine/sample/logit.h.
  struct Bound {
    float z;
    uint32_t id;
  };
  Kind kind = Kind::kAll;
  // kNoisy, kTop: from kLeastTemperature, and of the noise (engine/sample/noise.h).
  float temperature = 1;
  uint64_t seed = 0;
  uint32_t choice = 0, position = 0;
  // Bit id % 32 of word id / 32: the ids that may be candidates and have a weight. Empty: all.
  absl::Span<const uint32_t> allowed;
  // kLargest, kTop, kNoisy: not allowed are ids of logits below `least`, and, of the logit `tied`, those from `tied_id`.
  float least = -std::numeric_limits<float>::infinity(), tied = 0;
  uint32_t tied_id = std::numeric_limits<uint32_t>::max();
  float largest = 0;               // kLikelier: the logit whose z is zero
  absl::Span<const Bound> bounds;  // kLikelier; at most kMaxBounds
  // Ids whose logits are wanted too, as they are; at most kMaxAsked.
  absl::Span<const uint32_t> asked;

  static constexpr size_t kMaxAsked = 2048, kMaxBounds = 16;
  // A device may take differences below the smallest normal float for zero: divided by this they are still nothing.
  static constexpr float kLeastTemperature = 1e-20f;
};

// What a device found. A logit that is not finite is no candidate and has no weight.
struct Selected {
  struct Candidate {
    uint32_t id;
    float logit;
  };
  // In no order, each once; the largest logit's, of equals the smallest id, is among them.
  std::vector<Candidate> candidates;
  // kTop: what the logits of allowed ids that are no candidates are at most, and of those that are for their noise
  // alone; −infinity: there are none of either.
  float others = -std::numeric_limits<float>::infinity();
  // kNoisy, kTop: what (logit − largest candidate) / temperature + noise of those is at most, within kScoreError.
  double others_score = -std::numeric_limits<double>::infinity();
  // kTop: Σ e^((logit − largest candidate) / temperature) over allowed ids, within kWeightError of it.
  double weight = 0;
  std::vector<float> asked;  // as Selection::asked
  // kLikelier, as Selection::bounds: of the ids with a z above −infinity, to the bit as the host would count and add.
  struct Likelier {
    uint64_t count;
    int64_t weight;
  };
  std::vector<Likelier> likelier;

  // Of an exponent down to −28, past which nothing has a weight, three roundings of a float in either direction are
  // 1.0e-5, and those of the host's own 3e-6; Exp is good to 3e-7; 64 sums in a row are off by 8e-6. That is 2.2e-5.
  static constexpr double kWeightError = 1e-4;
  // Of a score that can matter the exponent is from −100: four roundings are 5e-5, the noise is off by 2e-5.
  static constexpr double kScoreError = 1e-3;
};

}  // namespace spotinference

#endif  // ENGINE_DEVICE_SELECTION_H_
