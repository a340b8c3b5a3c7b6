#include "engine/model/model_config.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/model/rope.h"

namespace spotinference {
namespace {

// Far above any real model, and low enough that no product of two of them, times four bytes, leaves
// an int64_t.
constexpr int64_t kMaxLayers = 1 << 10;
constexpr int64_t kMaxHeads = 1 << 10;
constexpr int64_t kMaxHeadDim = 1 << 10;
constexpr int64_t kMaxWidth = 1 << 17;
constexpr int64_t kMaxFeedForward = 1 << 20;
constexpr int64_t kMaxVocabulary = 1 << 22;
constexpr int64_t kMaxContext = 1 << 24;
constexpr double kMaxFactor = 1e6;  // of scalings
constexpr double kMinRopeBase = 1.001, kMaxRopeBase = 1e12;

// Reads keys that begin with "<architecture>.".
class ArchitectureKeys {
 public:
  ArchitectureKeys(const Checkpoint& checkpoint, absl::string_view architecture)
      : checkpoint_(checkpoint), prefix_(architecture) {}

  std::string Name(absl::string_view key) const { return absl::StrCat(prefix_, ".", key); }
  std::string Shown(absl::string_view key) const { return checkpoint_.KeyName(Name(key)); }
  bool Has(absl::string_view key) const { return checkpoint_.Has(Name(key)); }

  absl::StatusOr<int> Integer(absl::string_view key, int64_t minimum, int64_t maximum) const {
    ASSIGN_OR_RETURN(const int64_t value, checkpoint_.Integer(Name(key), minimum, maximum));
    return static_cast<int>(value);
  }
  absl::StatusOr<int> IntegerOr(absl::string_view key, int64_t minimum, int64_t maximum,
                                int fallback) const {
    if (!Has(key)) return fallback;
    return Integer(key, minimum, maximum);
  }
  absl::StatusOr<float> FloatOr(absl::string_view key, double minimum, double maximum,
                                float fallback) const {
    if (!Has(key)) return fallback;
    return Float(key, minimum, maximum);
  }
  absl::StatusOr<float> Float(absl::string_view key, double minimum, double maximum) const {
    ASSIGN_OR_RETURN(const double value, checkpoint_.Float(Name(key)));
    if (value >= minimum && value <= maximum) return static_cast<float>(value);  // false for a NaN
    return absl::InvalidArgumentError(absl::StrCat(
        "key '", Shown(key), "': ", value, " is outside of [", minimum, ", ", maximum, "]"));
  }

  template <typename... Parts>
  absl::Status Error(absl::string_view key, const Parts&... parts) const {
    return absl::InvalidArgumentError(absl::StrCat("key '", Shown(key), "': ", parts...));
  }

