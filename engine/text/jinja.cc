#include "engine/text/jinja.h"

#include <algorithm>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_builtins.h"
#include "engine/text/jinja_lexer.h"
#include "engine/text/jinja_loop.h"
#include "engine/text/jinja_parser.h"

namespace spotinference::jinja {
namespace {

using Kind = Expression::Kind;
using ValueOr = absl::StatusOr<Value>;

// The variables of a loop's round, a macro's call or the whole template.
struct Scope {
  Variables variables;
  std::shared_ptr<Scope> parent;
  std::shared_ptr<Loop> loop;

  Value* Find(std::string_view name) {
    for (auto& [key, value] : variables) {
      if (key == name) return &value;
    }
    return nullptr;
  }

  void Set(std::string_view name, Value value) {
    if (Value* existing = Find(name)) {
      *existing = std::move(value);
    } else {
      variables.emplace_back(std::string(name), std::move(value));
    }
  }
};

// Adds the line to an error that has no place yet.
absl::Status Located(int line, const absl::Status& status) {
  if (status.code() != absl::StatusCode::kInvalidArgument) return status;
  if (absl::StartsWith(status.message(), "line ")) return status;
  return ErrorAt(line, std::string(status.message()));
}

class Renderer {
 public:
  Renderer(const Variables& variables, absl::CivilSecond now, const Limits& limits)
      : context_{.budget = Budget(limits), .now = now, .namespaces = {}},
        scope_(std::make_shared<Scope>()) {
    scope_->variables = variables;
  }

  absl::StatusOr<Text> Run(const Block& block) {
    RETURN_IF_ERROR(Execute(block).status());
    return std::move(out_);
  }

 private:
  enum class Flow { kOn, kBreak, kContinue };

  struct Nesting {
    explicit Nesting(Renderer& renderer) : renderer(renderer) { ++renderer.depth_; }
    ~Nesting() { --renderer.depth_; }
    Renderer& renderer;
  };

  absl::Status Enter() {
    RETURN_IF_ERROR(context_.budget.Spend(1));
    if (depth_ <= context_.budget.limits().max_depth) return absl::OkStatus();
    return Budget::OutOf("levels of depth", context_.budget.limits().max_depth);
  }

  // --- Statements

  absl::StatusOr<Flow> Execute(const Block& block) {
    for (const Statement& statement : block) {
      ASSIGN_OR_RETURN(const Flow flow, Execute(statement));
      if (flow != Flow::kOn) return flow;
    }
    return Flow::kOn;
  }

  absl::StatusOr<Flow> Execute(const Statement& statement) {
    const Nesting nesting(*this);
    RETURN_IF_ERROR(Enter());
    switch (statement.kind) {
      case Statement::Kind::kText: RETURN_IF_ERROR(Print({statement.name, {}})); return Flow::kOn;
      case Statement::Kind::kOutput: {
        ASSIGN_OR_RETURN(const Value value, Evaluate(*statement.expression));
        const absl::StatusOr<Text> text = ToText(context_.budget, value);
        if (!text.ok()) return Located(statement.line, text.status());
        RETURN_IF_ERROR(Print(*text));
        return Flow::kOn;
      }
      case Statement::Kind::kIf: {
        ASSIGN_OR_RETURN(const Value condition, Evaluate(*statement.expression));
        return Execute(condition.IsTrue() ? statement.body : statement.otherwise);
      }
      case Statement::Kind::kFor: return ExecuteFor(statement);
      case Statement::Kind::kSet: {
        ASSIGN_OR_RETURN(Value value, Evaluate(*statement.expression));
        RETURN_IF_ERROR(Assign(statement, std::move(value), *scope_));
        return Flow::kOn;
      }
      case Statement::Kind::kSetBlock:
      case Statement::Kind::kFilterBlock:
        RETURN_IF_ERROR(ExecuteCapture(statement));
        return Flow::kOn;
      case Statement::Kind::kMacro:
        scope_->Set(statement.name, MakeMacro(statement));
        return Flow::kOn;
      case Statement::Kind::kCallBlock: {
        ASSIGN_OR_RETURN(const Value value, Call(*statement.expression, MakeMacro(statement)));
        ASSIGN_OR_RETURN(const Text text, ToText(context_.budget, value));
        RETURN_IF_ERROR(Print(text));
        return Flow::kOn;
      }
      case Statement::Kind::kGroup: return Execute(statement.body);
      case Statement::Kind::kBreak: return Flow::kBreak;
      case Statement::Kind::kContinue: return Flow::kContinue;
    }
    return Flow::kOn;  // not reached
  }

