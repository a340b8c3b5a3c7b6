// How well a model predicts a text, and how far one model's predictions are from another's.
//
// Everything is in nats and in double precision. Perplexity is that of llama.cpp's llama-perplexity, chunks and all,
// so that its figures and ours can stand side by side.
#ifndef ENGINE_SAMPLE_PERPLEXITY_H_
#define ENGINE_SAMPLE_PERPLEXITY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"

namespace spotinference {

// log(softmax(logits)) into `out`, which gets their size. Logits are finite, and there is one at least.
void LogSoftmax(absl::Span<const float> logits, std::vector<double>& out);

// exp of the mean of −log p(next token).
class Perplexity {
 public:
  // `log_probabilities` of all tokens at some place of a text where `next` came. next < their number.
  void Add(absl::Span<const double> log_probabilities, uint32_t next);

  int64_t tokens() const { return tokens_; }
  double value() const;           // NaN without tokens
  double standard_error() const;  // of value(), from the spread of the tokens; 0 where they do not say

 private:
  int64_t tokens_ = 0;
  double sum_ = 0;  // of −log p
  double sum_of_squares_ = 0;
};

// How far predictions are from those expected at the same places.
class Divergence {
 public:
  // Both of one size.
  void Add(absl::Span<const double> expected_log_probabilities, absl::Span<const double> log_probabilities);

  double mean() const;      // Kullback and Leibler's, D(expected ‖ actual); NaN without places
  double same_top() const;  // share of places with the same likeliest token

 private:
  int64_t places_ = 0;
  int64_t same_ = 0;
  double sum_ = 0;
};

// What llama-perplexity scores: the text in chunks of `context` tokens, each read from an empty cache, a rest that does
// not fill a chunk left out. Within a chunk the first token gives way to `bos`, where the model has one in front of
// every text, and only the second half is scored, so that each scored token has context/2 tokens or more before it:
// position i predicts token i + 1 for i in [FirstScored, context − 1).
std::vector<std::vector<int32_t>> PerplexityChunks(absl::Span<const uint32_t> ids, int context,
                                                   std::optional<uint32_t> bos);
inline int FirstScored(int context) { return context / 2; }

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_PERPLEXITY_H_
