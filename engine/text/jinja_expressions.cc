// The renderer's expressions.
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/text/jinja_renderer.h"

namespace spotinference::jinja {

using Kind = Expression::Kind;
using ValueOr = absl::StatusOr<Value>;

Value Renderer::Lookup(std::string_view name) {
  for (Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    if (const Value* found = scope->Find(name)) return *found;
    if (scope->loop && name == "loop") return Value::MakeLoop(scope->loop);
  }
  return FindGlobal(context_, name);
}

ValueOr Renderer::Evaluate(const Expression& node) {
  const Nesting nesting(*this);
  RETURN_IF_ERROR(Enter());
  ValueOr value = Dispatch(node);
  if (value.ok()) value = BoundedDepth(*std::move(value));
  if (!value.ok()) return Located(node.line, value.status());
  return value;
}

ValueOr Renderer::Dispatch(const Expression& node) {
  switch (node.kind) {
    case Kind::kConstant: return node.value;
    case Kind::kName: return Lookup(node.name);
    case Kind::kList:
    case Kind::kTuple: return EvaluateList(node);
    case Kind::kMap: return EvaluateMap(node);
    case Kind::kAttribute:
    case Kind::kItem: return EvaluateItem(node);
    case Kind::kSlice: return EvaluateSlice(node);
    case Kind::kCall: return EvaluateCall(node);
    case Kind::kFilter: return EvaluateFilter(node);
    case Kind::kTest: return EvaluateTest(node);
    case Kind::kNot:
    case Kind::kNegate:
    case Kind::kPlus: return EvaluateUnary(node);
    case Kind::kBinary: return EvaluateBinary(node);
    case Kind::kConcat: return EvaluateConcat(node);
    case Kind::kCompare: return EvaluateCompare(node);
    case Kind::kAnd:
    case Kind::kOr: {
      ASSIGN_OR_RETURN(Value left, Operand(node, 0));
      return left.IsTrue() == (node.kind == Kind::kAnd) ? Operand(node, 1) : std::move(left);
    }
    case Kind::kConditional: {
      ASSIGN_OR_RETURN(const Value condition, Operand(node, 1));
      if (condition.IsTrue()) return Operand(node, 0);
      return node.operands[2] ? Operand(node, 2) : Value::MakeUndefined("the missing else");
    }
  }
  return Value();  // not reached
}

ValueOr Renderer::EvaluateList(const Expression& node) {
  std::vector<Value> items;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    ASSIGN_OR_RETURN(Value item, Operand(node, i));
    items.push_back(std::move(item));
  }
  const bool is_tuple = node.kind == Kind::kTuple;
  return Value::MakeList(std::move(items),
                         is_tuple ? Value::ListKind::kTuple : Value::ListKind::kList);
}

ValueOr Renderer::EvaluateMap(const Expression& node) {
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i < node.operands.size(); i += 2) {
    ASSIGN_OR_RETURN(Value key, Operand(node, i));
    if (!key.CanBeKey()) return Invalid("a key must be a string, a number or none here");
    ASSIGN_OR_RETURN(Value value, Operand(node, i + 1));
    entries.emplace_back(std::move(key), std::move(value));
  }
  return Value::MakeMap(std::move(entries));
}

ValueOr Renderer::EvaluateItem(const Expression& node) {
  ASSIGN_OR_RETURN(const Value object, Operand(node, 0));
  if (node.kind == Kind::kAttribute) return Attribute(context_, object, node.name);
  ASSIGN_OR_RETURN(const Value key, Operand(node, 1));
  ASSIGN_OR_RETURN(Value item, Item(object, key));
  if (item.is_undefined() && key.is_string()) {
    Value method = FindMethod(context_, object, key.bytes());
    if (!method.is_undefined()) return method;
  }
  return item;
}

ValueOr Renderer::EvaluateSlice(const Expression& node) {
  ASSIGN_OR_RETURN(const Value object, Operand(node, 0));
  Value part[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!node.operands[i + 1]) continue;
    ASSIGN_OR_RETURN(part[i], Operand(node, i + 1));
  }
  return Slice(context_.budget, object, part[0], part[1], part[2]);
}

absl::StatusOr<Arguments> Renderer::EvaluateArguments(const Expression& node) {
  Arguments arguments;
  for (size_t i = 1; i < node.operands.size(); ++i) {
    ASSIGN_OR_RETURN(Value value, Operand(node, i));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, expression] : node.named) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*expression));
    arguments.named.emplace_back(name, std::move(value));
  }
  return arguments;
}

absl::Status Renderer::In(std::string_view name, const absl::Status& status) {
  if (status.code() != absl::StatusCode::kInvalidArgument) return status;
  if (absl::StartsWith(status.message(), "line ")) return status;
  return Invalid(absl::StrCat(std::string(name), ": ", status.message()));
}

