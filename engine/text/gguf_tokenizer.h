// Makes the tokenizer that a GGUF file describes.
#ifndef ENGINE_TEXT_GGUF_TOKENIZER_H_
#define ENGINE_TEXT_GGUF_TOKENIZER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/model/gguf.h"
#include "engine/text/tokenizer.h"

namespace spotinference {

// Does not need `file` once it has returned. INVALID_ARGUMENT: the file says nothing of a
// tokenizer, its kind is one that we do not know, or its vocabulary makes no sense.
absl::StatusOr<std::unique_ptr<const Tokenizer>> ReadTokenizer(const GgufFile& file);

}  // namespace spotinference

#endif  // ENGINE_TEXT_GGUF_TOKENIZER_H_
