// Picks the next id from a row of logits, in the order of steps that engine.proto fixes:
//
//   1. logit_bias is added.
//   2. repetition_penalty: of each id in prompt or answer, a positive logit is divided by it, any
//      other multiplied (the penalty of CTRL, arXiv:1909.05858, with the sign minded).
//   3. presence_penalty, and frequency_penalty times the number of times, are subtracted from the
//      logits of generated ids (OpenAI's formula).
//   4. z = (logit - largest) * (1 / temperature), as floats; what is nearer to zero than the smallest normal float is
//      zero, since processors and devices differ in that. Temperature 0 takes the largest logit and ends here.
//   5. top_k: the k largest z.
//   6. top_p: of these, the fewest likeliest whose probability among these reaches top_p.
//   7. min_p: of these, z >= log(min_p).
//   8. The id with the largest z + Gumbel noise (noise.h).
//
// A token mask, where there is one, comes between 3 and 4: an id that is not in it is as one whose logit is not finite.
// Log-probabilities do not see it, as they see none of the steps.
//
// Between equals the smallest id comes first, in every step.
//
// The result depends on the arguments alone, bit for bit, on every machine. A logit that is not
// finite stands for an id that cannot be picked.
#ifndef ENGINE_SAMPLE_SAMPLER_H_
#define ENGINE_SAMPLE_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/sample/noise.h"
#include "engine/sample/sampling.h"
#include "engine/sample/token_counts.h"

namespace spotinference {

struct TokenLogprob {
  uint32_t id;
  float logprob;  // natural log of the softmax of the raw logits
};

struct Sampled {
  uint32_t id;
  float logprob = 0;  // where asked for
  // Likeliest first; only ids whose logit is finite. In the sampler until its next call.
  absl::Span<const TokenLogprob> top_logprobs;
};

// Scratch memory for any number of sequences; allocates only where it meets a row larger than all before. One thread at
// a time.
class Sampler {
 public:
  explicit Sampler(size_t vocabulary = 0);  // rows up to this size find their memory ready

  // `params` have passed Validate. `counts` are looked at where params.needs_counts(). `position`:
  // index in the answer of the id to pick, from 0. `allowed`: the mask, bit id % 32 of word id / 32;
  // empty: all ids. INTERNAL: no logit is finite. ABORTED: none of those in the mask is.
  absl::StatusOr<Sampled> Sample(absl::Span<const float> logits /* [vocabulary] */,
                                 const SamplingParams& params, const TokenCounts& counts,
                                 uint32_t position,
                                 absl::Span<const uint32_t> allowed = {} /* [vocabulary / 32, rounded up] */);

 private:
  struct Token {
    uint32_t id;
    float value;
  };
  // What the filters leave: ids whose z is larger, or equal and the id at most `last_id`.
  struct Cut {
    float z;
    uint32_t last_id;
  };

  static bool Likelier(const Token& a, const Token& b) {
    return a.value > b.value || (a.value == b.value && a.id < b.id);
  }
  static Token ArgMax(absl::Span<const float> logits);

  void Adjust(absl::Span<const float> logits, const SamplingParams& params,
              const TokenCounts& counts);
  void Restrict(absl::Span<const uint32_t> allowed);
  void Scale(absl::Span<const float> logits, float largest, float temperature);
  Cut Filter(const SamplingParams& params);
  void SelectTop(absl::Span<const float> values, size_t k);
  void SelectHeavierThan(double weight);
  Token LastOfNucleus(int64_t enough);
  uint32_t Draw(const Cut& cut, uint32_t likeliest, const Noise& noise) const;
  void FillLogprobs(absl::Span<const float> logits, uint32_t top_logprobs, Sampled& sampled);

  std::vector<float> adjusted_;  // logits after steps 1 to 3 and the mask
  std::vector<float> z_;         // padded to whole blocks of noise with -infinity
  std::vector<Token> top_;       // candidates of a filter
  std::vector<TokenLogprob> top_logprobs_;
};

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_SAMPLER_H_
