// The tokens of a model by id and by text.
#ifndef ENGINE_TEXT_VOCABULARY_H_
#define ENGINE_TEXT_VOCABULARY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace spotinference {

// As GGUF's `tokenizer.ggml.token_type` counts them.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // steers the model, is never shown and never made of other tokens
  kUserDefined = 4,  // found in the text as a whole, before any merge, but shown
  kUnused = 5,
  kByte = 6,  // written <0x00> to <0xFF>: one byte of a character that has no token
};

// How a vocabulary writes the bytes of its tokens.
enum class Spelling {
  // In GPT-2's visible alphabet, one letter a byte: U+0120 (Ġ) for a space, and so on.
  kByteLevel,
  // As SentencePiece does: as it is, but with U+2581 (▁) for a space.
  kSentencePiece,
};

inline constexpr std::string_view kSpaceMark = "\u2581";

// Const and safe to share between threads once made.
class Vocabulary {
 public:
  static constexpr uint32_t kNone = 0xffffffff;

  // `types` has one for each token, or none: all are normal. Copies what it needs. INVALID_ARGUMENT
  // names the token that makes no sense. An empty token is a gap among the ids.
  static absl::StatusOr<Vocabulary> Create(absl::Span<const std::string_view> tokens,
                                           absl::Span<const TokenType> types, Spelling spelling);

  // The bytes that a token stands for; of control and user-defined tokens their text. Empty for an
  // id outside the vocabulary.
  std::string_view Piece(uint32_t id) const {
    if (id >= types_.size()) return {};
    return std::string_view(bytes_).substr(offsets_[id], offsets_[id + 1] - offsets_[id]);
  }

  // The token that words are made of with these bytes; of twins, the first. kNone: there is none.
  uint32_t Find(std::string_view piece) const;

  // The token of this byte alone: its kByte token in kSentencePiece. kNone: there is none.
  uint32_t FindByte(unsigned char byte) const { return byte_ids_[byte]; }

  TokenType type(uint32_t id) const { return types_[id]; }
  uint32_t size() const { return static_cast<uint32_t>(types_.size()); }
  Spelling spelling() const { return spelling_; }

 private:
  explicit Vocabulary(Spelling spelling) : spelling_(spelling) {}

  absl::Status Append(uint32_t id, std::string_view token);
  void Index();

  Spelling spelling_;
  std::string bytes_;              // all pieces, one after the other
  std::vector<uint32_t> offsets_;  // piece i is bytes_[offsets_[i] .. offsets_[i + 1])
  std::vector<TokenType> types_;
  std::vector<uint32_t> slots_;  // open addressing: ids by the hash of their bytes
  std::vector<uint32_t> byte_ids_ = std::vector<uint32_t>(256, kNone);
};

// Makes kByte of the kNormal tokens of kSentencePiece that are written as one.
void MarkByteTokens(absl::Span<const std::string_view> tokens, std::vector<TokenType>& types);

// Appends the bytes that `text` spells; false if it has a letter that is not of the alphabet.
bool AppendSpelled(std::string_view text, Spelling spelling, std::string& out);

}  // namespace spotinference

#endif  // ENGINE_TEXT_VOCABULARY_H_
