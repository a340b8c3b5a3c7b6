#include "engine/text/vocabulary.h"

#include <array>
#include <bit>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/utf8.h"
#include "xxhash.h"

namespace spotinference {
namespace {

constexpr size_t kMaxVocabularyBytes = size_t{1} << 30;

// GPT-2's visible alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 and up,
// in order.
constexpr size_t kAlphabetSize = 0x144;
constexpr int16_t kNoByte = -1;

std::array<int16_t, kAlphabetSize> ByteOfLetter() {
  std::array<int16_t, kAlphabetSize> table;
  table.fill(kNoByte);
  char32_t next = 0x100;
  for (int16_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    table[printable ? byte : next++] = byte;
  }
  return table;
}

bool AppendLetters(std::string_view text, std::string& out) {
  static const std::array<int16_t, kAlphabetSize> kByteOfLetter = ByteOfLetter();
  while (!text.empty()) {
    const Utf8Char letter = DecodeUtf8(text);
    if (letter.code_point >= kAlphabetSize) return false;
    const int16_t byte = kByteOfLetter[letter.code_point];
    if (byte == kNoByte) return false;
    out.push_back(static_cast<char>(byte));
    text.remove_prefix(letter.bytes);
  }
  return true;
}

void AppendSpaced(std::string_view text, std::string& out) {
  for (size_t mark; (mark = text.find(kSpaceMark)) != text.npos;) {
    out.append(text.substr(0, mark)).push_back(' ');
    text.remove_prefix(mark + kSpaceMark.size());
  }
  out.append(text);
}

// The value of "<0x0A>"; kNoByte for any other text.
int16_t ByteOfToken(std::string_view token) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return kNoByte;
  const size_t high = kDigits.find(token[3]), low = kDigits.find(token[4]);
  if (high == kDigits.npos || low == kDigits.npos) return kNoByte;
  return static_cast<int16_t>(high << 4 | low);
}

uint64_t Hash(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace

bool AppendSpelled(std::string_view text, Spelling spelling, std::string& out) {
  if (spelling == Spelling::kByteLevel) return AppendLetters(text, out);
  AppendSpaced(text, out);
  return true;
}

void MarkByteTokens(absl::Span<const std::string_view> tokens, std::vector<TokenType>& types) {
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] == TokenType::kNormal && ByteOfToken(tokens[id]) != kNoByte) {
      types[id] = TokenType::kByte;
    }
  }
}

absl::StatusOr<Vocabulary> Vocabulary::Create(absl::Span<const std::string_view> tokens,
                                              absl::Span<const TokenType> types,
                                              Spelling spelling) {
  const size_t count = tokens.size();
  if (!types.empty() && types.size() != count) {
    return absl::InvalidArgumentError(absl::StrCat("the vocabulary has ", count, " tokens but ",
                                                   types.size(), " token types"));
  }
  size_t total = 0;
  for (const std::string_view token : tokens) total += token.size();
  if (count == 0 || count >= kNone || total > kMaxVocabularyBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a vocabulary of ", count, " tokens in ", total,
                                                   " bytes; expected 1 token to 1 GiB"));
  }
  Vocabulary vocabulary(spelling);
  vocabulary.types_.assign(types.begin(), types.end());
  vocabulary.types_.resize(count, TokenType::kNormal);
  vocabulary.bytes_.reserve(total);
  vocabulary.offsets_.reserve(count + 1);
  for (uint32_t id = 0; id < count; ++id) {
    vocabulary.offsets_.push_back(static_cast<uint32_t>(vocabulary.bytes_.size()));
    RETURN_IF_ERROR(vocabulary.Append(id, tokens[id]));
  }
  vocabulary.offsets_.push_back(static_cast<uint32_t>(vocabulary.bytes_.size()));
  vocabulary.bytes_.shrink_to_fit();
  vocabulary.Index();
  return vocabulary;
}

absl::Status Vocabulary::Append(uint32_t id, std::string_view token) {
  switch (types_[id]) {
    case TokenType::kControl:
      bytes_.append(token);
      return absl::OkStatus();
    case TokenType::kUserDefined:
      if (spelling_ == Spelling::kByteLevel) {
        bytes_.append(token);
      } else {
        AppendSpaced(token, bytes_);
      }
      return absl::OkStatus();
    case TokenType::kByte:
      if (spelling_ == Spelling::kSentencePiece) {
        const int16_t byte = ByteOfToken(token);
        if (byte == kNoByte) {
          return absl::InvalidArgumentError(absl::StrCat(
              "token ", id, ", \"", std::string(token), "\", is a byte; expected <0x00> to <0xFF>"));
        }
        if (byte_ids_[byte] == kNone) byte_ids_[byte] = id;
        bytes_.push_back(static_cast<char>(byte));
        return absl::OkStatus();
      }
      break;
    default:
      break;
  }
  if (spelling_ == Spelling::kSentencePiece && token.find(' ') != token.npos) {
    types_[id] = TokenType::kUnused;  // would be a twin of the one with the mark; no text leads to it
  }
  if (AppendSpelled(token, spelling_, bytes_)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("token ", id, ", \"", std::string(token),
                   "\", has a letter outside the byte alphabet of a byte-level vocabulary"));
}

void Vocabulary::Index() {
  slots_.assign(std::bit_ceil(2 * types_.size() + 1), kNone);  // at most half full
  const bool byte_level = spelling_ == Spelling::kByteLevel;
  for (uint32_t id = 0; id < types_.size(); ++id) {
    const TokenType type = types_[id];
    const bool apart = byte_level ? type == TokenType::kUserDefined
                                  : type == TokenType::kByte || type == TokenType::kUnknown ||
                                        type == TokenType::kUnused;
    const std::string_view piece = Piece(id);
    if (type == TokenType::kControl || apart || piece.empty()) continue;
    size_t slot = Hash(piece) & (slots_.size() - 1);
    while (slots_[slot] != kNone && Piece(slots_[slot]) != piece) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    if (slots_[slot] == kNone) slots_[slot] = id;
  }
  if (!byte_level) return;
  for (int byte = 0; byte < 256; ++byte) {
    const char piece = static_cast<char>(byte);
    byte_ids_[byte] = Find({&piece, 1});
  }
}

uint32_t Vocabulary::Find(std::string_view piece) const {
  size_t slot = Hash(piece) & (slots_.size() - 1);
  while (slots_[slot] != kNone && Piece(slots_[slot]) != piece) {
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slots_[slot];
}

}  // namespace spotinference
