#include "engine/model/model_config.h"

#include <cmath>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

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
absl::Status RefuseUnknownVariants(const Checkpoint& checkpoint, const ArchitectureKeys& keys,
                                   int context_tokens) {
  const auto unsupported = [&keys](absl::string_view key, const auto& value,
                                   absl::string_view supported) {
    return absl::UnimplementedError(
        absl::StrCat("key '", keys.Shown(key), "': ", value, " is not supported; ", supported));
  };
  if (keys.Has("rope.scaling.type")) {
    ASSIGN_OR_RETURN(const absl::string_view type, checkpoint.String(keys.Name("rope.scaling.type")));
    if (type != "none") {
      return unsupported("rope.scaling.type",
                         absl::StrCat("'", absl::CHexEscape(type.substr(0, 80)), "'"),
                         "only 'none' is");
    }
  }
  for (const absl::string_view key : {"rope.scaling.factor", "rope.scale_linear"}) {
    ASSIGN_OR_RETURN(const float factor, keys.FloatOr(key, 0, 1e6, 1));
    if (factor != 1 && factor != 0) return unsupported(key, factor, "only 1, no scaling, is");
  }
  ASSIGN_OR_RETURN(const int experts, keys.IntegerOr("expert_count", 0, 65535, 0));
  if (experts != 0) return unsupported("expert_count", experts, "only 0, no experts, is");
  ASSIGN_OR_RETURN(const int window, keys.IntegerOr("attention.sliding_window", 0, kMaxContext, 0));
  if (window != 0 && window < context_tokens) {
    return unsupported("attention.sliding_window", window, "only a window of the whole context is");
  }
  return absl::OkStatus();
}

absl::Status ReadAttention(const ArchitectureKeys& keys, bool gguf_row_order, ModelConfig& config) {
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
  attention.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(attention.head_dim)));

  RopeAttributes& rope = config.rope;
  rope.head_dim = attention.head_dim;
  rope.interleaved = config.family->interleaved_rope && gguf_row_order;
  ASSIGN_OR_RETURN(rope.rotated, keys.IntegerOr("rope.dimension_count", 2, attention.head_dim,
                                                attention.head_dim));
  if (rope.rotated % 2 != 0) return keys.Error("rope.dimension_count", rope.rotated, " is odd");
  ASSIGN_OR_RETURN(rope.base, keys.FloatOr("rope.freq_base", 1, 1e12, 10000));
  return absl::OkStatus();
}

}  // namespace

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

absl::StatusOr<ModelConfig> ReadModelConfig(const Checkpoint& checkpoint) {
  ModelConfig config;
  ASSIGN_OR_RETURN(const absl::string_view architecture, checkpoint.String("general.architecture"));
  ASSIGN_OR_RETURN(config.family, FindFamily(architecture));
  const ArchitectureKeys keys(checkpoint, config.family->architecture);
  ASSIGN_OR_RETURN(config.context_tokens, keys.Integer("context_length", 1, kMaxContext));
  RETURN_IF_ERROR(RefuseUnknownVariants(checkpoint, keys, config.context_tokens));
  ASSIGN_OR_RETURN(config.layers, keys.Integer("block_count", 1, kMaxLayers));
  ASSIGN_OR_RETURN(config.width, keys.Integer("embedding_length", 1, kMaxWidth));
  ASSIGN_OR_RETURN(config.feed_forward, keys.Integer("feed_forward_length", 1, kMaxFeedForward));
  ASSIGN_OR_RETURN(config.norm_epsilon, keys.Float("attention.layer_norm_rms_epsilon", 1e-12, 0.1));
  RETURN_IF_ERROR(ReadAttention(keys, checkpoint.gguf_row_order(), config));

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