  absl::Status Print(const Text& text) {
    const size_t most = context_.budget.limits().max_output_bytes;
    if (text.bytes.size() > most - std::min(most, out_.bytes.size())) {
      return Budget::OutOf("bytes of output", most);
    }
    out_.Append(text);
    return absl::OkStatus();
  }

  absl::Status Assign(const Statement& statement, Value value, Scope& scope) {
    const Target& target = statement.target;
    if (!target.attribute.empty()) {
      const Value space = Lookup(target.names[0]);
      if (!space.is_namespace()) {
        return ErrorAt(statement.line,
                       absl::StrCat("cannot set '", target.names[0], ".", target.attribute,
                                    "': only a namespace's attributes can be set"));
      }
      RETURN_IF_ERROR(context_.budget.Spend(space.space().attributes.size()));
      space.space().Set(target.attribute, std::move(value));
      return absl::OkStatus();
    }
    if (!target.is_tuple) {
      scope.Set(target.names[0], std::move(value));
      return absl::OkStatus();
    }
    const absl::StatusOr<std::vector<Value>> parts = Items(context_.budget, value);
    if (!parts.ok()) return Located(statement.line, parts.status());
    if (parts->size() != target.names.size()) {
      return ErrorAt(statement.line,
                     absl::StrCat("cannot take ", parts->size(), " values apart into ",
                                  target.names.size(), " names"));
    }
    for (size_t i = 0; i < parts->size(); ++i) scope.Set(target.names[i], (*parts)[i]);
    return absl::OkStatus();
  }

  // Runs `run` with a scope of its own.
  template <typename Run>
  auto InScope(std::shared_ptr<Scope> parent, Run run) {
    std::shared_ptr<Scope> scope = std::make_shared<Scope>();
    scope->parent = std::move(parent);
    std::swap(scope_, scope);
    auto result = run(*scope_);
    std::swap(scope_, scope);
    return result;
  }

  // The next item of `cursor` that passes the loop's condition.
  absl::StatusOr<std::optional<Value>> NextOf(const Statement& loop, Cursor& cursor,
                                              const std::shared_ptr<Scope>& parent) {
    while (true) {
      absl::StatusOr<std::optional<Value>> item = cursor.Next();
      if (!item.ok()) return Located(loop.line, item.status());
      if (!*item || !loop.condition) return item;
      ASSIGN_OR_RETURN(const Value passes, InScope(parent, [&](Scope& scope) -> ValueOr {
                         RETURN_IF_ERROR(Assign(loop, **item, scope));
                         return Evaluate(*loop.condition);
                       }));
      if (passes.IsTrue()) return item;
    }
  }

  absl::StatusOr<Flow> ExecuteFor(const Statement& loop) {
    ASSIGN_OR_RETURN(const Value over, Evaluate(*loop.expression));
    return ExecuteLoop(loop, over, scope_, 0);
  }

  absl::StatusOr<Flow> ExecuteLoop(const Statement& statement, const Value& over,
                                   const std::shared_ptr<Scope>& parent, int depth) {
    absl::StatusOr<Cursor> cursor = Cursor::Over(context_.budget, over);
    if (!cursor.ok()) return Located(statement.line, cursor.status());
    const auto next = [this, &statement, cursor = *cursor, parent]() mutable {
      return NextOf(statement, cursor, parent);
    };
    Loop::Recurse recurse;
    if (statement.is_recursive) {
      recurse = [this, &statement, parent](const Value& items, int inner_depth) -> ValueOr {
        const Nesting nesting(*this);
        RETURN_IF_ERROR(Enter());
        ASSIGN_OR_RETURN(Text text, CaptureOutput([&] {
                           return ExecuteLoop(statement, items, parent, inner_depth).status();
                         }));
        return Value::FromText(std::move(text));
      };
    }
    const auto length = statement.condition ? std::nullopt : cursor->Length();
    const auto loop = std::make_shared<Loop>(context_.budget, next, length, recurse, depth);
    const absl::StatusOr<Flow> flow = Rounds(statement, loop, parent);
    loop->End();
    return flow;
  }

