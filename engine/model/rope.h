// Rotary position embeddings (RoPE, arXiv 2104.09864) and the ways in which their frequencies are stretched for
// contexts longer than those a model was first trained on.
#ifndef ENGINE_MODEL_ROPE_H_
#define ENGINE_MODEL_ROPE_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/device/graph.h"

namespace spotinference {

enum class RopeScalingKind : uint8_t {
  kNone,
  kLinear,  // every frequency / factor; arXiv 2306.15595
  kYarn,    // as kLinear for what turns less than beta_slow times in the original context, as it was for what turns
            // more than beta_fast times, blended between; longer pairs. arXiv 2309.00071
  kLlama3,  // the same idea by wavelength, blended between original_context / low_frequency_factor and
            // original_context / high_frequency_factor; Llama 3.1
};

struct RopeScaling {
  RopeScalingKind kind = RopeScalingKind::kNone;
  double factor = 1;
  int original_context_tokens = 0;   // kYarn, kLlama3
  double beta_fast = 32;             // kYarn
  double beta_slow = 1;              // kYarn
  double attention_factor = 1;       // beside kYarn's own 1 + ln(factor) / 10
  double low_frequency_factor = 1;   // kLlama3
  double high_frequency_factor = 4;  // kLlama3
};

// Tensors of a model that are `divisors`: Llama 3's scaling as GGUF files have it, and the two of LongRoPE (arXiv
// 2402.13753), for contexts longer than the original one and for others.
inline constexpr absl::string_view kRopeDivisors = "rope_freqs.weight";
inline constexpr absl::string_view kLongRopeDivisors = "rope_factors_long.weight";
inline constexpr absl::string_view kShortRopeDivisors = "rope_factors_short.weight";

// Pair i of `rotated` / 2 turns by base^(−2i / rotated) a position, scaled, then divided by divisors[i] where there are
// any. rotated ≥ 2, even; base > 1; factor > 0.
RopeAttributes MakeRope(int head_dim, int rotated, bool interleaved, double base, const RopeScaling& scaling,
                        absl::Span<const float> divisors = {});

}  // namespace spotinference

#endif  // ENGINE_MODEL_ROPE_H_
