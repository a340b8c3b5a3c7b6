// The parts of JSON text (RFC 8259) as expressions of a grammar; what every JSON constraint is put together from.
//
// White space is bounded, so that no model can fill an answer with it: after '{', '[', ',' and ':' and before '}' and
// ']' there may be one space, or a line end and up to kMaxIndent spaces or tabs; none at either end of the text.
#ifndef ENGINE_SAMPLE_GRAMMAR_JSON_GRAMMAR_H_
#define ENGINE_SAMPLE_GRAMMAR_JSON_GRAMMAR_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/sample/grammar/automaton.h"
#include "engine/sample/grammar/grammar.h"

namespace spotinference {

class JsonGrammar {
 public:
  using Expression = Grammar::Expression;
  static constexpr uint32_t kMaxIndent = 32;

  // Adds its rules to `grammar`, which outlives it. The root is left unset.
  explicit JsonGrammar(Grammar& grammar);

  Expression Space() { return grammar_.Call(space_); }
  Expression Null() { return grammar_.Literal("null"); }
  Expression Boolean() { return grammar_.OneOf({grammar_.Literal("true"), grammar_.Literal("false")}); }
  Expression Integer();
  Expression Number();
  Expression String() { return grammar_.Call(string_); }
  // Of `min` to `max` characters, whether written plainly or escaped.
  Expression String(uint32_t min, uint32_t max);
  Expression Array() { return grammar_.Call(array_); }
  Expression Object() { return grammar_.Call(object_); }
  Expression Value() { return grammar_.Call(value_); }

  // One character of a string as JSON writes it for short: plainly, or escaped where it has to be.
  Expression Character(const CodePoints& set);
  Expression Text(absl::string_view utf8);  // such characters, without quotes
  Expression Quoted(Expression content) { return grammar_.Sequence({quote_, content, quote_}); }
  // A string that is none of `texts`.
  Expression StringOtherThan(absl::Span<const absl::string_view> texts);

  // elements: ',' before each but the first.
  Expression Comma() { return grammar_.Sequence({grammar_.Literal(","), Space()}); }
  Expression Member(Expression key, Expression value);
  Expression InBraces(Expression members);
  Expression InBrackets(Expression elements);
  // min to max of them, with commas between.
  Expression List(Expression element, uint32_t min, uint32_t max);

 private:
  void DefineStrings();

  Grammar& grammar_;
  const Expression quote_;
  Grammar::Rule space_, string_, tail_, characters_past_ascii_, escape_, array_, object_, value_;
  Expression any_character_{};  // in any way that JSON has of writing it
};

// What matches any JSON object.
absl::StatusOr<Automaton> CompileJsonObject();

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_JSON_GRAMMAR_H_