  absl::StatusOr<Flow> Rounds(const Statement& statement, const std::shared_ptr<Loop>& loop,
                              const std::shared_ptr<Scope>& parent) {
    ASSIGN_OR_RETURN(bool more, loop->Advance());
    if (!more) {
      return InScope(parent, [&](Scope&) { return Execute(statement.otherwise); });
    }
    while (more) {
      ASSIGN_OR_RETURN(const Flow flow, InScope(parent, [&](Scope& scope) -> absl::StatusOr<Flow> {
                         scope.loop = loop;
                         RETURN_IF_ERROR(Assign(statement, loop->item(), scope));
                         return Execute(statement.body);
                       }));
      if (flow == Flow::kBreak) break;
      ASSIGN_OR_RETURN(more, loop->Advance());
    }
    return Flow::kOn;
  }

  // What `print` prints.
  template <typename PrintFunction>
  absl::StatusOr<Text> CaptureOutput(PrintFunction print) {
    Text outer = std::exchange(out_, {});
    const absl::Status status = print();
    Text captured = std::exchange(out_, std::move(outer));
    RETURN_IF_ERROR(status);
    RETURN_IF_ERROR(context_.budget.SpendBytes(captured.bytes.size()));
    return captured;
  }

  // What `block` prints, in a scope of its own.
  absl::StatusOr<Text> Capture(const Block& block, std::shared_ptr<Scope> parent,
                               Variables variables) {
    return CaptureOutput([&] {
      return InScope(std::move(parent), [&](Scope& scope) {
        scope.variables = std::move(variables);
        return Execute(block).status();
      });
    });
  }

  absl::Status ExecuteCapture(const Statement& block) {
    ASSIGN_OR_RETURN(Text captured, Capture(block.body, scope_, {}));
    Value value = Value::FromText(std::move(captured));
    if (block.expression) {
      block_input_.push_back(std::move(value));
      ValueOr filtered = Evaluate(*block.expression);
      block_input_.pop_back();
      ASSIGN_OR_RETURN(value, std::move(filtered));
    }
    if (block.kind == Statement::Kind::kSetBlock) return Assign(block, std::move(value), *scope_);
    ASSIGN_OR_RETURN(const Text text, ToText(context_.budget, value));
    return Print(text);
  }

  Value MakeMacro(const Statement& macro) {
    return Value::MakeFunction(
        {.name = macro.name,
         // Weak: the scope holds the macro.
         .call = [this, &macro, scope = std::weak_ptr<Scope>(scope_)](const Arguments& arguments) {
           return CallMacro(macro, scope.lock(), arguments);
         }});
  }

  // Takes out of `arguments` what the macro takes beyond its parameters.
  static Variables TakeExtras(const Statement& macro, Arguments& arguments) {
    Variables extras;
    const auto is_parameter = [&](std::string_view name) {
      return std::any_of(macro.parameters.begin(), macro.parameters.end(),
                         [&](const auto& parameter) { return parameter.first == name; });
    };
    if (macro.takes_varargs && !is_parameter("varargs")) {
      std::vector<Value>& all = arguments.positional;
      const auto rest = all.begin() + std::min(all.size(), macro.parameters.size());
      extras.emplace_back("varargs", Value::MakeList({rest, all.end()}, Value::ListKind::kTuple));
      all.erase(rest, all.end());
    }
    const bool takes_caller = macro.takes_caller && !is_parameter("caller");
    const bool takes_kwargs = macro.takes_kwargs && !is_parameter("kwargs");
    Value caller = Value::MakeUndefined("caller");
    std::vector<std::pair<Value, Value>> kwargs;
    std::erase_if(arguments.named, [&](auto& argument) {
      auto& [name, value] = argument;
      if (is_parameter(name)) return false;
      if (takes_caller && name == "caller") {
        caller = std::move(value);
      } else if (takes_kwargs) {
        kwargs.emplace_back(Value::String(name), std::move(value));
      } else {
        return false;
      }
      return true;
    });
    if (takes_caller) extras.emplace_back("caller", std::move(caller));
    if (takes_kwargs) extras.emplace_back("kwargs", Value::MakeMap(std::move(kwargs)));
    return extras;
  }

