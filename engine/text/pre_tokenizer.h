// Cuts text into words, within which byte-pair merges happen. The kinds with a name are
// rows of a table, named as in GGUF's `tokenizer.ggml.pre`.
#ifndef ENGINE_TEXT_PRE_TOKENIZER_H_
#define ENGINE_TEXT_PRE_TOKENIZER_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace spotinference {

struct PreTokenizer {
  enum class Pattern {
    // GPT-2's (Radford et al. 2019, encoder.py):
    //   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
    kGpt2,
    // Llama 3's, with n = max_digits:
    //   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,n}|
    //   ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
    kLlama3,
    kWhole,        // the text is one word
    kSpaceRuns,    // a word is a run of spaces and what follows up to the next space
    kEachSpace,    // the same, but each space but the last of a run is a word of its own
  };
  std::string_view name;
  Pattern pattern;
  // kGpt2: first each number character is a word of its own, and the pattern sees only the
  // stretches between them.
  bool lone_numbers = false;
  int max_digits = 0;  // kLlama3
};

// INVALID_ARGUMENT for a name that the table lacks.
absl::StatusOr<PreTokenizer> FindPreTokenizer(std::string_view name);

// Steps of a tokenizer.json that cut text: regular expressions whose matches are words, or one of
// these.
inline constexpr std::string_view kDigitsCut = "digits";  // Digits: each number character alone
inline constexpr std::string_view kGpt2Cut = "gpt2";      // ByteLevel's own expression

// The kind that does what these steps do one after the other. INVALID_ARGUMENT: none does.
absl::StatusOr<PreTokenizer> FindPreTokenizerByCuts(absl::Span<const std::string> cuts);

// The length in bytes of the first word of `text`, which is not empty; at least 1. A byte that is
// not UTF-8 counts as a symbol. Linear in the bytes it returns, but for a look at the character
// after them.
size_t FirstWord(const PreTokenizer& pre_tokenizer, std::string_view text);

}  // namespace spotinference

#endif  // ENGINE_TEXT_PRE_TOKENIZER_H_
