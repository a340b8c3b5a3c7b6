// The sizes and constants of a model, read from a checkpoint and checked.
#ifndef ENGINE_MODEL_MODEL_CONFIG_H_
#define ENGINE_MODEL_MODEL_CONFIG_H_

#include "absl/status/statusor.h"
#include "engine/device/graph.h"
#include "engine/model/checkpoint.h"
#include "engine/model/family.h"

namespace spotinference {

struct ModelConfig {
  const Family* family = nullptr;
  int layers = 0;
  int width = 0;         // of the residual stream
  int feed_forward = 0;  // width inside the feed-forward network
  float embedding_scale = 1;
  AttentionAttributes attention;  // of a layer that sees everything
  RopeAttributes rope;            // likewise
  int window = 0;                 // AttentionAttributes::window of the layers with one; 0: no layer has one
  int window_pattern = 0;         // every window_pattern-th layer has none; 0: all have one
  RopeAttributes window_rope;     // of the layers with a window, where HasWindowRope
  float norm_epsilon = 0;
  int vocabulary = 0;
  int context_tokens = 0;  // the longest sequence that the model was made for
  bool tied_output = false;

  bool HasWindow(int layer) const;
  bool HasWindowRope() const { return window > 0 && family->window_rope_base > 0; }
  AttentionAttributes LayerAttention(int layer) const;
  int SlotWidth(Slot slot) const;
  int NormWidth(Slot slot) const;  // queries and keys are normed head by head
};

// INVALID_ARGUMENT or NOT_FOUND: a key or a tensor, named, is missing or out of its range.
// UNIMPLEMENTED: the file asks for something that its family does not do yet, named. Shapes of the
// layers' weights are checked by Model::Load.
// served_tokens: the longest sequence that there will be, which chooses LongRoPE's divisors; 0: context_tokens.
absl::StatusOr<ModelConfig> ReadModelConfig(const Checkpoint& checkpoint, int served_tokens = 0);

}  // namespace spotinference

#endif  // ENGINE_MODEL_MODEL_CONFIG_H_
