// From a model file to a running engine; what every main that runs a model does.
#ifndef ENGINE_SERVER_BOOT_H_
#define ENGINE_SERVER_BOOT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/device/device.h"
#include "engine/model/checkpoint.h"
#include "engine/model/model.h"
#include "engine/server/constraints.h"
#include "engine/server/model_engine.h"
#include "engine/volume/kv_store.h"
#include "engine/volume/volume.h"
#include "engine/volume/volume_cache.h"

namespace spotinference {

// A step's tokens share one read of the weights; past some 128 rows a matmul is bound by arithmetic on every machine we
// know (2 cores: 512 tokens in steps of 128 take no longer than in steps of 256), and a longer step only makes the
// streams beside it wait longer and takes more memory for activations.
inline constexpr int kStepTokens = 128;
inline constexpr int kMaxSequences = 64;
inline constexpr int kDraftTokens = 3;  // with the id they follow, the four rows that share one pass over a weight
inline constexpr int64_t kKvMemoryBytes = int64_t{1} << 30;

struct BootOptions {
  std::string model;             // a path, or another source that engine/base/weights_source.h takes, to a volume
  // ModelHash, known already, and proved at the first boot on a volume; without one it is believed. "": it is computed,
  // some 0.1 s a 100 MB.
  std::string model_hash;
  std::string head_hash;         // SHA-256 of a GGUF file's head, as who renders prompts has read it; "": any
  std::string volume;            // folder that outlives the machine (engine/volume); "": nothing is kept
  uint64_t volume_bytes = 0;     // of cache and KV on it, and once more of other models' weights; 0: half of the disk
  std::string hub_url = "https://huggingface.co";
  std::string hub_token;         // goes to the hub alone
  absl::Duration kv_time_to_live = KvStore::kTimeToLive;  // of KV on the volume
  std::string backend = "auto";
  int threads = 0;               // 0: all that the process may use
  int context_tokens = 0;        // 0: the model's
  int step_tokens = 0;           // 0: kStepTokens
  int max_sequences = 0;         // 0: kMaxSequences
  int draft_tokens = kDraftTokens;  // guesses verified in a step; 0: none. They change speed, and no id.
  int64_t kv_memory_bytes = 0;   // 0: a quarter of the memory, at most kKvMemoryBytes, at least one full context
  std::function<void(const absl::Status&)> on_fatal;
  std::function<void(uint64_t done, uint64_t total)> on_download;  // of bytes, now and then, and once all are there
};

// Everything of a model being served, in the order of dependence.
struct BootedEngine {
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Volume> volume;      // null without one
  std::unique_ptr<VolumeCache> cache;  // the same
  std::unique_ptr<Device> device;
  std::unique_ptr<Model> model;
  std::unique_ptr<KvStore> kv_store;  // null without a volume
  std::unique_ptr<Program> program;
  std::unique_ptr<Constraints> constraints;
  std::unique_ptr<ModelEngine> engine;
};

// The backend that `name` asks for, or for "auto" the first that is usable and not to be passed over; logs which, and why
// not another. FAILED_PRECONDITION: it cannot be used here, and why. INVALID_ARGUMENT: there is none of that name.
absl::StatusOr<const Backend*> ChooseBackend(absl::Span<const Backend> backends, const std::string& name);

// INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, FAILED_PRECONDITION: the model or an option can never work. UNAVAILABLE: another engine has
// the volume. Other errors may pass.
absl::StatusOr<BootedEngine> Boot(const BootOptions& options, absl::Span<const Backend> backends);

}  // namespace spotinference

#endif  // ENGINE_SERVER_BOOT_H_