ValueOr Renderer::Call(const Expression& node, std::optional<Value> caller) {
  ASSIGN_OR_RETURN(const Value callee, Operand(node, 0));
  if (callee.is_undefined()) return UndefinedError(callee);
  if (callee.is_loop()) {
    ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(node));
    return callee.loop().Call(arguments);
  }
  if (!callee.is_function()) {
    return Invalid(absl::StrCat("'", std::string(callee.TypeName()), "' object is not callable"));
  }
  ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(node));
  if (caller) arguments.named.emplace_back("caller", *std::move(caller));
  ValueOr result = callee.function().call(arguments);
  if (!result.ok()) return In(callee.function().name, result.status());
  return result;
}

ValueOr Renderer::EvaluateFilter(const Expression& node) {
  Value input;
  if (node.operands[0]) {
    ASSIGN_OR_RETURN(input, Operand(node, 0));
  } else {
    input = block_input_.back();
  }
  ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(node));
  const Filter filter = FindFilter(node.name);
  if (filter == nullptr) return Invalid(absl::StrCat("there is no filter '", node.name, "'"));
  ValueOr result = filter(context_, input, arguments);
  if (!result.ok()) return In(node.name, result.status());
  return result;
}

ValueOr Renderer::EvaluateTest(const Expression& node) {
  ASSIGN_OR_RETURN(const Value input, Operand(node, 0));
  ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(node));
  const Test test = FindTest(node.name);
  if (test == nullptr) return Invalid(absl::StrCat("there is no test '", node.name, "'"));
  const absl::StatusOr<bool> result = test(context_, input, arguments);
  if (!result.ok()) return In(node.name, result.status());
  return *result;
}

ValueOr Renderer::EvaluateUnary(const Expression& node) {
  ASSIGN_OR_RETURN(Value operand, Operand(node, 0));
  if (node.kind == Kind::kNot) return !operand.IsTrue();
  if (node.kind == Kind::kNegate) return Negate(operand);
  if (operand.is_number()) return operand;
  return Invalid(absl::StrCat("'+' does not work on ", std::string(operand.TypeName())));
}

ValueOr Renderer::EvaluateBinary(const Expression& node) {
  ASSIGN_OR_RETURN(const Value left, Operand(node, 0));
  ASSIGN_OR_RETURN(const Value right, Operand(node, 1));
  if (node.name != "%" || !left.is_string()) {
    return Arithmetic(context_.budget, node.name, left, right);
  }
  Arguments arguments;
  if (right.is_tuple()) {
    arguments.positional = right.items();
  } else {
    arguments.positional.push_back(right);
  }
  if (right.is_map()) {
    for (const auto& [key, value] : right.map().entries) {
      if (key.is_string()) arguments.named.emplace_back(key.bytes(), value);
    }
  }
  // Python lets a value stand unused that could be asked for its parts.
  const bool may_be_unused = right.is_map() || (right.is_list() && !right.is_tuple()) ||
                             right.is_undefined();
  return FormatPercent(context_.budget, left.text(), arguments, may_be_unused);
}

ValueOr Renderer::EvaluateConcat(const Expression& node) {
  Text joined;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    ASSIGN_OR_RETURN(const Value part, Operand(node, i));
    ASSIGN_OR_RETURN(const Text text, ToText(context_.budget, part));
    RETURN_IF_ERROR(context_.budget.SpendBytes(text.bytes.size()));
    joined.Append(text);
  }
  return Value::FromText(std::move(joined));
}

ValueOr Renderer::EvaluateCompare(const Expression& node) {
  ASSIGN_OR_RETURN(Value left, Operand(node, 0));
  for (size_t i = 0; i < node.names.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Operand(node, i + 1));
    ASSIGN_OR_RETURN(const bool holds, Compare(node.names[i], left, right));
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

absl::StatusOr<bool> Renderer::Compare(const std::string& op, const Value& left,
                                       const Value& right) {
  Budget& budget = context_.budget;
  if (op == "in") return Contains(budget, right, left);
  if (op == "not in") {
    ASSIGN_OR_RETURN(const bool contains, Contains(budget, right, left));
    return !contains;
  }
  if (op == "==" || op == "!=") {
    ASSIGN_OR_RETURN(const bool equal, Equal(budget, left, right));
    return equal == (op == "==");
  }
  ASSIGN_OR_RETURN(const int sign, Order(budget, left, right));
  if (op == "<") return sign < 0;
  if (op == "<=") return sign <= 0;
  return op == ">" ? sign > 0 : sign >= 0;
}

}  // namespace spotinference::jinja
