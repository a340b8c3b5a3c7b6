#include "engine/sample/perplexity.h"

#include <algorithm>
#include <cmath>

namespace spotinference {

void LogSoftmax(absl::Span<const float> logits, std::vector<double>& out) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(logit - largest);
  const double log_total = std::log(total);
  out.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) out[i] = logits[i] - largest - log_total;
}

void Perplexity::Add(absl::Span<const double> log_probabilities, uint32_t next) {
  const double surprise = -log_probabilities[next];
  ++tokens_;
  sum_ += surprise;
  sum_of_squares_ += surprise * surprise;
}

double Perplexity::value() const { return std::exp(sum_ / tokens_); }

// The standard error of the mean, through exp's slope there.
double Perplexity::standard_error() const {
  if (tokens_ < 2) return 0;
  const double mean = sum_ / tokens_;
  const double variance = std::max(0.0, sum_of_squares_ / tokens_ - mean * mean);
  return std::sqrt(variance / (tokens_ - 1)) * value();
}

void Divergence::Add(absl::Span<const double> expected_log_probabilities, absl::Span<const double> log_probabilities) {
  const auto top = [](absl::Span<const double> of) { return std::max_element(of.begin(), of.end()) - of.begin(); };
  ++places_;
  same_ += top(expected_log_probabilities) == top(log_probabilities);
  for (size_t i = 0; i < log_probabilities.size(); ++i) {
    sum_ += std::exp(expected_log_probabilities[i]) * (expected_log_probabilities[i] - log_probabilities[i]);
  }
}

double Divergence::mean() const { return sum_ / places_; }

double Divergence::same_top() const { return static_cast<double>(same_) / places_; }

std::vector<std::vector<int32_t>> PerplexityChunks(absl::Span<const uint32_t> ids, int context,
                                                   std::optional<uint32_t> bos) {
  std::vector<std::vector<int32_t>> chunks;
  for (size_t begin = 0; begin + context <= ids.size(); begin += context) {
    chunks.emplace_back(ids.begin() + begin, ids.begin() + begin + context);
    if (bos) chunks.back()[0] = static_cast<int32_t>(*bos);
  }
  return chunks;
}

}  // namespace spotinference
