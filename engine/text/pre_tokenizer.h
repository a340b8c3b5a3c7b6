// Cuts text into words, within which byte-pair merges happen. Each kind is a row of a table, named
// as in GGUF's `tokenizer.ggml.pre`.
#ifndef ENGINE_TEXT_PRE_TOKENIZER_H_
#define ENGINE_TEXT_PRE_TOKENIZER_H_

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"

namespace spotinference {

// All kinds end with the pattern of GPT-2 (Radford et al. 2019, encoder.py):
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
struct PreTokenizer {
  std::string_view name;
  // First each number character is a word of its own, and the pattern sees only the stretches
  // between them.
  bool lone_numbers;
};

// INVALID_ARGUMENT for a name that the table lacks.
absl::StatusOr<PreTokenizer> FindPreTokenizer(std::string_view name);

// The length in bytes of the first word of `text`, which is not empty; at least 1. A byte that is
// not UTF-8 counts as a symbol. Linear in the bytes it returns, but for a look at the character
// after them.
size_t FirstWord(const PreTokenizer& pre_tokenizer, std::string_view text);

}  // namespace spotinference

#endif  // ENGINE_TEXT_PRE_TOKENIZER_H_
