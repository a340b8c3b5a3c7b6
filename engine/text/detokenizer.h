// Token ids to text, one id at a time, never giving out half a character.
#ifndef ENGINE_TEXT_DETOKENIZER_H_
#define ENGINE_TEXT_DETOKENIZER_H_

#include <cstdint>
#include <string>

#include "engine/text/tokenizer.h"

namespace spotinference {

// The texts of all calls together are the pieces of all ids together, decoded as Python's
// errors="replace" does: bytes that are no UTF-8 become U+FFFD. Control tokens give no text. What
// it holds depends on the ids alone, so that one fed the same ids again goes on where another one
// stopped. For one sequence and one thread.
//
// This differs from the `tokenizers` and `sentencepiece` packages in one point: of byte tokens that
// are no UTF-8 they make a U+FFFD for each byte.
class Detokenizer {
 public:
  // What the ids are the tokens of.
  enum class Text {
    kWhole,   // a text of its own: the space that the tokenizer puts before one is left out
    kGoesOn,  // what follows on other text: all spaces are its own
  };

  // `tokenizer` outlives this.
  explicit Detokenizer(const Tokenizer& tokenizer, Text text = Text::kWhole)
      : tokenizer_(tokenizer), drops_space_(text == Text::kWhole && tokenizer.adds_space()) {}

  // The text that `id` completes; empty if its last character needs more ids.
  std::string Feed(uint32_t id);

  // The rest after the last id: what is held back of a character becomes one U+FFFD.
  std::string Flush();

 private:
  const Tokenizer& tokenizer_;
  bool drops_space_;  // until the first byte has come
  std::string held_;  // the beginning of a character, at most 3 bytes
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_DETOKENIZER_H_
