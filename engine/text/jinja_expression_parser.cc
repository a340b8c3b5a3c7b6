#include "engine/text/jinja_expression_parser.h"

#include <charconv>
#include <cstdint>

#include "absl/strings/numbers.h"

namespace spotinference::jinja {

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseTuple(bool with_conditional,
                                                           bool in_brackets) {
  const int begin_line = line();
  ExpressionPtr tuple = New(EKind::kTuple, begin_line);
  bool is_tuple = false;
  while (!IsTupleEnd()) {
    ASSIGN_OR_RETURN(ExpressionPtr item, with_conditional ? ParseExpression() : ParseOr());
    Add(std::move(item), *tuple);
    if (!SkipOperator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && tuple->operands.size() == 1) return std::move(tuple->operands[0]);
  if (!is_tuple && !in_brackets) return Expected("an expression");
  return Checked(std::move(tuple));
}

bool ExpressionParser::IsTupleEnd() const {
  return Now().kind == Kind::kVariableEnd || Now().kind == Kind::kBlockEnd || IsOperator(")") ||
         IsName("recursive");
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseExpression() {
  const Nesting nesting(*this);
  RETURN_IF_ERROR(CheckDepth(depth_));
  ASSIGN_OR_RETURN(ExpressionPtr node, ParseOr());
  while (IsName("if")) {
    const int at_line = line();
    ++at_;
    ASSIGN_OR_RETURN(ExpressionPtr condition, ParseOr());
    ExpressionPtr otherwise;
    if (SkipName("else")) {
      ASSIGN_OR_RETURN(otherwise, ParseExpression());
    }
    ASSIGN_OR_RETURN(node, Make(EKind::kConditional, at_line, "", std::move(node),
                                std::move(condition), std::move(otherwise)));
  }
  return node;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseOr() {
  ASSIGN_OR_RETURN(ExpressionPtr node, ParseAnd());
  while (IsName("or")) {
    const int at_line = tokens_[at_++].line;
    ASSIGN_OR_RETURN(ExpressionPtr right, ParseAnd());
    ASSIGN_OR_RETURN(node, Make(EKind::kOr, at_line, "", std::move(node), std::move(right)));
  }
  return node;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseAnd() {
  ASSIGN_OR_RETURN(ExpressionPtr node, ParseNot());
  while (IsName("and")) {
    const int at_line = tokens_[at_++].line;
    ASSIGN_OR_RETURN(ExpressionPtr right, ParseNot());
    ASSIGN_OR_RETURN(node, Make(EKind::kAnd, at_line, "", std::move(node), std::move(right)));
  }
  return node;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseNot() {
  if (!IsName("not")) return ParseCompare();
  const Nesting nesting(*this);
  RETURN_IF_ERROR(CheckDepth(depth_));
  const int at_line = tokens_[at_++].line;
  ASSIGN_OR_RETURN(ExpressionPtr operand, ParseNot());
  return Make(EKind::kNot, at_line, "", std::move(operand));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseCompare() {
  ASSIGN_OR_RETURN(ExpressionPtr first, ParseSum());
  ExpressionPtr node = New(EKind::kCompare, line());
  while (true) {
    if (IsOneOf(Now(), Kind::kOperator, {"==", "!=", "<", "<=", ">", ">="}) || IsName("in")) {
      node->names.push_back(tokens_[at_++].text);
    } else if (IsName("not") && Is(Next(), Kind::kName, "in")) {
      node->names.push_back("not in");
      at_ += 2;
    } else {
      break;
    }
    if (first) Add(std::move(first), *node);
    ASSIGN_OR_RETURN(ExpressionPtr right, ParseSum());
    Add(std::move(right), *node);
  }
  return first ? std::move(first) : Checked(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseSum() {
  return ParseBinary({"+", "-"}, &ExpressionParser::ParseConcat);
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseConcat() {
  ASSIGN_OR_RETURN(ExpressionPtr first, ParseProduct());
  if (!IsOperator("~")) return first;
  ExpressionPtr node = New(EKind::kConcat, line());
  Add(std::move(first), *node);
  while (SkipOperator("~")) {
    ASSIGN_OR_RETURN(ExpressionPtr next, ParseProduct());
    Add(std::move(next), *node);
  }
  return Checked(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseProduct() {
  return ParseBinary({"*", "/", "//", "%"}, &ExpressionParser::ParsePower);
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParsePower() {
  return ParseBinary({"**"}, &ExpressionParser::ParseUnaryWithFilters);
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseBinary(
    Words operators, ParsedExpression (ExpressionParser::*parse_operand)()) {
  ASSIGN_OR_RETURN(ExpressionPtr node, (this->*parse_operand)());
  while (IsOneOf(Now(), Kind::kOperator, operators)) {
    const Token& op = tokens_[at_++];
    ASSIGN_OR_RETURN(ExpressionPtr right, (this->*parse_operand)());
    ASSIGN_OR_RETURN(node,
                     Make(EKind::kBinary, op.line, op.text, std::move(node), std::move(right)));
  }
  return node;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseUnaryWithFilters() {
  ASSIGN_OR_RETURN(ExpressionPtr node, ParseUnary());
  return ParseFilters(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseUnary() {
  ExpressionPtr node;
  if (IsOperator("-") || IsOperator("+")) {
    const Nesting nesting(*this);
    RETURN_IF_ERROR(CheckDepth(depth_));
    const Token& sign = tokens_[at_++];
    ASSIGN_OR_RETURN(ExpressionPtr operand, ParseUnary());
    ASSIGN_OR_RETURN(node, Make(sign.text == "-" ? EKind::kNegate : EKind::kPlus, sign.line, "",
                                std::move(operand)));
  } else {
    ASSIGN_OR_RETURN(node, ParsePrimary());
  }
  return ParsePostfix(std::move(node));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParsePrimary() {
  const Token& token = Now();
  switch (token.kind) {
    case Kind::kName:
      ++at_;
      if (token.text == "true" || token.text == "True") return Constant(true, token.line);
      if (token.text == "false" || token.text == "False") return Constant(false, token.line);
      if (token.text == "none" || token.text == "None") return Constant(Value(), token.line);
      return Make(EKind::kName, token.line, token.text);
    case Kind::kString: {
      std::string text;
      while (Now().kind == Kind::kString) text += tokens_[at_++].text;
      return Constant(Value::String(std::move(text)), token.line);
    }
    case Kind::kInteger:
    case Kind::kFloat: ++at_; return ParseNumber(token);
    case Kind::kOperator:
      if (SkipOperator("(")) {
        ASSIGN_OR_RETURN(ExpressionPtr node, ParseTuple(true, /*in_brackets=*/true));
        RETURN_IF_ERROR(ExpectOperator(")"));
        return node;
      }
      if (SkipOperator("[")) return ParseList(token.line);
      if (SkipOperator("{")) return ParseMap(token.line);
      [[fallthrough]];
    default: return Expected("an expression");
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::Constant(Value value, int line) const {
  ExpressionPtr node = New(EKind::kConstant, line);
  node->value = std::move(value);
  return node;
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseNumber(const Token& token) const {
  if (token.kind == Kind::kFloat) {
    double number;
    if (absl::SimpleAtod(token.text, &number)) return Constant(number, token.line);
  } else {
    std::string_view digits = token.text;
    int base = 10;
    if (digits.size() > 2 && !(digits[1] >= '0' && digits[1] <= '9')) {
      base = (digits[1] | 0x20) == 'x' ? 16 : (digits[1] | 0x20) == 'o' ? 8 : 2;
      digits.remove_prefix(2);
    }
    int64_t number;
    const char* const end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, number, base);
    if (parsed.ec == std::errc() && parsed.ptr == end) return Constant(number, token.line);
  }
  return ErrorAt(token.line, absl::StrCat("'", token.text, "' is not a number of at most 64 bits"));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseList(int at_line) {
  ExpressionPtr list = New(EKind::kList, at_line);
  while (!SkipOperator("]")) {
    ASSIGN_OR_RETURN(ExpressionPtr item, ParseExpression());
    Add(std::move(item), *list);
    if (!IsOperator("]")) RETURN_IF_ERROR(ExpectOperator(","));
  }
  return Checked(std::move(list));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseMap(int at_line) {
  ExpressionPtr map = New(EKind::kMap, at_line);
  while (!SkipOperator("}")) {
    ASSIGN_OR_RETURN(ExpressionPtr key, ParseExpression());
    RETURN_IF_ERROR(ExpectOperator(":"));
    ASSIGN_OR_RETURN(ExpressionPtr value, ParseExpression());
    Add(std::move(key), *map);
    Add(std::move(value), *map);
    if (!IsOperator("}")) RETURN_IF_ERROR(ExpectOperator(","));
  }
  return Checked(std::move(map));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParsePostfix(ExpressionPtr node) {
  while (true) {
    const int at_line = line();
    if (SkipOperator(".")) {
      if (Now().kind == Kind::kInteger) {
        ASSIGN_OR_RETURN(ExpressionPtr index, ParseNumber(tokens_[at_++]));
        ASSIGN_OR_RETURN(node, Make(EKind::kItem, at_line, "", std::move(node), std::move(index)));
        continue;
      }
      ASSIGN_OR_RETURN(std::string name, ExpectName());
      ASSIGN_OR_RETURN(node, Make(EKind::kAttribute, at_line, std::move(name), std::move(node)));
    } else if (SkipOperator("[")) {
      ASSIGN_OR_RETURN(node, ParseSubscript(std::move(node), at_line));
    } else if (IsOperator("(")) {
      ASSIGN_OR_RETURN(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseSubscript(ExpressionPtr object, int at_line) {
  ExpressionPtr part[3];
  if (!IsOperator(":")) {
    ASSIGN_OR_RETURN(part[0], ParseExpression());
    if (SkipOperator("]")) {
      return Make(EKind::kItem, at_line, "", std::move(object), std::move(part[0]));
    }
  }
  for (int i = 1; i < 3 && SkipOperator(":"); ++i) {
    if (IsOperator(":") || IsOperator("]")) continue;
    ASSIGN_OR_RETURN(part[i], ParseExpression());
  }
  RETURN_IF_ERROR(ExpectOperator("]"));
  return Make(EKind::kSlice, at_line, "", std::move(object), std::move(part[0]), std::move(part[1]),
              std::move(part[2]));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseCall(ExpressionPtr callee) {
  ExpressionPtr call = New(EKind::kCall, line());
  Add(std::move(callee), *call);
  RETURN_IF_ERROR(ParseArguments(*call));
  return Checked(std::move(call));
}

absl::Status ExpressionParser::ParseArguments(Expression& call) {
  RETURN_IF_ERROR(ExpectOperator("("));
  while (!SkipOperator(")")) {
    if (IsOperator("*") || IsOperator("**")) {
      return ErrorAt(line(), "argument lists with * or ** are not supported");
    }
    if (Now().kind == Kind::kName && Is(Next(), Kind::kOperator, "=")) {
      std::string name = Now().text;
      at_ += 2;
      ASSIGN_OR_RETURN(ExpressionPtr value, ParseExpression());
      call.depth = std::max(call.depth, value->depth + 1);
      call.named.emplace_back(std::move(name), std::move(value));
    } else if (!call.named.empty()) {
      return Expected("a named argument after another one");
    } else {
      ASSIGN_OR_RETURN(ExpressionPtr value, ParseExpression());
      Add(std::move(value), call);
    }
    if (!IsOperator(")")) RETURN_IF_ERROR(ExpectOperator(","));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseFilters(ExpressionPtr node) {
  while (true) {
    if (SkipOperator("|")) {
      ASSIGN_OR_RETURN(node, ParseFilter(std::move(node)));
    } else if (node && IsName("is")) {
      ASSIGN_OR_RETURN(node, ParseTest(std::move(node)));
    } else if (node && IsOperator("(")) {
      ASSIGN_OR_RETURN(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseFilter(ExpressionPtr input) {
  const int at_line = line();
  ASSIGN_OR_RETURN(std::string name, ExpectName());
  ExpressionPtr filter = New(EKind::kFilter, at_line, std::move(name));
  Add(std::move(input), *filter);
  if (IsOperator("(")) RETURN_IF_ERROR(ParseArguments(*filter));
  return Checked(std::move(filter));
}

absl::StatusOr<ExpressionPtr> ExpressionParser::ParseTest(ExpressionPtr input) {
  const int at_line = tokens_[at_++].line;
  const bool negated = SkipName("not");
  ASSIGN_OR_RETURN(std::string name, ExpectName());
  ExpressionPtr test = New(EKind::kTest, at_line, std::move(name));
  Add(std::move(input), *test);
  if (IsOperator("(")) {
    RETURN_IF_ERROR(ParseArguments(*test));
  } else if (BeginsTestArgument()) {
    if (IsName("is")) return ErrorAt(line(), "tests cannot be chained with 'is'");
    ASSIGN_OR_RETURN(ExpressionPtr argument, ParsePrimary());
    ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    Add(std::move(argument), *test);
  }
  ASSIGN_OR_RETURN(test, Checked(std::move(test)));
  return negated ? Make(EKind::kNot, at_line, "", std::move(test)) : std::move(test);
}

bool ExpressionParser::BeginsTestArgument() const {
  switch (Now().kind) {
    case Kind::kName: return !IsOneOf(Now(), Kind::kName, {"else", "or", "and"});
    case Kind::kString:
    case Kind::kInteger:
    case Kind::kFloat: return true;
    default: return IsOperator("[") || IsOperator("{");
  }
}

}  // namespace spotinference::jinja
