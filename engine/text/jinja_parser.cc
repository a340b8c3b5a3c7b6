#include "engine/text/jinja_parser.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_builtins.h"
#include "engine/text/jinja_lexer.h"

namespace spotinference::jinja {
namespace {

using Kind = Token::Kind;
using EKind = Expression::Kind;
using SKind = Statement::Kind;
using Words = std::initializer_list<std::string_view>;
using ParsedExpression = absl::StatusOr<ExpressionPtr>;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  absl::StatusOr<Block> Run() { return ParseBlock({}); }

 private:
  // --- Tokens

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

  // --- Depth: of recursion here, and of the trees that are made, which are walked and destroyed by recursion.

  struct Nesting {
    explicit Nesting(Parser& parser) : parser(parser) { ++parser.depth_; }
    ~Nesting() { --parser.depth_; }
    Parser& parser;
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

  // --- Statements

  // Up to a tag whose name is one of `ends`, which is the current token then, or, without any, to the end.
  absl::StatusOr<Block> ParseBlock(Words ends) {
    const Nesting nesting(*this);
    RETURN_IF_ERROR(CheckDepth(depth_));
    Block block;
    while (true) {
      const Token& token = Now();
      switch (token.kind) {
        case Kind::kData:
          block.push_back({.kind = SKind::kText, .line = token.line, .name = token.text});
          ++at_;
          break;
        case Kind::kVariableBegin: {
          ++at_;
          Statement output = {.kind = SKind::kOutput, .line = token.line};
          ASSIGN_OR_RETURN(output.expression, ParseTuple());
          RETURN_IF_ERROR(ExpectKind(Kind::kVariableEnd, "'}}'"));
          block.push_back(std::move(output));
          break;
        }
        case Kind::kBlockBegin: {
          ++at_;
          if (IsOneOf(Now(), Kind::kName, ends)) return block;
          ASSIGN_OR_RETURN(Statement statement, ParseStatement(ends));
          block.push_back(std::move(statement));
          RETURN_IF_ERROR(ExpectKind(Kind::kBlockEnd, "'%}'"));
          break;
        }
        default:
          if (ends.size() == 0) return block;
          return Expected(absl::StrCat("{% ", std::string(*(ends.end() - 1)), " %}"));
      }
    }
  }

  // A block after a tag's head, with its closing tag's name.
  absl::StatusOr<Block> ParseBody(Words ends) {
    RETURN_IF_ERROR(ExpectKind(Kind::kBlockEnd, "'%}'"));
    return ParseBlock(ends);
  }

  absl::StatusOr<Statement> ParseStatement(Words ends) {
    Statement statement = {.kind = SKind::kGroup, .line = line()};
    if (Now().kind != Kind::kName) return Expected("the name of a tag");
    const std::string tag = Now().text;
    absl::Status status;
    if (SkipName("if")) {
      status = ParseIf(statement);
    } else if (SkipName("for")) {
      status = ParseFor(statement);
    } else if (SkipName("set")) {
      status = ParseSet(statement);
    } else if (SkipName("macro")) {
      status = ParseMacro(statement);
    } else if (SkipName("filter")) {
      status = ParseFilterBlock(statement);
    } else if (SkipName("generation")) {  // marks what an assistant said, for training; prints as is
      status = ParseGroup(statement);
    } else if (IsOneOf(Now(), Kind::kName, {"break", "continue"})) {
      if (loops_ == 0) return ErrorAt(line(), absl::StrCat("'", tag, "' outside a loop"));
      statement.kind = SkipName("break") ? SKind::kBreak : (++at_, SKind::kContinue);
    } else if (ends.size() > 0) {
      status = Expected(absl::StrCat("a known tag or {% ", std::string(*(ends.end() - 1)), " %}"));
    } else {
      status = Expected("a known tag");
    }
    RETURN_IF_ERROR(status);
    return statement;
  }