  ValueOr CallMacro(const Statement& macro, std::shared_ptr<Scope> parent, Arguments arguments) {
    if (!parent) return Invalid("the macro's block has ended");
    std::vector<std::string_view> names;
    for (const auto& [name, standard] : macro.parameters) names.push_back(name);
    Variables extras = TakeExtras(macro, arguments);
    ASSIGN_OR_RETURN(const std::vector<const Value*> bound, Bind(arguments, names));
    // Defaults see the macro's surroundings and the parameters before them.
    ASSIGN_OR_RETURN(Variables variables,
                     InScope(parent, [&](Scope& scope) -> absl::StatusOr<Variables> {
                       scope.variables = std::move(extras);
                       for (size_t i = 0; i < names.size(); ++i) {
                         if (bound[i]) {
                           scope.Set(names[i], *bound[i]);
                         } else if (macro.parameters[i].second) {
                           ASSIGN_OR_RETURN(Value value, Evaluate(*macro.parameters[i].second));
                           scope.Set(names[i], std::move(value));
                         } else {
                           scope.Set(names[i], Value::MakeUndefined(std::string(names[i])));
                         }
                       }
                       return scope.variables;
                     }));
    ASSIGN_OR_RETURN(Text text, Capture(macro.body, std::move(parent), std::move(variables)));
    return Value::FromText(std::move(text));
  }

  // --- Expressions

  Value Lookup(std::string_view name) {
    for (Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
      if (const Value* found = scope->Find(name)) return *found;
      if (scope->loop && name == "loop") return Value::MakeLoop(scope->loop);
    }
    return FindGlobal(context_, name);
  }

  ValueOr Evaluate(const Expression& node) {
    const Nesting nesting(*this);
    RETURN_IF_ERROR(Enter());
    ValueOr value = Dispatch(node);
    if (value.ok()) value = BoundedDepth(*std::move(value));
    if (!value.ok()) return Located(node.line, value.status());
    return value;
  }

  ValueOr Operand(const Expression& node, size_t i) { return Evaluate(*node.operands[i]); }

  ValueOr Dispatch(const Expression& node) {
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

  ValueOr EvaluateList(const Expression& node) {
    std::vector<Value> items;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      ASSIGN_OR_RETURN(Value item, Operand(node, i));
      items.push_back(std::move(item));
    }
    const bool is_tuple = node.kind == Kind::kTuple;
    return Value::MakeList(std::move(items),
                           is_tuple ? Value::ListKind::kTuple : Value::ListKind::kList);
  }

  ValueOr EvaluateMap(const Expression& node) {
    std::vector<std::pair<Value, Value>> entries;
    for (size_t i = 0; i < node.operands.size(); i += 2) {
      ASSIGN_OR_RETURN(Value key, Operand(node, i));
      if (!key.CanBeKey()) return Invalid("a key must be a string, a number or none here");
      ASSIGN_OR_RETURN(Value value, Operand(node, i + 1));
      entries.emplace_back(std::move(key), std::move(value));
    }
    return Value::MakeMap(std::move(entries));
  }

