// A Hugging Face folder: config.json, and the weights as model.safetensors, or as several files that
// model.safetensors.index.json lists. What belongs to the text (tokenizer.json and others) is engine/text's.
//
// Weights are read in place (safetensors.h), but for norms that are kept less 1: those are copied and completed.
#ifndef ENGINE_MODEL_HUGGING_FACE_H_
#define ENGINE_MODEL_HUGGING_FACE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"
#include "engine/model/hugging_face_config.h"
#include "engine/model/safetensors.h"

namespace spotinference {

class HuggingFaceCheckpoint : public Checkpoint {
 public:
  // NOT_FOUND: a file is missing, named. Also the errors of ParseHuggingFaceConfig, SafetensorsFile::Open,
  // ParseSafetensorsIndex and Create.
  static absl::StatusOr<std::unique_ptr<HuggingFaceCheckpoint>> Open(const std::string& folder);

  // INVALID_ARGUMENT: two tensors are the same one. NOT_FOUND: there is no lm_head.weight, and config.json does not tie
  // it to the embeddings.
  static absl::StatusOr<std::unique_ptr<HuggingFaceCheckpoint>> Create(
      HuggingFaceConfig config, std::vector<std::unique_ptr<SafetensorsFile>> files);

  bool Has(absl::string_view key) const override { return config_.values.contains(key); }
  absl::StatusOr<absl::string_view> String(absl::string_view key) const override;
  absl::StatusOr<int64_t> Integer(absl::string_view key, int64_t minimum, int64_t maximum) const override;
  absl::StatusOr<double> Float(absl::string_view key) const override;
  std::string KeyName(absl::string_view key) const override;

  absl::Span<const TensorView> tensors() const override { return tensors_; }
  const TensorView* FindTensor(absl::string_view name) const override;
  std::string TensorName(absl::string_view name) const override { return HuggingFaceTensorName(*config_.type, name); }
  bool gguf_row_order() const override { return false; }
  std::vector<File> files() const override;
  void ReleasePages(absl::Span<const std::byte> data) const override;

 private:
  HuggingFaceCheckpoint(HuggingFaceConfig config, std::vector<std::unique_ptr<SafetensorsFile>> files)
      : config_(std::move(config)), files_(std::move(files)) {}

  absl::Status TakeTensor(const TensorView& tensor);
  absl::StatusOr<const HuggingFaceConfig::Value*> Find(absl::string_view key) const;

  const HuggingFaceConfig config_;
  const std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<std::vector<float>> norms_;  // completed
  std::vector<TensorView> tensors_;
  absl::flat_hash_map<std::string, size_t> tensor_index_;  // by GGUF name
};

}  // namespace spotinference

#endif  // ENGINE_MODEL_HUGGING_FACE_H_
