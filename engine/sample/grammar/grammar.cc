#include "engine/sample/grammar/grammar.h"

#include <utility>

namespace spotinference {

Grammar::Expression Grammar::Add(Node node) {
  nodes_.push_back(std::move(node));
  return static_cast<Expression>(nodes_.size() - 1);
}

Grammar::Expression Grammar::Literal(absl::string_view bytes) {
  return Add({.kind = Node::Kind::kLiteral, .bytes = std::string(bytes)});
}

Grammar::Expression Grammar::Character(const CodePoints& set) {
  return Add({.kind = Node::Kind::kCharacter, .utf8 = Utf8Sequences(set)});
}

Grammar::Expression Grammar::Sequence(std::vector<Expression> parts) {
  return Add({.kind = Node::Kind::kSequence, .parts = std::move(parts)});
}

Grammar::Expression Grammar::OneOf(std::vector<Expression> alternatives) {
  return Add({.kind = Node::Kind::kOneOf, .parts = std::move(alternatives)});
}

Grammar::Expression Grammar::Repeat(Expression of, uint32_t min, uint32_t max) {
  return Add({.kind = Node::Kind::kRepeat, .parts = {of}, .min = min, .max = max});
}

Grammar::Expression Grammar::Call(Rule rule) { return Add({.kind = Node::Kind::kCall, .rule = rule}); }

Grammar::Rule Grammar::AddRule() { return AddRule(Nothing()); }

Grammar::Rule Grammar::AddRule(Expression definition) {
  rules_.push_back(definition);
  return static_cast<Rule>(rules_.size() - 1);
}

}  // namespace spotinference
