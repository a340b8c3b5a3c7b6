#include "engine/sample/grammar/regex.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

using Expression = Grammar::Expression;

struct Regex {
  enum class Kind { kSet, kSequence, kOneOf, kRepeat, kBegin, kEnd } kind = Kind::kSequence;
  CodePoints set;
  std::vector<Regex> parts;
  uint32_t min = 0, max = 0;
};

CodePoints Digits() { return {{'0', '9'}}; }
CodePoints Words() { return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}; }
CodePoints LineEnds() { return {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}; }
// ECMA-262, WhiteSpace and LineTerminator.
CodePoints Spaces() {
  return {{'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
          {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
}

class Parser {
 public:
  explicit Parser(absl::string_view pattern) : text_(DecodeUtf8(pattern)) {}

  absl::StatusOr<Regex> Parse() {
    ASSIGN_OR_RETURN(Regex regex, Alternatives(0));
    if (at_ < text_.size()) return Error("')' without its '('");
    return regex;
  }

 private:
  bool More() const { return at_ < text_.size(); }
  char32_t Peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : U'\0'; }
  bool Take(char32_t c) {
    if (!More() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(what, " (at character ", at_, " of the pattern)"));
  }

  absl::StatusOr<Regex> Alternatives(int depth);
  absl::StatusOr<Regex> Term(int depth);
  absl::StatusOr<Regex> Group(int depth);
  absl::StatusOr<Regex> Quantified(Regex atom);
  bool Braces(uint32_t* min, uint32_t* max);
  absl::StatusOr<Regex> Class();
  // One member of a class or an escape outside one: a set, or a single character where `*single` says so.
  absl::StatusOr<CodePoints> Escape(bool in_class, bool* single);
  absl::StatusOr<CodePoints> ClassMember(bool* single);
  absl::StatusOr<char32_t> Hex(int digits);
  absl::StatusOr<char32_t> UnicodeEscape();

  const std::u32string text_;
  size_t at_ = 0;
};

Regex OfSet(CodePoints set) { return {.kind = Regex::Kind::kSet, .set = std::move(set)}; }

absl::StatusOr<Regex> Parser::Alternatives(int depth) {
  if (depth > kMaxRegexDepth) {
    return Error(absl::StrCat("groups nested deeper than the limit of ", kMaxRegexDepth));
  }
  Regex alternatives{.kind = Regex::Kind::kOneOf};
  do {
    Regex& sequence = alternatives.parts.emplace_back();
    while (More() && Peek() != '|' && Peek() != ')') {
      ASSIGN_OR_RETURN(Regex term, Term(depth));
      sequence.parts.push_back(std::move(term));
    }
  } while (Take('|'));
  if (alternatives.parts.size() == 1) {
    Regex only = std::move(alternatives.parts[0]);
    return only;
  }
  return alternatives;
}

absl::StatusOr<Regex> Parser::Term(int depth) {
  uint32_t min, max;
  switch (Peek()) {
    case '^': ++at_; return Regex{.kind = Regex::Kind::kBegin};
    case '$': ++at_; return Regex{.kind = Regex::Kind::kEnd};
    case '*': case '+': case '?': return Error("a quantifier with nothing to repeat");
    case '{':
      if (const size_t start = at_; Braces(&min, &max)) {
        at_ = start;
        return Error("a quantifier with nothing to repeat");
      }
      ++at_;
      return Quantified(OfSet({{'{', '{'}}));
    case '.': ++at_; return Quantified(OfSet(LineEnds().Complement()));
    case '(': {
      ASSIGN_OR_RETURN(Regex group, Group(depth));
      return Quantified(std::move(group));
    }
    case '[': {
      ASSIGN_OR_RETURN(Regex set, Class());
      return Quantified(std::move(set));
    }
    case '\\': {
      bool single;
      ASSIGN_OR_RETURN(CodePoints set, Escape(false, &single));
      return Quantified(OfSet(std::move(set)));
    }
    default: {
      const char32_t c = text_[at_++];
      return Quantified(OfSet({{c, c}}));
    }
  }
}

absl::StatusOr<Regex> Parser::Group(int depth) {
  if (Peek(1) == '?') {
    const char32_t kind = Peek(2);
    if (kind == '=' || kind == '!') return Error("look-ahead is not supported");
    if (kind == '<' && (Peek(3) == '=' || Peek(3) == '!')) return Error("look-behind is not supported");
    if (kind == '<') {
      size_t end = at_ + 3;
      while (end < text_.size() && text_[end] != '>') ++end;
      if (end == text_.size()) return Error("a group's name without its '>'");
      at_ = end + 1;
    } else if (kind == ':') {
      at_ += 3;
    } else {
      return Error("inline flags and other '(?' groups are not supported");
    }
  } else {
    ++at_;
  }
  ASSIGN_OR_RETURN(Regex group, Alternatives(depth + 1));
  if (!Take(')')) return Error("'(' without its ')'");
  return group;
}

// {n}, {n,} or {n,m}. False: these characters are no quantifier, and nothing is taken.
bool Parser::Braces(uint32_t* min, uint32_t* max) {
  size_t at = at_ + 1;
  const auto number = [&](uint32_t* value) {
    const size_t first = at;
    uint64_t n = 0;
    for (; at < text_.size() && text_[at] >= '0' && text_[at] <= '9'; ++at) {
      n = std::min<uint64_t>(n * 10 + (text_[at] - '0'), Grammar::kUnbounded - 1);
    }
    *value = static_cast<uint32_t>(n);
    return at > first;
  };
  if (!number(min)) return false;
  *max = *min;
  if (at < text_.size() && text_[at] == ',') {
    ++at;
    if (!number(max)) *max = Grammar::kUnbounded;
  }
  if (at >= text_.size() || text_[at] != '}') return false;
  at_ = at + 1;
  return true;
}

absl::StatusOr<Regex> Parser::Quantified(Regex atom) {
  uint32_t min, max;
  if (Take('*')) {
    min = 0, max = Grammar::kUnbounded;
  } else if (Take('+')) {
    min = 1, max = Grammar::kUnbounded;
  } else if (Take('?')) {
    min = 0, max = 1;
  } else if (Peek() != '{' || !Braces(&min, &max)) {
    return atom;
  }
  Take('?');  // lazy
  if (min > max) return Error(absl::StrCat("a quantifier from ", min, " to ", max));
  if (min > kMaxRegexRepeats || (max != Grammar::kUnbounded && max > kMaxRegexRepeats)) {
    return Error(absl::StrCat("a quantifier above the limit of ", kMaxRegexRepeats));
  }
  if (Peek() == '*' || Peek() == '+' || Peek() == '?') return Error("a quantifier of a quantifier");
  Regex repeat{.kind = Regex::Kind::kRepeat, .min = min, .max = max};
  repeat.parts.push_back(std::move(atom));
  return repeat;
}

absl::StatusOr<Regex> Parser::Class() {
  ++at_;
  const bool negated = Take('^');
  std::vector<CodePointRange> ranges;
  while (!Take(']')) {
    if (!More()) return Error("'[' without its ']'");
    bool single;
    ASSIGN_OR_RETURN(const CodePoints first, ClassMember(&single));
    if (Peek() != '-' || Peek(1) == ']' || at_ + 1 >= text_.size()) {
      ranges.insert(ranges.end(), first.ranges().begin(), first.ranges().end());
      continue;
    }
    ++at_;
    bool last_single;
    ASSIGN_OR_RETURN(const CodePoints last, ClassMember(&last_single));
    if (!single || !last_single) return Error("a range between classes");
    if (first.empty() || last.empty()) return Error("a range of surrogates");
    const char32_t from = first.ranges()[0].first, to = last.ranges()[0].first;
    if (from > to) return Error("a range whose end is before its beginning");
    ranges.push_back({from, to});
  }
  const CodePoints set(std::move(ranges));
  return OfSet(negated ? set.Complement() : set);
}

absl::StatusOr<CodePoints> Parser::ClassMember(bool* single) {
  if (!More()) return Error("'[' without its ']'");
  if (Peek() == '\\') return Escape(true, single);
  *single = true;
  const char32_t c = text_[at_++];
  return CodePoints{{c, c}};
}

absl::StatusOr<char32_t> Parser::Hex(int digits) {
  char32_t value = 0;
  for (int i = 0; i < digits; ++i) {
    const char32_t c = Peek(), letter = c | 0x20;
    if (c >= '0' && c <= '9') value = value * 16 + (c - '0');
    else if (letter >= 'a' && letter <= 'f') value = value * 16 + (letter - 'a' + 10);
    else return Error(absl::StrCat("an escape that lacks its ", digits, " hexadecimal digits"));
    ++at_;
  }
  return value;
}

// After \u.
absl::StatusOr<char32_t> Parser::UnicodeEscape() {
  if (!Take('{')) {
    ASSIGN_OR_RETURN(const char32_t unit, Hex(4));
    if (unit < 0xd800 || unit > 0xdbff || Peek() != '\\' || Peek(1) != 'u') return unit;
    at_ += 2;
    ASSIGN_OR_RETURN(const char32_t low, Hex(4));
    if (low < 0xdc00 || low > 0xdfff) return Error("half of a surrogate pair");
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
  }
  char32_t value = 0;
  do {
    ASSIGN_OR_RETURN(const char32_t digit, Hex(1));
    value = value * 16 + digit;
    if (value > kLastCodePoint) return Error("an escape past U+10FFFF");
  } while (!Take('}'));
  return value;
}

absl::StatusOr<CodePoints> Parser::Escape(bool in_class, bool* single) {
  ++at_;
  if (!More()) return Error("a backslash at the end");
  const char32_t c = text_[at_++];
  *single = false;
  switch (c) {
    case 'd': return Digits();
    case 'D': return Digits().Complement();
    case 'w': return Words();
    case 'W': return Words().Complement();
    case 's': return Spaces();
    case 'S': return Spaces().Complement();
    case 'p': case 'P': return Error("Unicode properties (\\p) are not supported");
    case 'B': return Error("word boundaries (\\b) are not supported");
    case 'k': return Error("back references are not supported");
  }
  *single = true;
  char32_t value = c;
  switch (c) {
    case 'b':
      if (!in_class) return Error("word boundaries (\\b) are not supported");
      value = '\b';
      break;
    case 't': value = '\t'; break;
    case 'n': value = '\n'; break;
    case 'v': value = '\v'; break;
    case 'f': value = '\f'; break;
    case 'r': value = '\r'; break;
    case '0':
      if (Peek() >= '0' && Peek() <= '9') return Error("octal escapes are not supported");
      value = 0;
      break;
    case 'c': {
      const char32_t letter = Peek() | 0x20;
      if (letter < 'a' || letter > 'z') return Error("\\c without its letter");
      ++at_;
      value = letter - 'a' + 1;
      break;
    }
    case 'x': {
      ASSIGN_OR_RETURN(value, Hex(2));
      break;
    }
    case 'u': {
      ASSIGN_OR_RETURN(value, UnicodeEscape());
      break;
    }
    default:
      if (c >= '1' && c <= '9') return Error("back references are not supported");
      if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return Error("an escape of a letter that has no meaning");
  }
  return CodePoints{{value, value}};
}

// --- anchors: a match may begin and end anywhere, but at ^ and $

bool Contains(const Regex& regex, Regex::Kind anchor) {
  if (regex.kind == anchor) return true;
  for (const Regex& part : regex.parts) {
    if (Contains(part, anchor)) return true;
  }
  return false;
}

Regex AnyText() {
  Regex any{.kind = Regex::Kind::kRepeat, .min = 0, .max = Grammar::kUnbounded};
  any.parts.push_back(OfSet(CodePoints::All()));
  return any;
}

// Puts AnyText at the side where `anchor` would stand, or takes the anchor away, in each alternative.
Regex Anchored(Regex regex, Regex::Kind anchor) {
  const bool front = anchor == Regex::Kind::kBegin;
  if (regex.kind == anchor) return Regex{};
  if (regex.kind == Regex::Kind::kOneOf && Contains(regex, anchor)) {
    for (Regex& part : regex.parts) part = Anchored(std::move(part), anchor);
    return regex;
  }
  if (regex.kind == Regex::Kind::kSequence && !regex.parts.empty()) {
    Regex& side = front ? regex.parts.front() : regex.parts.back();
    if (side.kind != Regex::Kind::kRepeat && Contains(side, anchor)) {
      side = Anchored(std::move(side), anchor);
      return regex;
    }
  }
  Regex sequence;
  if (front) sequence.parts.push_back(AnyText());
  sequence.parts.push_back(std::move(regex));
  if (!front) sequence.parts.push_back(AnyText());
  return sequence;
}

Expression ToExpression(const Regex& regex, Grammar& grammar,
                        absl::FunctionRef<Expression(const CodePoints&)> character) {
  std::vector<Expression> parts;
  for (const Regex& part : regex.parts) parts.push_back(ToExpression(part, grammar, character));
  switch (regex.kind) {
    case Regex::Kind::kSet: return character(regex.set);
    case Regex::Kind::kOneOf: return grammar.OneOf(std::move(parts));
    case Regex::Kind::kRepeat: return grammar.Repeat(parts[0], regex.min, regex.max);
    default: return grammar.Sequence(std::move(parts));
  }
}

}  // namespace

absl::StatusOr<Expression> RegexExpression(absl::string_view pattern, Grammar& grammar,
                                           absl::FunctionRef<Expression(const CodePoints&)> character) {
  ASSIGN_OR_RETURN(Regex regex, Parser(pattern).Parse());
  regex = Anchored(std::move(regex), Regex::Kind::kBegin);
  regex = Anchored(std::move(regex), Regex::Kind::kEnd);
  if (Contains(regex, Regex::Kind::kBegin) || Contains(regex, Regex::Kind::kEnd)) {
    return absl::InvalidArgumentError("'^' is supported at the beginning and '$' at the end of an alternative only");
  }
  return ToExpression(regex, grammar, character);
}

}  // namespace spotinference
