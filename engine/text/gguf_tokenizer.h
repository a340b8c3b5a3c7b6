// Makes the tokenizer that a GGUF file describes.
#ifndef ENGINE_TEXT_GGUF_TOKENIZER_H_
#define ENGINE_TEXT_GGUF_TOKENIZER_H_

#include "absl/status/statusor.h"
#include "engine/model/gguf.h"
#include "engine/text/tokenizer.h"

namespace spotinference {

// Of `tokenizer.ggml.model`, "gpt2" (byte-level BPE), "llama" (SentencePiece's BPE by scores) and
// "t5" (SentencePiece's unigram). Does not need `file` once it has returned. INVALID_ARGUMENT: the
// file says nothing of a tokenizer, its kind is one that we do not know, or its vocabulary makes no
// sense; the message names the key.
absl::StatusOr<ModelTokenizer> ReadTokenizer(const GgufFile& file);

}  // namespace spotinference

#endif  // ENGINE_TEXT_GGUF_TOKENIZER_H_
