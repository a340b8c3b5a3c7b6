// One rendering of a template: the walk over its syntax tree.
#ifndef ENGINE_TEXT_JINJA_RENDERER_H_
#define ENGINE_TEXT_JINJA_RENDERER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "engine/base/status.h"
#include "engine/text/jinja.h"
#include "engine/text/jinja_ast.h"
#include "engine/text/jinja_builtins.h"
#include "engine/text/jinja_loop.h"
#include "engine/text/jinja_operations.h"
#include "engine/text/jinja_value.h"

namespace spotinference::jinja {

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

// Used once, by one thread. Errors as Template::Render.
class Renderer {
 public:
  Renderer(const Variables& variables, absl::CivilSecond now, const Limits& limits)
      : context_{.budget = Budget(limits), .now = now, .namespaces = {}},
        scope_(std::make_shared<Scope>()) {
    scope_->variables = variables;
  }

  // `block` outlives the renderer.
  absl::StatusOr<Text> Run(const Block& block) {
    RETURN_IF_ERROR(Execute(block).status());
    return std::move(out_);
  }

 private:
  using ValueOr = absl::StatusOr<Value>;
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

  // Adds the line to an error that has no place yet.
  static absl::Status Located(int line, const absl::Status& status);

  // --- jinja_statements.cc

  absl::StatusOr<Flow> Execute(const Block& block);
  absl::StatusOr<Flow> Execute(const Statement& statement);
  absl::Status Print(const Text& text);
  absl::Status Assign(const Statement& statement, Value value, Scope& scope);

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
                                              const std::shared_ptr<Scope>& parent);
  absl::StatusOr<Flow> ExecuteWith(const Statement& with);
  absl::StatusOr<Flow> ExecuteFor(const Statement& loop);
  absl::StatusOr<Flow> ExecuteLoop(const Statement& statement, const Value& over,
                                   const std::shared_ptr<Scope>& parent, int depth);
  absl::StatusOr<Flow> Rounds(const Statement& statement, const std::shared_ptr<Loop>& loop,
                              const std::shared_ptr<Scope>& parent);

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
                               Variables variables);
  absl::Status ExecuteCapture(const Statement& block);

  Value MakeMacro(const Statement& macro);
  // Takes out of `arguments` what the macro takes beyond its parameters.
  static Variables TakeExtras(const Statement& macro, Arguments& arguments);
  ValueOr CallMacro(const Statement& macro, std::shared_ptr<Scope> parent, Arguments arguments);

  // --- jinja_expressions.cc

  Value Lookup(std::string_view name);
  ValueOr Evaluate(const Expression& node);
  ValueOr Operand(const Expression& node, size_t i) { return Evaluate(*node.operands[i]); }
  ValueOr Dispatch(const Expression& node);
  ValueOr EvaluateList(const Expression& node);
  ValueOr EvaluateMap(const Expression& node);
  ValueOr EvaluateItem(const Expression& node);
  ValueOr EvaluateSlice(const Expression& node);
  absl::StatusOr<Arguments> EvaluateArguments(const Expression& node);
  // Says which function or filter could not work.
  static absl::Status In(std::string_view name, const absl::Status& status);
  ValueOr EvaluateCall(const Expression& node) { return Call(node, std::nullopt); }
  // `caller`: what a call block hands over.
  ValueOr Call(const Expression& node, std::optional<Value> caller);
  ValueOr EvaluateFilter(const Expression& node);
  ValueOr EvaluateTest(const Expression& node);
  ValueOr EvaluateUnary(const Expression& node);
  ValueOr EvaluateBinary(const Expression& node);
  ValueOr EvaluateConcat(const Expression& node);
  ValueOr EvaluateCompare(const Expression& node);
  absl::StatusOr<bool> Compare(const std::string& op, const Value& left, const Value& right);

  Context context_;
  std::shared_ptr<Scope> scope_;
  std::vector<Value> block_input_;  // what the head of a block's filters takes, innermost last
  Text out_;
  int depth_ = 0;
};

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_RENDERER_H_
