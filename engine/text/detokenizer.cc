#include "engine/text/detokenizer.h"

#include <string_view>

#include "engine/text/utf8.h"

namespace spotinference {

constexpr char32_t kReplacement = 0xfffd;

std::string Detokenizer::Feed(uint32_t id) {
  std::string text;
  if (tokenizer_.IsSpecial(id)) return text;
  std::string_view piece = tokenizer_.Piece(id);
  if (drops_space_ && !piece.empty()) {
    drops_space_ = false;
    if (piece.starts_with(' ')) piece.remove_prefix(1);
  }
  held_.append(piece);
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Utf8Char next = DecodeUtf8(rest);
    if (next.cut_short) break;
    if (next.code_point == Utf8Char::kInvalid) {
      AppendUtf8(kReplacement, text);
    } else {
      text.append(rest.substr(0, next.bytes));
    }
    rest.remove_prefix(next.bytes);
  }
  held_.erase(0, held_.size() - rest.size());
  return text;
}

std::string Detokenizer::Flush() {
  std::string text;
  if (!held_.empty()) AppendUtf8(kReplacement, text);
  held_.clear();
  return text;
}

}  // namespace spotinference
