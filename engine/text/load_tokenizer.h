// For tests and benchmarks: a tokenizer from whatever file holds one.
#ifndef ENGINE_TEXT_LOAD_TOKENIZER_H_
#define ENGINE_TEXT_LOAD_TOKENIZER_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer.h"

namespace spotinference {

// `path`: a tokenizer.json (any name that ends in .json) or a GGUF file.
absl::StatusOr<ModelTokenizer> LoadTokenizer(const std::string& path);

}  // namespace spotinference

#endif  // ENGINE_TEXT_LOAD_TOKENIZER_H_
