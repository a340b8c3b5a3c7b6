// A context-free grammar over bytes, under construction: what automaton.h compiles.
//
//   Grammar grammar;
//   const Grammar::Rule value = grammar.AddRule();
//   grammar.Define(value, grammar.OneOf({grammar.Literal("x"),
//       grammar.Sequence({grammar.Literal("("), grammar.Call(value), grammar.Literal(")")})}));
//   grammar.set_root(value);
//
// Expressions are values of the grammar that made them and may be used in any number of places; each use is compiled
// anew, so what is large or used often should be a rule. One thread at a time.
#ifndef ENGINE_SAMPLE_GRAMMAR_GRAMMAR_H_
#define ENGINE_SAMPLE_GRAMMAR_GRAMMAR_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/sample/grammar/code_points.h"

namespace spotinference {

class Grammar {
 public:
  enum class Expression : int32_t {};
  enum class Rule : int32_t {};
  static constexpr uint32_t kUnbounded = std::numeric_limits<uint32_t>::max();

  Expression Nothing() { return OneOf({}); }  // matches no text at all
  Expression Empty() { return Literal(""); }  // matches the empty text
  Expression Literal(absl::string_view bytes);
  Expression Character(const CodePoints& set);  // one of them, in UTF-8
  Expression Sequence(std::vector<Expression> parts);
  Expression OneOf(std::vector<Expression> alternatives);
  Expression Repeat(Expression of, uint32_t min, uint32_t max);  // min <= max; kUnbounded
  Expression Optional(Expression of) { return Repeat(of, 0, 1); }
  Expression Call(Rule rule);

  // A rule without a definition matches nothing.
  Rule AddRule();
  Rule AddRule(Expression definition);
  void Define(Rule rule, Expression definition) { rules_[static_cast<size_t>(rule)] = definition; }
  void set_root(Rule rule) { root_ = rule; }

  struct Node {
    enum class Kind { kLiteral, kCharacter, kSequence, kOneOf, kRepeat, kCall } kind;
    std::string bytes;              // kLiteral
    std::vector<Utf8Sequence> utf8;  // kCharacter
    std::vector<Expression> parts;  // kSequence, kOneOf; kRepeat: one
    uint32_t min = 0, max = 0;      // kRepeat
    Rule rule{};                    // kCall
  };
  const Node& node(Expression expression) const { return nodes_[static_cast<size_t>(expression)]; }
  Expression definition(Rule rule) const { return rules_[static_cast<size_t>(rule)]; }
  Rule root() const { return root_; }
  size_t rule_count() const { return rules_.size(); }
  size_t node_count() const { return nodes_.size(); }

 private:
  Expression Add(Node node);

  std::vector<Node> nodes_;
  std::vector<Expression> rules_;
  Rule root_{};
};

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_GRAMMAR_H_
