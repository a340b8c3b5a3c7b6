// Text to token ids and back. Const and safe to share between threads once loaded.
#ifndef ENGINE_TEXT_TOKENIZER_H_
#define ENGINE_TEXT_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "engine/text/byte_range.h"

namespace spotinference {

struct EncodeOptions {
  // Whether the text of a control token, such as "<|im_end|>", means that token. Without it such
  // text is read letter by letter, so that nobody can end a turn from within a message.
  bool parse_special = false;
  // With parse_special: parts of the text that came from outside, in ascending order and disjoint.
  // A control token that touches one of them is read letter by letter. Nothing else changes: words
  // may cross the borders.
  absl::Span<const ByteRange> from_input = {};
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Takes any bytes, also such that are not UTF-8. Adds nothing of its own, such as a BOS token.
  virtual std::vector<uint32_t> Encode(std::string_view text,
                                       const EncodeOptions& options) const = 0;

  // The bytes that a token stands for, which need not be whole characters; of a control token its
  // text. Empty for an id outside the vocabulary. Valid as long as the tokenizer.
  virtual std::string_view Piece(uint32_t id) const = 0;

  // The opposite of Piece.
  virtual std::optional<uint32_t> Find(std::string_view piece) const = 0;

  // A control token: steers the model and is never shown.
  virtual bool IsSpecial(uint32_t id) const = 0;

  virtual uint32_t vocabulary_size() const = 0;

  // Whether Encode puts a space before a text (SentencePiece's "dummy prefix"), so that a word has
  // the same tokens there as inside the text. The decoded text has it to be taken away again.
  virtual bool adds_space() const = 0;
};

// A tokenizer and what its file says of the ends of a text.
struct ModelTokenizer {
  std::unique_ptr<const Tokenizer> tokenizer;
  std::optional<uint32_t> bos, eos;
  bool add_bos = false;  // every prompt begins with `bos`, which then is there
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_TOKENIZER_H_
