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
  AttentionAttributes attention;
  RopeAttributes rope;
  float norm_epsilon = 0;
  int vocabulary = 0;
  int context_tokens = 0;  // the longest sequence that the model was made for
  bool tied_output = false;

  int SlotWidth(Slot slot) const;
};

// INVALID_ARGUMENT or NOT_FOUND: a key or a tensor, named, is missing or out of its range.
// UNIMPLEMENTED: the file asks for something that its family does not do yet, named. Shapes of the
// layers' weights are checked by Model::Load.
absl::StatusOr<ModelConfig> ReadModelConfig(const Checkpoint& checkpoint);

}  // namespace spotinference

#endif  // ENGINE_MODEL_MODEL_CONFIG_H_