 private:
  const Checkpoint& checkpoint_;
  const absl::string_view prefix_;
};

// What a file of a known architecture may still ask for that we lack. Serving it all the same would
// give wrong text.
absl::Status RefuseUnknownVariants(const ArchitectureKeys& keys) {
  const auto unsupported = [&keys](absl::string_view key, const auto& value,
                                   absl::string_view supported) {
    return absl::UnimplementedError(
        absl::StrCat("key '", keys.Shown(key), "': ", value, " is not supported; ", supported));
  };
  ASSIGN_OR_RETURN(const int experts, keys.IntegerOr("expert_count", 0, 65535, 0));
  if (experts != 0) return unsupported("expert_count", experts, "only 0, no experts, is");
  for (const absl::string_view key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    ASSIGN_OR_RETURN(const float cap, keys.FloatOr(key, -kMaxFactor, kMaxFactor, 0));
    if (cap != 0) return unsupported(key, cap, "only 0, no capping, is");
  }
  ASSIGN_OR_RETURN(const float log_multiplier,
                   keys.FloatOr("rope.scaling.yarn_log_multiplier", -kMaxFactor, kMaxFactor, 0));
  if (log_multiplier != 0) {
    return unsupported("rope.scaling.yarn_log_multiplier", log_multiplier, "only 0 is");
  }
  return absl::OkStatus();
}

// What GGUF files and, under the same names, other sources say. 'llama3' and its two factors are no
// GGUF file's: those have the divisors of the frequencies as the tensor rope_freqs.weight.
absl::StatusOr<RopeScaling> ReadRopeScaling(const Checkpoint& checkpoint, const ArchitectureKeys& keys,
                                            int context_tokens) {
  RopeScaling scaling;
  // 0 says no scaling. The other name is of files of 2023.
  ASSIGN_OR_RETURN(const float old_factor, keys.FloatOr("rope.scale_linear", 0, kMaxFactor, 1));
  ASSIGN_OR_RETURN(const float factor,
                   keys.FloatOr("rope.scaling.factor", 0, kMaxFactor, old_factor));
  scaling.factor = factor == 0 ? 1 : factor;
  absl::string_view type = scaling.factor == 1 ? "none" : "linear";
  if (keys.Has("rope.scaling.type")) {
    ASSIGN_OR_RETURN(type, checkpoint.String(keys.Name("rope.scaling.type")));
  }
  if (type == "none" || type == "longrope") {  // the latter by divisors alone
    scaling.kind = RopeScalingKind::kNone;
  } else if (type == "linear") {
    scaling.kind = RopeScalingKind::kLinear;
  } else if (type == "yarn") {
    scaling.kind = RopeScalingKind::kYarn;
  } else if (type == "llama3") {
    scaling.kind = RopeScalingKind::kLlama3;
  } else {
    return absl::UnimplementedError(absl::StrCat(
        "key '", keys.Shown("rope.scaling.type"), "': '", absl::CHexEscape(type.substr(0, 80)),
        "' is not supported; none, linear, yarn, llama3 and longrope are"));
  }
  ASSIGN_OR_RETURN(scaling.original_context_tokens,
                   keys.IntegerOr("rope.scaling.original_context_length", 1, kMaxContext,
                                  context_tokens));
  for (const absl::string_view key : {"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"}) {
    ASSIGN_OR_RETURN(const float attention_factor, keys.FloatOr(key, 1e-3, kMaxFactor, 1));
    scaling.attention_factor *= attention_factor;
  }
  ASSIGN_OR_RETURN(scaling.beta_fast,
                   keys.FloatOr("rope.scaling.yarn_beta_fast", 1e-3, kMaxFactor, 32));
  ASSIGN_OR_RETURN(scaling.beta_slow,
                   keys.FloatOr("rope.scaling.yarn_beta_slow", 1e-3, kMaxFactor, 1));
  ASSIGN_OR_RETURN(scaling.low_frequency_factor,
                   keys.FloatOr("rope.scaling.low_freq_factor", 1e-3, kMaxFactor, 1));
  ASSIGN_OR_RETURN(scaling.high_frequency_factor,
                   keys.FloatOr("rope.scaling.high_freq_factor", 1e-3, kMaxFactor, 4));
  if (scaling.high_frequency_factor <= scaling.low_frequency_factor) {
    return keys.Error("rope.scaling.high_freq_factor", scaling.high_frequency_factor,
                      " is not above low_freq_factor, ", scaling.low_frequency_factor);
  }
  return scaling;
}

absl::StatusOr<std::vector<float>> ReadRopeDivisors(const Checkpoint& checkpoint, absl::string_view name,
                                                    int rotated) {
  const TensorView* const tensor = checkpoint.FindTensor(name);
  const std::string shown = checkpoint.TensorName(name);
  if (tensor == nullptr) return absl::NotFoundError(absl::StrCat("tensor '", shown, "' is missing"));
  const auto bad = [&](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", shown, "': ", what...));
  };
  if (tensor->rows != 1 || tensor->columns != rotated / 2) {
    return bad(tensor->rows, " rows of ", tensor->columns, " elements; 1 row of ", rotated / 2,
               " is expected");
  }
  std::vector<float> divisors(rotated / 2);
  DequantizeRow(*tensor, 0, absl::MakeSpan(divisors));
  for (const float divisor : divisors) {
    if (!(divisor > 0 && divisor <= kMaxFactor)) {
      return bad("element ", divisor, " is outside of (0, ", kMaxFactor, "]");
    }
  }
  return divisors;
}

// Of LongRoPE's two sets the context that is served chooses, once for all sequences: by its own length, a sequence
// that grows past the original context would find keys in its cache that were rotated by the other set.
absl::StatusOr<std::vector<float>> ReadRopeDivisors(const Checkpoint& checkpoint, const ArchitectureKeys& keys,
                                                    int rotated, int served_tokens) {
  bool long_rope = checkpoint.FindTensor(kLongRopeDivisors) != nullptr ||
                   checkpoint.FindTensor(kShortRopeDivisors) != nullptr;
  if (keys.Has("rope.scaling.type")) {
    ASSIGN_OR_RETURN(const absl::string_view type, checkpoint.String(keys.Name("rope.scaling.type")));
    long_rope |= type == "longrope";
  }
  const bool simple = checkpoint.FindTensor(kRopeDivisors) != nullptr;
  if (long_rope && simple) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", checkpoint.TensorName(kRopeDivisors), "' stands beside those of LongRoPE"));
  }
  if (long_rope) {
    ASSIGN_OR_RETURN(const int original,
                     keys.Integer("rope.scaling.original_context_length", 1, kMaxContext));
    ASSIGN_OR_RETURN(const std::vector<float> of_short, ReadRopeDivisors(checkpoint, kShortRopeDivisors, rotated));
    ASSIGN_OR_RETURN(const std::vector<float> of_long, ReadRopeDivisors(checkpoint, kLongRopeDivisors, rotated));
    return served_tokens > original ? of_long : of_short;
  }
  if (!simple) return std::vector<float>();
  return ReadRopeDivisors(checkpoint, kRopeDivisors, rotated);
}

// Rotations and windows, of the layers with a window and of the others.
absl::Status ReadPositions(const Checkpoint& checkpoint, const ArchitectureKeys& keys, int served_tokens,
                           ModelConfig& config) {
  const Family& family = *config.family;
  const int head_dim = config.attention.head_dim;
  ASSIGN_OR_RETURN(const int rotated, keys.IntegerOr("rope.dimension_count", 2, head_dim, head_dim));
  if (rotated % 2 != 0) return keys.Error("rope.dimension_count", rotated, " is odd");
  ASSIGN_OR_RETURN(const float base, keys.FloatOr("rope.freq_base", kMinRopeBase, kMaxRopeBase, 10000));
  ASSIGN_OR_RETURN(const RopeScaling scaling, ReadRopeScaling(checkpoint, keys, config.context_tokens));
  ASSIGN_OR_RETURN(const std::vector<float> divisors, ReadRopeDivisors(checkpoint, keys, rotated, served_tokens));
  const bool interleaved = family.interleaved_rope && checkpoint.gguf_row_order();
  config.rope = MakeRope(head_dim, rotated, interleaved, base, scaling, divisors);

  if (family.window_pattern > 0 && !keys.Has("attention.sliding_window")) {
    return absl::NotFoundError(
        absl::StrCat("key '", keys.Shown("attention.sliding_window"), "' is missing"));
  }
  ASSIGN_OR_RETURN(config.window, keys.IntegerOr("attention.sliding_window", 0, kMaxContext, 0));
  ASSIGN_OR_RETURN(config.window_pattern,
                   keys.IntegerOr("attention.sliding_window_pattern", 0, kMaxLayers,
                                  family.window_pattern));
  if (family.window_rope_base > 0) {
    ASSIGN_OR_RETURN(const float window_base, keys.FloatOr("rope.freq_base_swa", kMinRopeBase, kMaxRopeBase,
                                                           family.window_rope_base));
    config.window_rope = MakeRope(head_dim, rotated, interleaved, window_base, {});
  }
  return absl::OkStatus();
}

absl::Status ReadAttention(const ArchitectureKeys& keys, ModelConfig& config) {
  AttentionAttributes& attention = config.attention;
  ASSIGN_OR_RETURN(attention.heads, keys.Integer("attention.head_count", 1, kMaxHeads));
  ASSIGN_OR_RETURN(attention.kv_heads,
                   keys.IntegerOr("attention.head_count_kv", 1, attention.heads, attention.heads));
  if (attention.heads % attention.kv_heads != 0) {
    return keys.Error("attention.head_count_kv", attention.kv_heads, " does not divide ",
                      attention.heads, " heads");
  }
  if (!keys.Has("attention.key_length") && config.width % attention.heads != 0) {
    return keys.Error("attention.head_count", attention.heads, " does not divide the width, ",
                      config.width);
  }
  ASSIGN_OR_RETURN(attention.head_dim, keys.IntegerOr("attention.key_length", 2, kMaxHeadDim,
                                                      config.width / attention.heads));
  if (attention.head_dim < 2 || attention.head_dim > kMaxHeadDim || attention.head_dim % 2 != 0) {
    return keys.Error("attention.head_count", attention.heads, " heads of ", attention.head_dim,
                      " elements; an even number up to ", kMaxHeadDim, " is allowed");
  }
  ASSIGN_OR_RETURN(const int value_length,
                   keys.IntegerOr("attention.value_length", 1, kMaxHeadDim, attention.head_dim));
  if (value_length != attention.head_dim) {
    return keys.Error("attention.value_length", value_length, " is not the length of a key, ",
                      attention.head_dim);
  }
  const bool by_width = config.layers == config.family->scale_by_width_layers;
  const int scaled_by = by_width ? config.width / attention.heads : attention.head_dim;
  ASSIGN_OR_RETURN(attention.scale, keys.FloatOr("attention.scale", 1e-6, 1e6,
                                                 static_cast<float>(1 / std::sqrt(double(scaled_by)))));
  return absl::OkStatus();
}

}  // namespace