  ValueOr EvaluateItem(const Expression& node) {
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

  ValueOr EvaluateSlice(const Expression& node) {
    ASSIGN_OR_RETURN(const Value object, Operand(node, 0));
    Value part[3];
    for (size_t i = 0; i < 3; ++i) {
      if (!node.operands[i + 1]) continue;
      ASSIGN_OR_RETURN(part[i], Operand(node, i + 1));
    }
    return Slice(context_.budget, object, part[0], part[1], part[2]);
  }

  absl::StatusOr<Arguments> EvaluateArguments(const Expression& node) {
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

  // Says which function or filter could not work.
  static absl::Status In(std::string_view name, const absl::Status& status) {
    if (status.code() != absl::StatusCode::kInvalidArgument) return status;
    if (absl::StartsWith(status.message(), "line ")) return status;
    return Invalid(absl::StrCat(std::string(name), ": ", status.message()));
  }

  ValueOr EvaluateCall(const Expression& node) { return Call(node, std::nullopt); }

  // `caller`: what a call block hands over.
  ValueOr Call(const Expression& node, std::optional<Value> caller) {
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

  ValueOr EvaluateFilter(const Expression& node) {
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

  ValueOr EvaluateTest(const Expression& node) {
    ASSIGN_OR_RETURN(const Value input, Operand(node, 0));
    ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(node));
    const Test test = FindTest(node.name);
    if (test == nullptr) return Invalid(absl::StrCat("there is no test '", node.name, "'"));
    const absl::StatusOr<bool> result = test(context_, input, arguments);
    if (!result.ok()) return In(node.name, result.status());
    return *result;
  }

  ValueOr EvaluateUnary(const Expression& node) {
    ASSIGN_OR_RETURN(Value operand, Operand(node, 0));
    if (node.kind == Kind::kNot) return !operand.IsTrue();
    if (node.kind == Kind::kNegate) return Negate(operand);
    if (operand.is_number()) return operand;
    return Invalid(absl::StrCat("'+' does not work on ", std::string(operand.TypeName())));
  }

  ValueOr EvaluateBinary(const Expression& node) {
    ASSIGN_OR_RETURN(const Value left, Operand(node, 0));
    ASSIGN_OR_RETURN(const Value right, Operand(node, 1));
    if (node.name != "%" || !left.is_string()) {
      return Arithmetic(context_.budget, node.name, left, right);
    }
    Arguments arguments;
    if (right.is_tuple()) {
      arguments.positional = right.items();
    } else if (right.is_map()) {
      for (const auto& [key, value] : right.map().entries) {
        if (key.is_string()) arguments.named.emplace_back(key.bytes(), value);
      }
    } else {
      arguments.positional.push_back(right);
    }
    return FormatPercent(context_.budget, left.text(), arguments);
  }

  ValueOr EvaluateConcat(const Expression& node) {
    Text joined;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      ASSIGN_OR_RETURN(const Value part, Operand(node, i));
      ASSIGN_OR_RETURN(const Text text, ToText(context_.budget, part));
      RETURN_IF_ERROR(context_.budget.SpendBytes(text.bytes.size()));
      joined.Append(text);
    }
    return Value::FromText(std::move(joined));
  }

  ValueOr EvaluateCompare(const Expression& node) {
    ASSIGN_OR_RETURN(Value left, Operand(node, 0));
    for (size_t i = 0; i < node.names.size(); ++i) {
      ASSIGN_OR_RETURN(Value right, Operand(node, i + 1));
      ASSIGN_OR_RETURN(const bool holds, Compare(node.names[i], left, right));
      if (!holds) return false;
      left = std::move(right);
    }
    return true;
  }

  absl::StatusOr<bool> Compare(const std::string& op, const Value& left, const Value& right) {
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

  Context context_;
  std::shared_ptr<Scope> scope_;
  std::vector<Value> block_input_;  // what the head of a block's filters takes, innermost last
  Text out_;
  int depth_ = 0;
};

}  // namespace

absl::StatusOr<Template> Template::Parse(std::string_view source) {
  ASSIGN_OR_RETURN(Block block, ParseTemplate(source));
  return Template(std::move(block));
}

absl::StatusOr<Text> Template::Render(const Variables& variables, absl::CivilSecond now,
                                      const Limits& limits) const {
  return Renderer(variables, now, limits).Run(*block_);
}

}  // namespace spotinference::jinja
