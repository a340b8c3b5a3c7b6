#include "engine/text/jinja_lexer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/python_text.h"
#include "engine/text/utf8.h"

namespace spotinference::jinja {
namespace {

using Kind = Token::Kind;

// Longer ones first.
constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool IsNameByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80) != 0;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string WithUnixNewlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text.push_back(source[i]);
    } else if (source.substr(i, 2) != "\r\n") {
      text.push_back('\n');
    }
  }
  if (text.ends_with('\n')) text.pop_back();  // keep_trailing_newline is off
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(WithUnixNewlines(source)) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (at_ < source_.size()) RETURN_IF_ERROR(LexData());
    tokens_.push_back({Kind::kEnd, "end of template", line_});
    return std::move(tokens_);
  }

 private:
  std::string_view Rest() const { return std::string_view(source_).substr(at_); }
  bool At(std::string_view text) const { return Rest().starts_with(text); }

  void Skip(size_t bytes) {
    line_ += std::count(source_.begin() + at_, source_.begin() + at_ + bytes, '\n');
    at_ += bytes;
  }

  absl::Status Error(std::string_view message) const { return ErrorAt(line_, message); }

  void Emit(Kind kind, std::string_view text) {
    tokens_.push_back({kind, std::string(text), line_});
  }

  // Text up to the next tag, and the tag.
  absl::Status LexData() {
    size_t tag = at_;
    do {
      tag = source_.find('{', tag);
    } while (tag != source_.npos && !IsTagBegin(tag) && ++tag);
    if (tag == source_.npos) {
      Emit(Kind::kData, Rest());
      at_ = source_.size();
      return absl::OkStatus();
    }
    const char kind = source_[tag + 1];
    EmitData(tag, /*is_variable=*/kind == '{');
    Skip(2);
    if (At("-") || At("+")) Skip(1);
    switch (kind) {
      case '{': return LexTag(Kind::kVariableBegin, Kind::kVariableEnd, "}}");
      case '#': return LexComment();
      default:
        return IsWordTag("raw") ? LexRaw() : LexTag(Kind::kBlockBegin, Kind::kBlockEnd, "%}");
    }
  }

  bool IsTagBegin(size_t at) const {
    if (at + 1 == source_.size()) return false;
    const char next = source_[at + 1];
    return next == '{' || next == '%' || next == '#';
  }

  // The text before the tag at `tag`, less the white space that the tag takes away.
  void EmitData(size_t tag, bool is_variable) {
    std::string_view text = std::string_view(source_).substr(at_, tag - at_);
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    if (sign == '-') {
      text.remove_suffix(TrailingSpaceBytes(text));
    } else if (sign != '+' && !is_variable) {
      const size_t newline = text.rfind('\n');
      const bool whole_line = newline != text.npos || at_ == 0 || source_[at_ - 1] == '\n';
      const std::string_view indent = text.substr(newline == text.npos ? 0 : newline + 1);
      if (whole_line && LeadingSpaceBytes(indent) == indent.size()) {
        text.remove_suffix(indent.size());
      }
    }
    if (!text.empty()) Emit(Kind::kData, text);
    Skip(tag - at_);
  }

  // After "{%": is this a tag with nothing but `word`?
  bool IsWordTag(std::string_view word) const {
    std::string_view rest = Rest();
    rest.remove_prefix(LeadingSpaceBytes(rest));
    if (!rest.starts_with(word)) return false;
    rest.remove_prefix(word.size());
    rest.remove_prefix(LeadingSpaceBytes(rest));
    return rest.starts_with("%}") || rest.starts_with("-%}") ||
           (word == "endraw" && rest.starts_with("+%}"));
  }

  // Past the next `end`, which is there, and the white space that it takes away.
  void SkipEnd(std::string_view end, bool trims_newline) {
    const size_t begin = source_.find(end, at_);
    const char sign = begin > at_ ? source_[begin - 1] : ' ';
    Skip(begin + end.size() - at_);
    if (sign == '-') {
      Skip(LeadingSpaceBytes(Rest()));
    } else if (sign != '+' && trims_newline && At("\n")) {
      Skip(1);
    }
  }

  absl::Status LexComment() {
    if (source_.find("#}", at_) == source_.npos) return Error("a comment lacks its end, \"#}\"");
    SkipEnd("#}", /*trims_newline=*/true);
    return absl::OkStatus();
  }

  absl::Status LexRaw() {
    SkipEnd("%}", /*trims_newline=*/false);
    for (size_t tag = source_.find("{%", at_); tag != source_.npos;
         tag = source_.find("{%", tag + 2)) {
      const size_t sign =
          tag + 2 < source_.size() && (source_[tag + 2] == '-' || source_[tag + 2] == '+');
      const size_t begin = std::exchange(at_, tag + 2 + sign);
      const bool is_end = IsWordTag("endraw");
      at_ = begin;
      if (!is_end) continue;
      EmitData(tag, /*is_variable=*/false);
      SkipEnd("%}", /*trims_newline=*/true);
      return absl::OkStatus();
    }
    return Error("a raw block lacks its end, {% endraw %}");
  }

  absl::Status LexTag(Kind begin_kind, Kind end_kind, std::string_view end) {
    Emit(begin_kind, begin_kind == Kind::kBlockBegin ? "{%" : "{{");
    const int begin_line = line_;
    std::string open;  // brackets
    while (true) {
      Skip(LeadingSpaceBytes(Rest()));
      if (at_ == source_.size()) {
        return ErrorAt(begin_line, absl::StrCat("a tag lacks its end, \"", std::string(end), "\""));
      }
      const bool is_block = end_kind == Kind::kBlockEnd;
      const size_t sign = At("-") || (is_block && At("+"));
      if (open.empty() && Rest().substr(sign).starts_with(end)) {
        Emit(end_kind, end);
        SkipEnd(end, /*trims_newline=*/is_block);
        return absl::OkStatus();
      }
      RETURN_IF_ERROR(LexExpressionToken(open));
    }
  }

  absl::Status LexExpressionToken(std::string& open) {
    const char c = source_[at_];
    if (IsDigit(c)) return LexNumber();
    if (c == '"' || c == '\'') return LexString();
    if (IsNameByte(c)) {
      size_t end = at_;
      while (end < source_.size() && IsNameByte(source_[end])) ++end;
      Emit(Kind::kName, Rest().substr(0, end - at_));
      at_ = end;
      return absl::OkStatus();
    }
    for (const std::string_view op : kOperators) {
      if (!At(op)) continue;
      if (op == "(" || op == "[" || op == "{") {
        open.push_back(op == "(" ? ')' : op == "[" ? ']' : '}');
      } else if (op == ")" || op == "]" || op == "}") {
        if (open.empty() || open.back() != op[0]) {
          return Error(absl::StrCat(
              "unexpected '", std::string(op), "'",
              open.empty() ? "" : absl::StrCat(", expected '", open.substr(open.size() - 1), "'")));
        }
        open.pop_back();
      }
      Emit(Kind::kOperator, op);
      at_ += op.size();
      return absl::OkStatus();
    }
    return Error(absl::StrCat("unexpected character '", std::string(1, c), "'"));
  }

  // Digits with single underscores between them, from `at`; returns their end.
  size_t DigitsEnd(size_t at) const {
    while (at < source_.size() &&
           (IsDigit(source_[at]) ||
            (source_[at] == '_' && at + 1 < source_.size() && IsDigit(source_[at + 1])))) {
      ++at;
    }
    return at;
  }

  absl::Status LexNumber() {
    size_t end = DigitsEnd(at_);
    Kind kind = Kind::kInteger;
    const auto char_at = [&](size_t i) { return i < source_.size() ? source_[i] : ' '; };
    const bool prefixed = source_[at_] == '0' && std::string_view("bBoOxX").find(
                                                     char_at(at_ + 1)) != std::string_view::npos;
    if (prefixed) {
      end = at_ + 2;
      while (end < source_.size() && IsNameByte(source_[end])) ++end;
    } else {
      if (char_at(end) == '.' && IsDigit(char_at(end + 1))) {
        kind = Kind::kFloat;
        end = DigitsEnd(end + 1);
      }
      const size_t sign = char_at(end + 1) == '+' || char_at(end + 1) == '-';
      if (absl::ascii_tolower(char_at(end)) == 'e' && IsDigit(char_at(end + 1 + sign))) {
        kind = Kind::kFloat;
        end = DigitsEnd(end + 1 + sign);
      }
    }
    std::string digits(Rest().substr(0, end - at_));
    std::erase(digits, '_');
    Emit(kind, digits);
    at_ = end;
    return absl::OkStatus();
  }

  absl::Status LexString() {
    const char quote = source_[at_];
    const int begin_line = line_;
    std::string text;
    for (size_t i = at_ + 1; i < source_.size(); ++i) {
      if (source_[i] == quote) {
        Emit(Kind::kString, text);
        Skip(i + 1 - at_);
        return absl::OkStatus();
      }
      if (source_[i] != '\\') {
        text.push_back(source_[i]);
        continue;
      }
      if (i + 1 == source_.size()) break;
      RETURN_IF_ERROR(Unescape(i, text));
    }
    return ErrorAt(begin_line, "a string lacks its closing quote");
  }

  // The escape at source_[at], a backslash that is not the last byte; leaves `at` at its last byte.
  absl::Status Unescape(size_t& at, std::string& text) const {
    constexpr std::string_view kLetters = "\n\\'\"abfnrtv",
                               kMeans[] = {"",   "\\", "'",  "\"", "\a", "\b",
                                           "\f", "\n", "\r", "\t", "\v"};
    const char c = source_[++at];
    if (const size_t known = kLetters.find(c); known != kLetters.npos) {
      text.append(kMeans[known]);
      return absl::OkStatus();
    }
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    size_t begin = at + 1;
    int base = 16;
    if (c >= '0' && c <= '7') {
      begin = at;
      base = 8;
      for (digits = 1; digits < 3 && begin + digits < source_.size() &&
                       source_[begin + digits] >= '0' && source_[begin + digits] <= '7';)
        ++digits;
    }
    if (digits == 0) {  // Python keeps an escape that it does not know
      text.push_back('\\');
      text.push_back(c);
      return absl::OkStatus();
    }
    uint32_t code_point = 0;
    const char* const end = source_.data() + std::min(begin + digits, source_.size());
    const auto parsed = std::from_chars(source_.data() + begin, end, code_point, base);
    if (parsed.ec != std::errc() || parsed.ptr != source_.data() + begin + digits ||
        code_point > 0x10ffff || (code_point >= 0xd800 && code_point < 0xe000)) {
      return Error(
          absl::StrCat("the escape \\", std::string(1, c), " in a string names no character"));
    }
    AppendUtf8(code_point, text);
    at = begin + digits - 1;
    return absl::OkStatus();
  }

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

absl::Status ErrorAt(int line, std::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", std::string(message)));
}

absl::StatusOr<std::vector<Token>> Tokenize(std::string_view source) { return Lexer(source).Run(); }

}  // namespace spotinference::jinja
