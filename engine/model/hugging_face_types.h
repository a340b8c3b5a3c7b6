// The model types of Hugging Face's folders as data: which family of ours one is, and what its files call things. A new
// one is an entry in the table of hugging_face_types.cc and a case of hugging_face_test.
#ifndef ENGINE_MODEL_HUGGING_FACE_TYPES_H_
#define ENGINE_MODEL_HUGGING_FACE_TYPES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace spotinference {

// One thing by both names.
struct NamePair {
  absl::string_view hugging_face, gguf;
};

struct DefaultNumber {
  absl::string_view key;  // config.json's
  double value;
};

struct HuggingFaceType {
  absl::string_view model_type;    // config.json's
  absl::string_view architecture;  // Family::architecture
  absl::string_view activation = "silu";
  // "self_attn.q_proj", "attn_q": model.layers.<n>.self_attn.q_proj.weight is blk.<n>.attn_q.weight.
  absl::Span<const NamePair> layer_names;
  bool tied_output = false;    // where config.json has no tie_word_embeddings
  bool norms_less_one = false;  // norms are kept as the difference from 1
  absl::Span<const DefaultNumber> defaults = {};  // what config.json may leave out
};

// UNIMPLEMENTED: there is none, or no family for it; the message lists those that exist.
absl::StatusOr<const HuggingFaceType*> FindHuggingFaceType(absl::string_view model_type);

// The GGUF name of a tensor, or "" for one that no family has.
std::string GgufTensorName(const HuggingFaceType& type, absl::string_view hugging_face_name);
// The other way; a name that is not in the table stays as it is.
std::string HuggingFaceTensorName(const HuggingFaceType& type, absl::string_view gguf_name);

// Keys of config.json that are GGUF's under another name: "num_hidden_layers", "block_count". A name of theirs may occur
// twice.
absl::Span<const NamePair> ConfigKeys();

}  // namespace spotinference

#endif  // ENGINE_MODEL_HUGGING_FACE_TYPES_H_
