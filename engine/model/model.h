// A model on a device: its weights, its KV cache, and one forward pass over them as a Graph.
//
// Thread-compatible, used by the engine's thread. The Device and the Checkpoint must outlive it.
#ifndef ENGINE_MODEL_MODEL_H_
#define ENGINE_MODEL_MODEL_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/device/device.h"
#include "engine/device/graph.h"
#include "engine/model/checkpoint.h"
#include "engine/model/model_config.h"

namespace spotinference {

class Model {
 public:
  // INVALID_ARGUMENT, NOT_FOUND: the file is wrong, with key or tensor, value and limit.
  // UNIMPLEMENTED: the file needs what we lack, named; a tensor that the family does not read
  // counts as such. RESOURCE_EXHAUSTED: from the device. served_tokens as in ReadModelConfig. `cache` of the device and
  // this checkpoint, null: none.
  static absl::StatusOr<std::unique_ptr<Model>> Load(const Checkpoint& checkpoint, Device& device,
                                                     int served_tokens = 0, CompileCache* cache = nullptr);

  const ModelConfig& config() const { return config_; }
  size_t weight_bytes() const { return weight_bytes_; }  // on the device

  // What a KV cache of one block takes on the device, all layers together.
  absl::StatusOr<size_t> KvBlockBytes() const;

  // Gives every layer a cache of `blocks` blocks, in place of any earlier one. Programs of earlier
  // graphs must be gone.
  absl::Status AllocateKv(int blocks);

  // Copies a block of all layers, KvBlockBytes() long, out of the cache or into it. Threads as Device::ReadKv has them.
  absl::Status ReadKvBlock(int block, absl::Span<std::byte> to) const;
  absl::Status WriteKvBlock(int block, absl::Span<const std::byte> from);

  // One forward pass of at most `max_tokens` tokens, of which at most `max_outputs` ask for their
  // logits. The program's output is [output rows, vocabulary]. Call AllocateKv before. A graph
  // lives as long as the model and its cache.
  Graph ForwardGraph(int max_tokens, int max_outputs) const;

 private:
  Model(const ModelConfig& config, Device& device) : config_(config), device_(device) {}

  struct StepWeights {
    std::unique_ptr<Buffer> weight, bias;  // null where the step has none
  };
  class WeightLoader;

  absl::Status LoadWeights(const Checkpoint& checkpoint, CompileCache* cache);
  absl::Status LoadLayer(WeightLoader& loader, int layer);
  Op StepOp(int layer, size_t step) const;  // without its tensors

  const ModelConfig config_;
  Device& device_;
  size_t weight_bytes_ = 0;
  std::unique_ptr<Buffer> embedding_, output_norm_, output_;  // no output_ where it is tied
  std::vector<std::vector<StepWeights>> layers_;  // [layer][step]
  std::vector<std::unique_ptr<Buffer>> kv_;       // [layer]
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_MODEL_H_
