// Picks the next id from what a device selected of a row of logits: the one that Sampler::Sample picks from the whole
// row, to the bit, or none, where that much of the row does not tell.
//
// Biases and penalties are the host's: ids that have them are no candidates, their logits are asked for instead. So
// candidates are as the row has them, and all arithmetic that decides is done here, by the same functions as on a whole
// row. What is known of the other ids are bounds, within which the pick must be the same.
#ifndef ENGINE_SERVER_CANDIDATE_PICK_H_
#define ENGINE_SERVER_CANDIDATE_PICK_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "engine/device/selection.h"
#include "engine/sample/sampling.h"
#include "engine/sample/token_counts.h"

namespace spotinference {

// One row's. Keeps its memory from row to row. One thread at a time.
class CandidatePick {
 public:
  // What of the row is wanted; kAll where candidates would not do. Arguments as Sampler::Sample has them, but
  // `guesses`: ids that will have been added to `counts` by the time of the pick. `allowed` and the result's spans stay
  // valid until the next call.
  const Selection& Select(uint32_t vocabulary, const SamplingParams& params, const TokenCounts& counts,
                          absl::Span<const uint32_t> guesses, uint32_t position, absl::Span<const uint32_t> allowed);

  // `selected` by the last Select, which was not kAll; `params` are the same. Nullopt: the row is needed.
  std::optional<uint32_t> Pick(const Selected& selected, const SamplingParams& params, const TokenCounts& counts);

 private:
  struct Token {
    uint32_t id;
    float value;
  };
  static bool Likelier(const Token& a, const Token& b) {
    return a.value > b.value || (a.value == b.value && a.id < b.id);
  }

  void Ask(const SamplingParams& params, const TokenCounts& counts, absl::Span<const uint32_t> guesses);
  bool Gather(const Selected& selected, const SamplingParams& params, const TokenCounts& counts);
  std::optional<uint32_t> Draw(absl::Span<const Token> tokens, absl::Span<const Token> perhaps, float least,
                               double others) const;
  // How many of the first `likeliest` of tokens_, likeliest first, weigh from `least` to `most` together; one more than
  // there are where all do not.
  struct Nucleus {
    size_t certain, possible;
  };
  Nucleus NucleusOf(size_t likeliest, int64_t least, int64_t most) const;

  Selection selection_;
  uint32_t vocabulary_ = 0;
  std::vector<uint32_t> allowed_, asked_;
  std::vector<Token> tokens_;  // candidates and asked ones: z
  float largest_candidate_ = 0, largest_ = 0;  // logits
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_CANDIDATE_PICK_H_
