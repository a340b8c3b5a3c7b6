// The syntax tree of a Jinja template.
#ifndef ENGINE_TEXT_JINJA_AST_H_
#define ENGINE_TEXT_JINJA_AST_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/jinja_value.h"

namespace spotinference::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind {
    kConstant,   // value
    kName,       // name
    kList,       // operands
    kTuple,      // operands
    kMap,        // operands: key, value, key, value …
    kAttribute,  // operands[0].name
    kItem,       // operands[0][operands[1]]
    kSlice,      // operands[0][operands[1] : operands[2] : operands[3]], null where left out
    kCall,       // operands[0](operands[1 …], named)
    kFilter,     // operands[0] | name(operands[1 …], named); operands[0] is null at the head of a
                 // block's filters
    kTest,       // operands[0] is name(operands[1 …])
    kNot,
    kNegate,
    kPlus,
    kBinary,   // operands[0] name operands[1]: + - * / // % **
    kConcat,   // operands[0] ~ operands[1] ~ …
    kCompare,  // operands[0] names[0] operands[1] names[1] …
    kAnd,
    kOr,
    kConditional,  // operands[0] if operands[1] else operands[2], null where left out
  };

  Kind kind;
  int line;
  int depth = 1;  // of the tree under it
  std::string name;
  Value value;
  std::vector<ExpressionPtr> operands;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  std::vector<std::string> names;
};

struct Statement;
using Block = std::vector<Statement>;

// What {% set %} and {% for %} assign to: names, or one attribute of a namespace.
struct Target {
  std::vector<std::string> names;
  bool is_tuple = false;  // takes a list apart
  std::string attribute;  // of the namespace names[0]
};

struct Statement {
  enum class Kind {
    kText,         // name
    kOutput,       // expression
    kIf,           // expression, body, otherwise
    kFor,          // target in expression, if condition: body, otherwise; is_recursive
    kSet,          // target = expression
    kSetBlock,     // target = body through expression (a chain of filters, or null)
    kFilterBlock,  // body through expression
    kMacro,        // name(parameters): body; takes_…
    kCallBlock,    // expression, a call, with caller(parameters): body; takes_…
    kWith,         // body, with parameters set
    kGroup,        // body
    kBreak,
    kContinue,
  };

  Kind kind;
  int line;
  std::string name;
  Target target;
  ExpressionPtr expression;
  ExpressionPtr condition;
  bool is_recursive = false;
  bool takes_caller = false;  // beyond its parameters
  bool takes_varargs = false;
  bool takes_kwargs = false;
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;  // null: without a default
  Block body;
  Block otherwise;
};

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_AST_H_
