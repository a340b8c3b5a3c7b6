// What methods are in the tables of FindMethod.
#ifndef ENGINE_TEXT_JINJA_METHODS_H_
#define ENGINE_TEXT_JINJA_METHODS_H_

#include <array>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/text/jinja_builtins.h"

namespace spotinference::jinja {

// Null for what was not given.
using Args = const std::vector<const Value*>&;
using Method = absl::StatusOr<Value> (*)(Context&, const Value& self, Args args);

struct MethodRow {
  std::string_view name;
  Method call;
  std::array<std::string_view, 3> parameters;  // empty: none
};

absl::Span<const MethodRow> StringMethods();

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_METHODS_H_