  // After "if" or "elif". An elif is an if in the other's `otherwise`, but parsed in a loop: chains may be long.
  absl::Status ParseIf(Statement& first) {
    std::vector<Statement> chain;
    Block otherwise;
    chain.push_back({.kind = SKind::kIf, .line = line()});
    while (true) {
      RETURN_IF_ERROR(CheckDepth(static_cast<int>(chain.size())));
      ASSIGN_OR_RETURN(chain.back().expression, ParseTuple(/*with_conditional=*/false));
      ASSIGN_OR_RETURN(chain.back().body, ParseBody({"elif", "else", "endif"}));
      if (!SkipName("elif")) break;
      chain.push_back({.kind = SKind::kIf, .line = line()});
    }
    if (SkipName("else")) {
      ASSIGN_OR_RETURN(otherwise, ParseBody({"endif"}));
    }
    ++at_;  // endif
    while (true) {
      chain.back().otherwise = std::move(otherwise);
      if (chain.size() == 1) break;
      otherwise.clear();
      otherwise.push_back(std::move(chain.back()));
      chain.pop_back();
    }
    first = std::move(chain.front());
    return absl::OkStatus();
  }

  absl::Status ParseFor(Statement& loop) {
    loop.kind = SKind::kFor;
    ASSIGN_OR_RETURN(loop.target, ParseTarget(/*with_attribute=*/false));
    if (!SkipName("in")) return Expected("'in'");
    ASSIGN_OR_RETURN(loop.expression, ParseTuple(/*with_conditional=*/false));
    if (SkipName("if")) {
      ASSIGN_OR_RETURN(loop.condition, ParseExpression());
    }
    if (IsName("recursive")) return ErrorAt(line(), "recursive loops are not supported");
    ++loops_;
    absl::StatusOr<Block> body = ParseBody({"else", "endfor"});
    --loops_;
    ASSIGN_OR_RETURN(loop.body, std::move(body));
    if (SkipName("else")) {
      ASSIGN_OR_RETURN(loop.otherwise, ParseBody({"endfor"}));
    }
    ++at_;  // endfor
    return absl::OkStatus();
  }

  absl::Status ParseSet(Statement& set) {
    ASSIGN_OR_RETURN(set.target, ParseTarget(/*with_attribute=*/true));
    if (SkipOperator("=")) {
      set.kind = SKind::kSet;
      ASSIGN_OR_RETURN(set.expression, ParseTuple());
      return absl::OkStatus();
    }
    set.kind = SKind::kSetBlock;
    ASSIGN_OR_RETURN(set.expression, ParseFilters(nullptr));
    ASSIGN_OR_RETURN(set.body, ParseBody({"endset"}));
    ++at_;
    return absl::OkStatus();
  }

  absl::Status ParseMacro(Statement& macro) {
    macro.kind = SKind::kMacro;
    ASSIGN_OR_RETURN(macro.name, ExpectName());
    RETURN_IF_ERROR(ExpectOperator("("));
    while (!SkipOperator(")")) {
      if (!macro.parameters.empty()) RETURN_IF_ERROR(ExpectOperator(","));
      ASSIGN_OR_RETURN(std::string name, ExpectName());
      ExpressionPtr standard;
      if (SkipOperator("=")) {
        ASSIGN_OR_RETURN(standard, ParseExpression());
      } else if (!macro.parameters.empty() && macro.parameters.back().second) {
        return ErrorAt(line(), "a parameter without a default after one that has one");
      }
      macro.parameters.emplace_back(std::move(name), std::move(standard));
    }
    const int loops = std::exchange(loops_, 0);
    absl::StatusOr<Block> body = ParseBody({"endmacro"});
    loops_ = loops;
    ASSIGN_OR_RETURN(macro.body, std::move(body));
    ++at_;
    return absl::OkStatus();
  }

  absl::Status ParseFilterBlock(Statement& block) {
    block.kind = SKind::kFilterBlock;
    ASSIGN_OR_RETURN(ExpressionPtr first, ParseFilter(nullptr));
    ASSIGN_OR_RETURN(block.expression, ParseFilters(std::move(first)));
    ASSIGN_OR_RETURN(block.body, ParseBody({"endfilter"}));
    ++at_;
    return absl::OkStatus();
  }

