// Any bytes at all as config.json of a Hugging Face folder, which then is read as a model's configuration.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/hugging_face.h"
#include "engine/model/model_config.h"

using spotinference::HuggingFaceCheckpoint;
using spotinference::SafetensorsFile;

namespace {

// Embeddings and output of four rows of two, so that a configuration is read to its end.
std::string Weights() {
  std::string header =
      R"({"model.embed_tokens.weight":{"dtype":"F32","shape":[4,2],"data_offsets":[0,32]},)"
      R"("lm_head.weight":{"dtype":"F32","shape":[4,2],"data_offsets":[32,64]}})";
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + header + std::string(64, '\0');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  absl::StatusOr<spotinference::HuggingFaceConfig> config = spotinference::ParseHuggingFaceConfig(text);
  if (!config.ok()) return 0;
  static const std::string weights = Weights();
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  files.push_back(*SafetensorsFile::Parse({reinterpret_cast<const std::byte*>(weights.data()), weights.size()}));
  const auto checkpoint = HuggingFaceCheckpoint::Create(*std::move(config), std::move(files));
  if (checkpoint.ok()) (void)ReadModelConfig(**checkpoint);
  return 0;
}
