// The filters, tests, functions and methods that templates can use: Jinja's own and Python's, as
// far as chat templates go. What would change a value in place (list.append …) is absent, as it is in
// Jinja's ImmutableSandboxedEnvironment.
#ifndef ENGINE_TEXT_JINJA_BUILTINS_H_
#define ENGINE_TEXT_JINJA_BUILTINS_H_

#include <deque>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/types/span.h"
#include "engine/text/jinja_operations.h"
#include "engine/text/jinja_value.h"

namespace spotinference::jinja {

// What lives as long as one rendering.
struct Context {
  Budget budget;
  absl::CivilSecond now;  // for strftime_now
  std::deque<Namespace> namespaces;
};

using Filter = absl::StatusOr<Value> (*)(Context&, const Value& input, const Arguments&);
using Test = absl::StatusOr<bool> (*)(Context&, const Value& input, const Arguments&);

// Null where there is none.
Filter FindFilter(std::string_view name);
Test FindTest(std::string_view name);

// The global function of that name, or undefined. It and what it returns live no longer than
// `context`.
Value FindGlobal(Context& context, std::string_view name);

// value.name: a method or an entry, else undefined. The same for a method.
absl::StatusOr<Value> Attribute(Context& context, const Value& value, std::string_view name);
// A method of a string, list or dict, or undefined.
Value FindMethod(Context& context, const Value& value, std::string_view name);

// Arguments by position or name, in the order of `names`; null where not given. An error names what
// is too much.
absl::StatusOr<std::vector<const Value*>> Bind(const Arguments& arguments,
                                               absl::Span<const std::string_view> names);

// text % arguments, as Python writes it, all of which must be used unless they may be left; and
// text.format(arguments).
absl::StatusOr<Value> FormatPercent(Budget& budget, const Text& text, const Arguments& arguments,
                                    bool may_be_unused);
absl::StatusOr<Value> FormatBraces(Context& context, const Text& text, const Arguments& arguments);

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_BUILTINS_H_
