// Expressions of Jinja, by recursive descent; what the parser of statements builds on.
#ifndef ENGINE_TEXT_JINJA_EXPRESSION_PARSER_H_
#define ENGINE_TEXT_JINJA_EXPRESSION_PARSER_H_

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_ast.h"
#include "engine/text/jinja_lexer.h"

namespace spotinference::jinja {

// How deep expressions and blocks may nest. Well-known templates stay under 30.
inline constexpr int kMaxSyntaxDepth = 100;

// Errors are INVALID_ARGUMENT "line N: …".
class ExpressionParser {
 protected:
  using Kind = Token::Kind;
  using EKind = Expression::Kind;
  using Words = std::initializer_list<std::string_view>;
  using ParsedExpression = absl::StatusOr<ExpressionPtr>;

  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Now() const { return tokens_[at_]; }
  const Token& Next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  int line() const { return Now().line; }

  static bool Is(const Token& token, Kind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }
  bool IsName(std::string_view name) const { return Is(Now(), Kind::kName, name); }
  bool IsOperator(std::string_view op) const { return Is(Now(), Kind::kOperator, op); }

  static bool IsOneOf(const Token& token, Kind kind, Words words) {
    return token.kind == kind && std::find(words.begin(), words.end(), token.text) != words.end();
  }

  bool SkipName(std::string_view name) { return IsName(name) && ++at_; }
  bool SkipOperator(std::string_view op) { return IsOperator(op) && ++at_; }

  absl::Status Expected(std::string_view what) const {
    const Token& token = Now();
    const bool quoted = token.kind != Kind::kEnd && token.kind != Kind::kData;
    return ErrorAt(token.line, absl::StrCat("expected ", std::string(what), ", got ",
                                            quoted ? absl::StrCat("'", token.text, "'")
                                            : token.kind == Kind::kEnd ? token.text
                                                                       : "text"));
  }

  absl::Status ExpectOperator(std::string_view op) {
    if (SkipOperator(op)) return absl::OkStatus();
    return Expected(absl::StrCat("'", std::string(op), "'"));
  }

  absl::Status ExpectKind(Kind kind, std::string_view what) {
    if (Now().kind != kind) return Expected(what);
    ++at_;
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ExpectName() {
    if (Now().kind != Kind::kName) return Expected("a name");
    return tokens_[at_++].text;
  }

  // --- Depth: of recursion here, and of the trees that are made, which are walked and destroyed by
  // recursion.

  struct Nesting {
    explicit Nesting(ExpressionParser& parser) : parser(parser) { ++parser.depth_; }
    ~Nesting() { --parser.depth_; }
    ExpressionParser& parser;
  };

  absl::Status CheckDepth(int depth) const {
    if (depth <= kMaxSyntaxDepth) return absl::OkStatus();
    return ErrorAt(line(), absl::StrCat("nested deeper than ", kMaxSyntaxDepth, " levels"));
  }

  ExpressionPtr New(EKind kind, int line, std::string name = "") const {
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->line = line;
    node->name = std::move(name);
    return node;
  }

  static void Add(ExpressionPtr operand, Expression& node) {
    if (operand) node.depth = std::max(node.depth, operand->depth + 1);
    node.operands.push_back(std::move(operand));
  }

  ParsedExpression Checked(ExpressionPtr node) const {
    RETURN_IF_ERROR(CheckDepth(node->depth));
    return node;
  }

  template <typename... Operands>
  ParsedExpression Make(EKind kind, int line, std::string name, Operands... operands) const {
    ExpressionPtr node = New(kind, line, std::move(name));
    (Add(std::move(operands), *node), ...);
    return Checked(std::move(node));
  }

  // --- Expressions, from the loosest binding to the tightest

  // An expression, or several with commas between them: a tuple.
  ParsedExpression ParseTuple(bool with_conditional = true, bool in_brackets = false);
  bool IsTupleEnd() const;
  ParsedExpression ParseExpression();
  ParsedExpression ParseOr();
  ParsedExpression ParseAnd();
  ParsedExpression ParseNot();
  ParsedExpression ParseCompare();
  ParsedExpression ParseSum();
  ParsedExpression ParseConcat();
  ParsedExpression ParseProduct();
  ParsedExpression ParsePower();
  ParsedExpression ParseBinary(Words operators,
                               ParsedExpression (ExpressionParser::*parse_operand)());
  ParsedExpression ParseUnaryWithFilters();
  ParsedExpression ParseUnary();
  ParsedExpression ParsePrimary();
  ParsedExpression Constant(Value value, int line) const;
  ParsedExpression ParseNumber(const Token& token) const;
  ParsedExpression ParseList(int at_line);
  ParsedExpression ParseMap(int at_line);
  ParsedExpression ParsePostfix(ExpressionPtr node);
  ParsedExpression ParseSubscript(ExpressionPtr object, int at_line);
  ParsedExpression ParseCall(ExpressionPtr callee);
  // At "(".
  absl::Status ParseArguments(Expression& call);
  // Filters, tests and calls after `node`, which may be null where only filters make sense.
  ParsedExpression ParseFilters(ExpressionPtr node);
  ParsedExpression ParseFilter(ExpressionPtr input);
  // At "is".
  ParsedExpression ParseTest(ExpressionPtr input);
  bool BeginsTestArgument() const;

  const std::vector<Token> tokens_;  // the last one is kEnd
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_EXPRESSION_PARSER_H_
