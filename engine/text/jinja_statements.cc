// The renderer's statements.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/text/jinja_lexer.h"
#include "engine/text/jinja_renderer.h"

namespace spotinference::jinja {

absl::Status Renderer::Located(int line, const absl::Status& status) {
  if (status.code() != absl::StatusCode::kInvalidArgument) return status;
  if (absl::StartsWith(status.message(), "line ")) return status;
  return ErrorAt(line, std::string(status.message()));
}

absl::StatusOr<Renderer::Flow> Renderer::Execute(const Block& block) {
  for (const Statement& statement : block) {
    ASSIGN_OR_RETURN(const Flow flow, Execute(statement));
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

absl::StatusOr<Renderer::Flow> Renderer::Execute(const Statement& statement) {
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
    case Statement::Kind::kWith: return ExecuteWith(statement);
    case Statement::Kind::kGroup: return Execute(statement.body);
    case Statement::Kind::kBreak: return Flow::kBreak;
    case Statement::Kind::kContinue: return Flow::kContinue;
  }
  return Flow::kOn;  // not reached
}

absl::Status Renderer::Print(const Text& text) {
  const size_t most = context_.budget.limits().max_output_bytes;
  if (text.bytes.size() > most - std::min(most, out_.bytes.size())) {
    return Budget::OutOf("bytes of output", most);
  }
  out_.Append(text);
  return absl::OkStatus();
}

absl::Status Renderer::Assign(const Statement& statement, Value value, Scope& scope) {
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

absl::StatusOr<std::optional<Value>> Renderer::NextOf(const Statement& loop, Cursor& cursor,
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

absl::StatusOr<Renderer::Flow> Renderer::ExecuteFor(const Statement& loop) {
  ASSIGN_OR_RETURN(const Value over, Evaluate(*loop.expression));
  return ExecuteLoop(loop, over, scope_, 0);
}

absl::StatusOr<Renderer::Flow> Renderer::ExecuteLoop(const Statement& statement, const Value& over,
                                                     const std::shared_ptr<Scope>& parent,
                                                     int depth) {
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

absl::StatusOr<Renderer::Flow> Renderer::Rounds(const Statement& statement,
                                                const std::shared_ptr<Loop>& loop,
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

absl::StatusOr<Renderer::Flow> Renderer::ExecuteWith(const Statement& with) {
  Variables variables;
  for (const auto& [name, expression] : with.parameters) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*expression));
    variables.emplace_back(name, std::move(value));
  }
  return InScope(scope_, [&](Scope& scope) {
    for (auto& [name, value] : variables) scope.Set(name, std::move(value));
    return Execute(with.body);
  });
}

absl::StatusOr<Text> Renderer::Capture(const Block& block, std::shared_ptr<Scope> parent,
                                       Variables variables) {
  return CaptureOutput([&] {
    return InScope(std::move(parent), [&](Scope& scope) {
      scope.variables = std::move(variables);
      return Execute(block).status();
    });
  });
}

absl::Status Renderer::ExecuteCapture(const Statement& block) {
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

Value Renderer::MakeMacro(const Statement& macro) {
  return Value::MakeFunction(
      {.name = macro.name,
       // Weak: the scope holds the macro.
       .call = [this, &macro, scope = std::weak_ptr<Scope>(scope_)](const Arguments& arguments) {
         return CallMacro(macro, scope.lock(), arguments);
       }});
}

Variables Renderer::TakeExtras(const Statement& macro, Arguments& arguments) {
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

absl::StatusOr<Value> Renderer::CallMacro(const Statement& macro, std::shared_ptr<Scope> parent,
                                          Arguments arguments) {
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

}  // namespace spotinference::jinja
