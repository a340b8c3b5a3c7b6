// Guesses at a sequence's next ids, which one step then computes and verifies together (prompt lookup: a text often repeats
// what it, or its prompt, has said; speculative decoding, arXiv:2211.17192, without a second model). A guess changes no id:
// what the model says at each place is sampled as ever, and ids are taken up to the first that differs.
#ifndef ENGINE_SCHEDULE_DRAFT_H_
#define ENGINE_SCHEDULE_DRAFT_H_

#include <cstdint>

#include "absl/types/span.h"

namespace spotinference {

// What followed the latest earlier place with the same last three ids, or else the same last two; at most `most` ids, none
// where there is no such place. A span of `ids`. Time: one pass over the last 8192 ids, some 5 µs.
absl::Span<const uint32_t> Draft(absl::Span<const uint32_t> ids, int32_t most);

// Whether guessing pays for one sequence: a function of what became of its earlier guesses.
class DraftRecord {
 public:
  // To be asked once a step in which a guess could be made.
  bool Pays();
  void Verified(int32_t accepted);

 private:
  // A step of four rows takes 1.0 to 1.3 times one of one row (2 cores, AVX2, Q4_1: both read the weights once, and most of
  // the arithmetic of four rows is hidden behind that), so a guess must bring 0.3 ids on average.
  static constexpr float kNeeded = 0.3f;
  // After a run of bad guesses one is tried again every so often, at a cost below 0.3 / 32 of the time.
  static constexpr int kRest = 32;

  float accepted_ = 1;  // of a guess, a moving average over some eight
  int rest_ = 0;        // steps until the next try
};

}  // namespace spotinference

#endif  // ENGINE_SCHEDULE_DRAFT_H_