  absl::Status ParseGroup(Statement& group) {
    ASSIGN_OR_RETURN(group.body, ParseBody({"endgeneration"}));
    ++at_;
    return absl::OkStatus();
  }

  absl::StatusOr<Target> ParseTarget(bool with_attribute) {
    Target target;
    const bool bracketed = SkipOperator("(");
    do {
      if (!target.names.empty() && Now().kind != Kind::kName) break;  // a trailing comma
      ASSIGN_OR_RETURN(std::string name, ExpectName());
      if (IsReserved(name)) return ErrorAt(line(), absl::StrCat("cannot assign to '", name, "'"));
      target.names.push_back(std::move(name));
      if (target.names.size() == 1 && with_attribute && !bracketed && SkipOperator(".")) {
        ASSIGN_OR_RETURN(target.attribute, ExpectName());
        return target;
      }
      target.is_tuple |= IsOperator(",");
    } while (SkipOperator(","));
    if (bracketed) RETURN_IF_ERROR(ExpectOperator(")"));
    return target;
  }

  static bool IsReserved(std::string_view name) {
    constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None"};
    return std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved);
  }

  // --- Expressions, from the loosest binding to the tightest

  // An expression, or several with commas between them: a tuple.
  ParsedExpression ParseTuple(bool with_conditional = true, bool in_brackets = false) {
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

  bool IsTupleEnd() const {
    return Now().kind == Kind::kVariableEnd || Now().kind == Kind::kBlockEnd || IsOperator(")") ||
           IsName("recursive");
  }

  ParsedExpression ParseExpression() {
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

  ParsedExpression ParseOr() {
    ASSIGN_OR_RETURN(ExpressionPtr node, ParseAnd());
    while (IsName("or")) {
      const int at_line = tokens_[at_++].line;
      ASSIGN_OR_RETURN(ExpressionPtr right, ParseAnd());
      ASSIGN_OR_RETURN(node, Make(EKind::kOr, at_line, "", std::move(node), std::move(right)));
    }
    return node;
  }

  ParsedExpression ParseAnd() {
    ASSIGN_OR_RETURN(ExpressionPtr node, ParseNot());
    while (IsName("and")) {
      const int at_line = tokens_[at_++].line;
      ASSIGN_OR_RETURN(ExpressionPtr right, ParseNot());
      ASSIGN_OR_RETURN(node, Make(EKind::kAnd, at_line, "", std::move(node), std::move(right)));
    }
    return node;
  }

  ParsedExpression ParseNot() {
    if (!IsName("not")) return ParseCompare();
    const Nesting nesting(*this);
    RETURN_IF_ERROR(CheckDepth(depth_));
    const int at_line = tokens_[at_++].line;
    ASSIGN_OR_RETURN(ExpressionPtr operand, ParseNot());
    return Make(EKind::kNot, at_line, "", std::move(operand));
  }

  ParsedExpression ParseCompare() {
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

  ParsedExpression ParseSum() {
    return ParseBinary({"+", "-"}, &Parser::ParseConcat);
  }

  ParsedExpression ParseConcat() {
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

  ParsedExpression ParseProduct() {
    return ParseBinary({"*", "/", "//", "%"}, &Parser::ParsePower);
  }

  ParsedExpression ParsePower() {
    return ParseBinary({"**"}, &Parser::ParseUnaryWithFilters);
  }

  ParsedExpression ParseBinary(Words operators, ParsedExpression (Parser::*parse_operand)()) {
    ASSIGN_OR_RETURN(ExpressionPtr node, (this->*parse_operand)());
    while (IsOneOf(Now(), Kind::kOperator, operators)) {
      const Token& op = tokens_[at_++];
      ASSIGN_OR_RETURN(ExpressionPtr right, (this->*parse_operand)());
      ASSIGN_OR_RETURN(node, Make(EKind::kBinary, op.line, op.text, std::move(node), std::move(right)));
    }
    return node;
  }

  ParsedExpression ParseUnaryWithFilters() {
    ASSIGN_OR_RETURN(ExpressionPtr node, ParseUnary());
    return ParseFilters(std::move(node));
  }

  ParsedExpression ParseUnary() {
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

  ParsedExpression ParsePrimary() {
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
      case Kind::kFloat:
        ++at_;
        return ParseNumber(token);
      case Kind::kOperator:
        if (SkipOperator("(")) {
          ASSIGN_OR_RETURN(ExpressionPtr node, ParseTuple(true, /*in_brackets=*/true));
          RETURN_IF_ERROR(ExpectOperator(")"));
          return node;
        }
        if (SkipOperator("[")) return ParseList(token.line);
        if (SkipOperator("{")) return ParseMap(token.line);
        [[fallthrough]];
      default:
        return Expected("an expression");
    }
  }

  ParsedExpression Constant(Value value, int line) const {
    ExpressionPtr node = New(EKind::kConstant, line);
    node->value = std::move(value);
    return node;
  }

  ParsedExpression ParseNumber(const Token& token) const {
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

  ParsedExpression ParseList(int at_line) {
    ExpressionPtr list = New(EKind::kList, at_line);
    while (!SkipOperator("]")) {
      ASSIGN_OR_RETURN(ExpressionPtr item, ParseExpression());
      Add(std::move(item), *list);
      if (!IsOperator("]")) RETURN_IF_ERROR(ExpectOperator(","));
    }
    return Checked(std::move(list));
  }

  ParsedExpression ParseMap(int at_line) {
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

  ParsedExpression ParsePostfix(ExpressionPtr node) {
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

  ParsedExpression ParseSubscript(ExpressionPtr object, int at_line) {
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
    return Make(EKind::kSlice, at_line, "", std::move(object), std::move(part[0]),
                std::move(part[1]), std::move(part[2]));
  }

  ParsedExpression ParseCall(ExpressionPtr callee) {
    ExpressionPtr call = New(EKind::kCall, line());
    Add(std::move(callee), *call);
    RETURN_IF_ERROR(ParseArguments(*call));
    return Checked(std::move(call));
  }

  // At "(".
  absl::Status ParseArguments(Expression& call) {
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

  // Filters, tests and calls after `node`, which may be null where only filters make sense.
  ParsedExpression ParseFilters(ExpressionPtr node) {
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

  ParsedExpression ParseFilter(ExpressionPtr input) {
    const int at_line = line();
    ASSIGN_OR_RETURN(std::string name, ExpectName());
    if (FindFilter(name) == nullptr) {
      return ErrorAt(at_line, absl::StrCat("there is no filter '", name, "'"));
    }
    ExpressionPtr filter = New(EKind::kFilter, at_line, std::move(name));
    Add(std::move(input), *filter);
    if (IsOperator("(")) RETURN_IF_ERROR(ParseArguments(*filter));
    return Checked(std::move(filter));
  }

  // At "is".
  ParsedExpression ParseTest(ExpressionPtr input) {
    const int at_line = tokens_[at_++].line;
    const bool negated = SkipName("not");
    ASSIGN_OR_RETURN(std::string name, ExpectName());
    if (FindTest(name) == nullptr) {
      return ErrorAt(at_line, absl::StrCat("there is no test '", name, "'"));
    }
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

  bool BeginsTestArgument() const {
    switch (Now().kind) {
      case Kind::kName: return !IsOneOf(Now(), Kind::kName, {"else", "or", "and"});
      case Kind::kString:
      case Kind::kInteger:
      case Kind::kFloat: return true;
      default: return IsOperator("[") || IsOperator("{");
    }
  }

  const std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;  // around this place, within the same macro
};

}  // namespace

absl::StatusOr<Block> ParseTemplate(std::string_view source) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return Parser(std::move(tokens)).Run();
}

}  // namespace spotinference::jinja
