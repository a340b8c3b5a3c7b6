#include "engine/sample/grammar/json_grammar.h"

#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

constexpr uint32_t kUnbounded = Grammar::kUnbounded;

CodePoints PastAscii() { return {{0x80, kLastCodePoint}}; }
const CodePoints& Escaped() {
  static const CodePoints& escaped = *new CodePoints{{0, 0x1f}, {'"', '"'}, {'\\', '\\'}};
  return escaped;
}

// The letter after the backslash; 0: there is no short escape.
char ShortEscape(char32_t c) {
  switch (c) {
    case '"': case '\\': return static_cast<char>(c);
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
  }
}

// Of one of Escaped().
std::string Escape(char32_t c) {
  const char letter = ShortEscape(c);
  return letter ? std::string{'\\', letter} : absl::StrCat("\\u", absl::Hex(static_cast<uint32_t>(c), absl::kZeroPad4));
}

}  // namespace

JsonGrammar::JsonGrammar(Grammar& grammar) : grammar_(grammar), quote_(grammar.Literal("\"")) {
  const auto indent = grammar_.Repeat(grammar_.Character({{' ', ' '}, {'\t', '\t'}}), 0, kMaxIndent);
  space_ = grammar_.AddRule(grammar_.OneOf(
      {grammar_.Empty(), grammar_.Literal(" "), grammar_.Sequence({grammar_.Literal("\n"), indent})}));
  DefineStrings();
  value_ = grammar_.AddRule();
  array_ = grammar_.AddRule(InBrackets(List(Value(), 0, kUnbounded)));
  object_ = grammar_.AddRule(InBraces(List(Member(String(), Value()), 0, kUnbounded)));
  grammar_.Define(value_, grammar_.OneOf({Object(), Array(), String(), Number(), Boolean(), Null()}));
}

