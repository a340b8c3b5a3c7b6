#include "engine/text/jinja_parser.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_builtins.h"
#include "engine/text/jinja_expression_parser.h"
#include "engine/text/jinja_lexer.h"

namespace spotinference::jinja {
namespace {

using SKind = Statement::Kind;

class Parser : private ExpressionParser {
 public:
  explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

  absl::StatusOr<Block> Run() { return ParseBlock({}); }

 private:
  // Up to a tag whose name is one of `ends`, which is the current token then, or, without any, to
  // the end.
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
    } else if (SkipName("call")) {
      status = ParseCallBlock(statement);
    } else if (SkipName("with")) {
      status = ParseWith(statement);
    } else if (SkipName("filter")) {
      status = ParseFilterBlock(statement);
    } else if (SkipName(
                   "generation")) {  // marks what an assistant said, for training; prints as is
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

  // After "if" or "elif". An elif is an if in the other's `otherwise`, but parsed in a loop: chains
  // may be long.
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
    loop.is_recursive = SkipName("recursive");
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
    RETURN_IF_ERROR(ParseParameters(macro));
    return ParseMacroBody(macro, "endmacro");
  }

  absl::Status ParseCallBlock(Statement& block) {
    block.kind = SKind::kCallBlock;
    block.name = "caller";
    if (IsOperator("(")) RETURN_IF_ERROR(ParseParameters(block));
    ASSIGN_OR_RETURN(block.expression, ParseExpression());
    if (block.expression->kind != EKind::kCall) return ErrorAt(block.line, "expected a call");
    return ParseMacroBody(block, "endcall");
  }

  absl::Status ParseParameters(Statement& macro) {
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
    return absl::OkStatus();
  }

  // Up to and past {% `end` %}.
  absl::Status ParseMacroBody(Statement& macro, std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    const size_t begin = at_;
    absl::StatusOr<Block> body = ParseBody({end});
    loops_ = loops;
    ASSIGN_OR_RETURN(macro.body, std::move(body));
    // A macro takes more than its parameters only if it speaks of what that would be.
    const auto mentions = [&](std::string_view name) {
      return std::any_of(tokens_.begin() + begin, tokens_.begin() + at_,
                         [&](const Token& token) { return Is(token, Kind::kName, name); });
    };
    macro.takes_caller = mentions("caller");
    macro.takes_varargs = mentions("varargs");
    macro.takes_kwargs = mentions("kwargs");
    ++at_;
    return absl::OkStatus();
  }

  absl::Status ParseWith(Statement& with) {
    with.kind = SKind::kWith;
    while (Now().kind != Kind::kBlockEnd) {
      if (!with.parameters.empty()) RETURN_IF_ERROR(ExpectOperator(","));
      ASSIGN_OR_RETURN(std::string name, ExpectName());
      if (IsReserved(name)) return ErrorAt(line(), absl::StrCat("cannot assign to '", name, "'"));
      RETURN_IF_ERROR(ExpectOperator("="));
      ASSIGN_OR_RETURN(ExpressionPtr value, ParseExpression());
      with.parameters.emplace_back(std::move(name), std::move(value));
    }
    ASSIGN_OR_RETURN(with.body, ParseBody({"endwith"}));
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

  int loops_ = 0;  // around this place, within the same macro
};

// As Jinja, which compiles a template before it renders any of it: an unknown filter or test is an
// error of the template, but within a branch of an if only when it is reached.
absl::Status CheckNames(const Expression& node, bool in_branch) {
  in_branch |= node.kind == Expression::Kind::kConditional;
  const bool is_filter = node.kind == Expression::Kind::kFilter;
  if (!in_branch && is_filter && FindFilter(node.name) == nullptr) {
    return ErrorAt(node.line, absl::StrCat("there is no filter '", node.name, "'"));
  }
  if (!in_branch && node.kind == Expression::Kind::kTest && FindTest(node.name) == nullptr) {
    return ErrorAt(node.line, absl::StrCat("there is no test '", node.name, "'"));
  }
  for (const ExpressionPtr& operand : node.operands) {
    if (operand) RETURN_IF_ERROR(CheckNames(*operand, in_branch));
  }
  for (const auto& [name, value] : node.named) RETURN_IF_ERROR(CheckNames(*value, in_branch));
  return absl::OkStatus();
}

absl::Status CheckNames(const Block& block, bool in_branch) {
  for (const Statement& statement : block) {
    const bool is_if = statement.kind == SKind::kIf;
    const bool filters_body =
        statement.kind == SKind::kSetBlock || statement.kind == SKind::kFilterBlock;
    if (statement.expression) {
      RETURN_IF_ERROR(CheckNames(*statement.expression, is_if || (in_branch && !filters_body)));
    }
    if (statement.condition) RETURN_IF_ERROR(CheckNames(*statement.condition, false));
    for (const auto& [name, standard] : statement.parameters) {
      const bool is_with = statement.kind == SKind::kWith;
      if (standard) RETURN_IF_ERROR(CheckNames(*standard, in_branch && is_with));
    }
    RETURN_IF_ERROR(CheckNames(statement.body, is_if));
    RETURN_IF_ERROR(CheckNames(statement.otherwise, is_if));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Block> ParseTemplate(std::string_view source) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  ASSIGN_OR_RETURN(Block block, Parser(std::move(tokens)).Run());
  RETURN_IF_ERROR(CheckNames(block, /*in_branch=*/false));
  return block;
}

}  // namespace spotinference::jinja