bool ModelConfig::HasWindow(int layer) const {
  return window > 0 && (window_pattern == 0 || (layer + 1) % window_pattern != 0);
}

AttentionAttributes ModelConfig::LayerAttention(int layer) const {
  AttentionAttributes of_layer = attention;
  if (HasWindow(layer)) of_layer.window = window;
  return of_layer;
}

int ModelConfig::NormWidth(Slot slot) const {
  return slot == Slot::kQuery || slot == Slot::kKey ? attention.head_dim : SlotWidth(slot);
}

int ModelConfig::SlotWidth(Slot slot) const {
  switch (slot) {
    case Slot::kNone:
      return 0;
    case Slot::kResidual:
    case Slot::kBranch:
      return width;
    case Slot::kQuery:
    case Slot::kAttended:
      return attention.heads * attention.head_dim;
    case Slot::kKey:
    case Slot::kValue:
      return attention.kv_heads * attention.head_dim;
    case Slot::kGate:
    case Slot::kUp:
      return feed_forward;
  }
  return 0;
}

absl::StatusOr<ModelConfig> ReadModelConfig(const Checkpoint& checkpoint, int served_tokens) {
  ModelConfig config;
  ASSIGN_OR_RETURN(const absl::string_view architecture, checkpoint.String("general.architecture"));
  ASSIGN_OR_RETURN(config.family, FindFamily(architecture));
  const ArchitectureKeys keys(checkpoint, config.family->architecture);
  ASSIGN_OR_RETURN(config.context_tokens, keys.Integer("context_length", 1, kMaxContext));
  RETURN_IF_ERROR(RefuseUnknownVariants(keys));
  ASSIGN_OR_RETURN(config.layers, keys.Integer("block_count", 1, kMaxLayers));
  ASSIGN_OR_RETURN(config.width, keys.Integer("embedding_length", 1, kMaxWidth));
  ASSIGN_OR_RETURN(config.feed_forward, keys.Integer("feed_forward_length", 1, kMaxFeedForward));
  ASSIGN_OR_RETURN(config.norm_epsilon, keys.Float("attention.layer_norm_rms_epsilon", 1e-12, 0.1));
  if (config.family->scaled_embedding) config.embedding_scale = std::sqrt(static_cast<float>(config.width));
  RETURN_IF_ERROR(ReadAttention(keys, config));
  if (served_tokens == 0) served_tokens = config.context_tokens;
  RETURN_IF_ERROR(ReadPositions(checkpoint, keys, served_tokens, config));

  const TensorView* const embedding = checkpoint.FindTensor("token_embd.weight");
  const std::string embedding_name = checkpoint.TensorName("token_embd.weight");
  if (embedding == nullptr) return absl::NotFoundError(absl::StrCat("tensor '", embedding_name, "' is missing"));
  if (embedding->rows > kMaxVocabulary) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", embedding_name, "': a vocabulary of ",
                                                   embedding->rows, "; at most ", kMaxVocabulary,
                                                   " is allowed"));
  }
  config.vocabulary = static_cast<int>(embedding->rows);
  ASSIGN_OR_RETURN(const int vocabulary,
                   keys.IntegerOr("vocab_size", 1, kMaxVocabulary, config.vocabulary));
  if (vocabulary != config.vocabulary) {
    return keys.Error("vocab_size", vocabulary, ", but tensor '", embedding_name, "' has ",
                      config.vocabulary, " rows");
  }
  config.tied_output = checkpoint.FindTensor("output.weight") == nullptr;
  return config;
}

}  // namespace spotinference