void JsonGrammar::DefineStrings() {
  characters_past_ascii_ = grammar_.AddRule(grammar_.Character(PastAscii()));
  std::vector<Expression> escapes;
  for (char32_t c = 0; c < 0x80; ++c) {
    if (!Escaped().Contains(c)) continue;
    escapes.push_back(grammar_.Literal(Escape(c)));
  }
  escape_ = grammar_.AddRule(grammar_.OneOf(std::move(escapes)));

  const auto hex = grammar_.Character({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
  const auto not_d = grammar_.Character({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}});
  const auto d = grammar_.Character({{'D', 'D'}, {'d', 'd'}});
  const auto below_8 = grammar_.Character({{'0', '7'}});
  const auto to_b = grammar_.Character({{'8', '9'}, {'A', 'B'}, {'a', 'b'}});
  const auto from_c = grammar_.Character({{'C', 'F'}, {'c', 'f'}});
  const auto four_digits =
      grammar_.OneOf({grammar_.Sequence({not_d, hex, hex, hex}), grammar_.Sequence({d, below_8, hex, hex}),
                      grammar_.Sequence({d, to_b, hex, hex, grammar_.Literal("\\u"), d, from_c, hex, hex})});
  const auto letters = grammar_.Character({{'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'b', 'b'}, {'f', 'f'}, {'n', 'n'},
                                           {'r', 'r'}, {'t', 't'}});
  any_character_ = grammar_.OneOf(
      {grammar_.Character(Escaped().Complement()),
       grammar_.Sequence({grammar_.Literal("\\"),
                          grammar_.OneOf({letters, grammar_.Sequence({grammar_.Literal("u"), four_digits})})})});
  const auto text = grammar_.Repeat(any_character_, 0, kUnbounded);
  tail_ = grammar_.AddRule(grammar_.Sequence({text, quote_}));
  string_ = grammar_.AddRule(grammar_.Sequence({quote_, text, quote_}));
}

JsonGrammar::Expression JsonGrammar::Integer() {
  const auto digits = grammar_.Sequence({grammar_.Character({{'1', '9'}}),
                                         grammar_.Repeat(grammar_.Character({{'0', '9'}}), 0, kUnbounded)});
  return grammar_.OneOf(
      {grammar_.Literal("0"), grammar_.Sequence({grammar_.Optional(grammar_.Literal("-")), digits})});
}

JsonGrammar::Expression JsonGrammar::Number() {
  const auto digit = grammar_.Character({{'0', '9'}});
  const auto integer =
      grammar_.OneOf({grammar_.Literal("0"), grammar_.Sequence({grammar_.Character({{'1', '9'}}),
                                                                grammar_.Repeat(digit, 0, kUnbounded)})});
  const auto fraction = grammar_.Sequence({grammar_.Literal("."), grammar_.Repeat(digit, 1, kUnbounded)});
  const auto sign = grammar_.Optional(grammar_.Character({{'+', '+'}, {'-', '-'}}));
  const auto exponent =
      grammar_.Sequence({grammar_.Character({{'E', 'E'}, {'e', 'e'}}), sign, grammar_.Repeat(digit, 1, 3)});
  return grammar_.Sequence({grammar_.Optional(grammar_.Literal("-")), integer, grammar_.Optional(fraction),
                            grammar_.Optional(exponent)});
}

JsonGrammar::Expression JsonGrammar::String(uint32_t min, uint32_t max) {
  if (min == 0 && max == kUnbounded) return String();
  return Quoted(grammar_.Repeat(any_character_, min, max));
}

JsonGrammar::Expression JsonGrammar::Character(const CodePoints& set) {
  std::vector<Expression> ways;
  CodePoints plain = set.Without(Escaped());
  if (PastAscii().Without(set).empty()) {
    ways.push_back(grammar_.Call(characters_past_ascii_));
    plain = plain.Without(PastAscii());
  }
  if (!plain.empty()) ways.push_back(grammar_.Character(plain));
  const CodePoints escaped = set.Within(Escaped());
  if (Escaped().Without(escaped).empty()) {
    ways.push_back(grammar_.Call(escape_));
  } else {
    for (const CodePointRange& range : escaped.ranges()) {
      for (char32_t c = range.first; c <= range.last; ++c) {
        ways.push_back(grammar_.Literal(Escape(c)));
      }
    }
  }
  return ways.size() == 1 ? ways[0] : grammar_.OneOf(std::move(ways));
}

JsonGrammar::Expression JsonGrammar::Text(absl::string_view utf8) {
  std::string text;
  for (const char32_t c : DecodeUtf8(utf8)) {
    if (Escaped().Contains(c)) text += Escape(c);
    else AppendUtf8(c, &text);
  }
  return grammar_.Literal(text);
}

// A trie of the texts, a rule a node: the string may leave it at any character, and may not end where a text does.
JsonGrammar::Expression JsonGrammar::StringOtherThan(absl::Span<const absl::string_view> texts) {
  struct Node {
    std::map<char32_t, size_t> children;
    bool ends = false;
  };
  if (texts.empty()) return String();
  std::vector<Node> nodes(1);
  for (const absl::string_view text : texts) {
    size_t at = 0;
    for (const char32_t c : DecodeUtf8(text)) {
      const auto [child, added] = nodes[at].children.try_emplace(c, nodes.size());
      at = child->second;
      if (added) nodes.emplace_back();
    }
    nodes[at].ends = true;
  }
  std::vector<Grammar::Rule> rules;
  for (size_t i = 0; i < nodes.size(); ++i) rules.push_back(grammar_.AddRule());
  for (size_t i = 0; i < nodes.size(); ++i) {
    std::vector<Expression> ways;
    std::vector<CodePointRange> known;
    if (!nodes[i].ends) ways.push_back(quote_);
    for (const auto& [c, child] : nodes[i].children) {
      known.push_back({c, c});
      ways.push_back(grammar_.Sequence({Character({{c, c}}), grammar_.Call(rules[child])}));
    }
    ways.push_back(grammar_.Sequence({Character(CodePoints(std::move(known)).Complement()), grammar_.Call(tail_)}));
    grammar_.Define(rules[i], grammar_.OneOf(std::move(ways)));
  }
  return grammar_.Sequence({quote_, grammar_.Call(rules[0])});
}

JsonGrammar::Expression JsonGrammar::Member(Expression key, Expression value) {
  return grammar_.Sequence({key, grammar_.Literal(":"), Space(), value});
}

JsonGrammar::Expression JsonGrammar::InBraces(Expression members) {
  return grammar_.Sequence({grammar_.Literal("{"), Space(), members, Space(), grammar_.Literal("}")});
}

JsonGrammar::Expression JsonGrammar::InBrackets(Expression elements) {
  return grammar_.Sequence({grammar_.Literal("["), Space(), elements, Space(), grammar_.Literal("]")});
}

JsonGrammar::Expression JsonGrammar::List(Expression element, uint32_t min, uint32_t max) {
  if (max == 0) return grammar_.Empty();
  const auto more = grammar_.Repeat(grammar_.Sequence({Comma(), element}), min == 0 ? 0 : min - 1,
                                    max == kUnbounded ? kUnbounded : max - 1);
  const auto list = grammar_.Sequence({element, more});
  return min == 0 ? grammar_.Optional(list) : list;
}

absl::StatusOr<Automaton> CompileJsonObject() {
  Grammar grammar;
  JsonGrammar json(grammar);
  grammar.set_root(grammar.AddRule(json.Object()));
  return Automaton::Compile(grammar);
}

}  // namespace spotinference
