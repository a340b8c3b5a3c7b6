// Picks the next id from what a device selected of a row of logits: the one that Sampler::Sample picks from the whole
// row, to the bit.
//
// Biases and penalties are the host's: ids that have them are no candidates, their logits are asked for instead. So
// candidates are as the row has them, and all arithmetic that decides is done here, by the same functions as on a whole
// row. What is known of the other ids are bounds, within which the pick must be the same. Where they do not tell, the
// device looks at its row again: how likely the best candidates are among all ids, and then for more candidates. The
// row itself is needed for log-probabilities alone.
#ifndef ENGINE_SERVER_CANDIDATE_PICK_H_
#define ENGINE_SERVER_CANDIDATE_PICK_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/device/device.h"
#include "engine/device/selection.h"
#include "engine/sample/sampling.h"
#include "engine/sample/token_counts.h"

namespace spotinference {

// One row's. Keeps its memory from row to row. One thread at a time.
class CandidatePick {
 public:
  // What of the row is wanted; kAll for log-probabilities. Arguments as Sampler::Sample has them, but `guesses`: ids
  // that will have been added to `counts` by the time of the pick. `allowed` and the result's spans stay valid until
  // the next call.
  const Selection& Select(uint32_t vocabulary, const SamplingParams& params, const TokenCounts& counts,
                          absl::Span<const uint32_t> guesses, uint32_t position, absl::Span<const uint32_t> allowed);

  // `selected` of output row `row` of the selector's last run by the last Select, which was not kAll; `params` are the
  // same. DATA_LOSS, ABORTED: as of Sampler::Sample. Others: of the selector.
  absl::StatusOr<uint32_t> Pick(const Selected& selected, const SamplingParams& params, const TokenCounts& counts,
                                Selector& selector, int row);
  int looks() const { return looks_; }  // again at the row, in the last Pick

 private:
  struct Token {
    uint32_t id;
    float value;      // the logit, or z
    float logit = 0;  // with bias and penalties
  };
  struct Scored {
    Token token;
    double score;
  };
  // What the filters keep: what has fewer and lighter likelier ids than this, and is likelier than this.
  struct Kept {
    uint64_t count;
    int64_t weight;
    Token not_kept;
  };
  static bool Likelier(const Token& a, const Token& b) {
    return a.value > b.value || (a.value == b.value && a.id < b.id);
  }

  void Ask(const SamplingParams& params, const TokenCounts& counts, absl::Span<const uint32_t> guesses);
  absl::Status Look(const Selection& selection);
  absl::Status AnswerAsked(const Selected& selected);
  bool Gather(const Selected& selected, const SamplingParams& params, const TokenCounts& counts);
  float Z(float logit) const;
  double ShiftOf(float largest_candidate) const;

  std::optional<uint32_t> Tell(const Selected& selected, const SamplingParams& params);
  std::optional<uint32_t> Draw(absl::Span<const Token> tokens, absl::Span<const Token> perhaps, float least,
                               double others) const;
  // How many of the first `likeliest` of tokens_, likeliest first, weigh from `least` to `most` together; one more than
  // there are where all do not.
  struct Nucleus {
    size_t certain, possible;
  };
  Nucleus NucleusOf(size_t likeliest, int64_t least, int64_t most) const;

  absl::StatusOr<uint32_t> LookCloser(const SamplingParams& params, double others);
  // Of what scores more than `others`, best first, and then out of scored_, the first that is kept. What is found not to
  // be is noted.
  absl::StatusOr<std::optional<uint32_t>> FirstKept(Kept& kept, double others);
  // More candidates, of those that may be kept. What all others score at most.
  absl::StatusOr<double> FindMore(const Token& not_kept);
  void Score(const Token& token);
  absl::StatusOr<Kept> KeptBy(const SamplingParams& params);
  absl::StatusOr<int64_t> WeightOfLikeliest(uint64_t count);
  // likelier_ by bounds_.
  absl::Status CountLikelier();

  Selection selection_;
  uint32_t vocabulary_ = 0;
  bool constrained_ = false;
  std::vector<uint32_t> allowed_, asked_;

  // Of the pick.
  Selector* selector_ = nullptr;
  int row_ = 0, looks_ = 0;
  std::vector<float> asked_logits_;
  std::vector<Token> tokens_;        // candidates and asked ones: z
  std::vector<Token> asked_tokens_;  // of these the latter
  float largest_candidate_ = 0, largest_ = 0;  // logits
  Selected more_;
  std::vector<uint32_t> unknown_;  // allowed ids that are not candidates yet
  std::vector<Scored> scored_;
  std::vector<Token> judged_;  // as bounds_
  std::vector<Selection::Bound> bounds_;
  std::vector<Selected::Likelier> likelier_;
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_CANDIDATE_PICK_H_
