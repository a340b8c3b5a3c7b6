// The models that the gateway offers, as its handlers see them. Made once at start.
#ifndef GATEWAY_HANDLERS_SERVED_MODEL_H_
#define GATEWAY_HANDLERS_SERVED_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/text/model_text.h"

namespace spotinference {

struct ServedModel {
  std::string name;
  std::shared_ptr<const ModelText> text;
  uint32_t context_tokens = 0;
  int64_t created = 0;            // Unix seconds of the weights file
  bool share_prefixes_all = false;  // prefix blocks are shared between keys
};

// Immutable, thread-safe.
class ServedModels {
 public:
  explicit ServedModels(std::vector<ServedModel> models) : models_(std::move(models)) {}

  // Null where there is none.
  const ServedModel* Find(absl::string_view name) const {
    for (const ServedModel& model : models_) {
      if (model.name == name) return &model;
    }
    return nullptr;
  }
  const std::vector<ServedModel>& all() const { return models_; }

 private:
  const std::vector<ServedModel> models_;
};

}  // namespace spotinference

#endif  // GATEWAY_HANDLERS_SERVED_MODEL_H_
