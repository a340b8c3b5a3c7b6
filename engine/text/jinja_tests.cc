// The tests of {{ value is … }}.
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_builtins.h"
#include "engine/text/jinja_text.h"

namespace spotinference::jinja {
namespace {

using BoolOr = absl::StatusOr<bool>;

absl::StatusOr<Value> OneArgument(const Arguments& arguments) {
  if (arguments.positional.size() == 1 && arguments.named.empty()) return arguments.positional[0];
  return Invalid("the test needs one argument");
}

template <bool (*Is)(const Value&)>
BoolOr Plain(Context&, const Value& value, const Arguments& arguments) {
  if (!arguments.positional.empty()) return Invalid("the test takes no argument");
  return Is(value);
}

enum class Relation { kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

template <Relation relation>
BoolOr Ordered(Context& context, const Value& value, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Value other, OneArgument(arguments));
  ASSIGN_OR_RETURN(const int sign, Order(context.budget, value, other));
  switch (relation) {
    case Relation::kLess: return sign < 0;
    case Relation::kLessOrEqual: return sign <= 0;
    case Relation::kGreater: return sign > 0;
    case Relation::kGreaterOrEqual: return sign >= 0;
  }
  return false;  // not reached
}

template <bool wanted>
BoolOr Equals(Context& context, const Value& value, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Value other, OneArgument(arguments));
  ASSIGN_OR_RETURN(const bool equal, Equal(context.budget, value, other));
  return equal == wanted;
}

BoolOr In(Context& context, const Value& value, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Value container, OneArgument(arguments));
  return Contains(context.budget, container, value);
}

// Identity of what has none in Python (numbers, strings) is equality within a type here.
BoolOr SameAs(Context& context, const Value& value, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Value other, OneArgument(arguments));
  if (value.TypeName() != other.TypeName()) return false;
  return Equal(context.budget, value, other);
}

// value % by == rest
BoolOr LeavesRest(Context& context, const Value& value, const Value& by, int64_t rest) {
  if (!value.is_number() || !by.is_number()) return Invalid("the test needs numbers");
  ASSIGN_OR_RETURN(const Value left, Arithmetic(context.budget, "%", value, by));
  return Equal(context.budget, left, Value(rest));
}

BoolOr DivisibleBy(Context& context, const Value& value, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const Value by, OneArgument(arguments));
  return LeavesRest(context, value, by, 0);
}

template <bool odd>
BoolOr Parity(Context& context, const Value& value, const Arguments&) {
  return LeavesRest(context, value, Value(int64_t{2}), odd);
}

template <bool (*IsCase)(std::string_view)>
BoolOr TextTest(Context& context, const Value& value, const Arguments&) {
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, value));
  RETURN_IF_ERROR(context.budget.SpendBytes(text.bytes.size()));
  return IsCase(text.bytes);
}

struct TestRow {
  std::string_view name;
  Test test;
};

#define PLAIN(expression) Plain<+[](const Value& v) -> bool { return expression; }>

constexpr TestRow kTests[] = {
    {"!=", Equals<false>},
    {"<", Ordered<Relation::kLess>},
    {"<=", Ordered<Relation::kLessOrEqual>},
    {"==", Equals<true>},
    {">", Ordered<Relation::kGreater>},
    {">=", Ordered<Relation::kGreaterOrEqual>},
    {"boolean", PLAIN(v.is_bool())},
    {"callable", PLAIN(v.is_function())},
    {"defined", PLAIN(!v.is_undefined())},
    {"divisibleby", DivisibleBy},
    {"eq", Equals<true>},
    {"equalto", Equals<true>},
    {"escaped", PLAIN(v.is_string() && v.text().is_markup)},
    {"even", Parity<false>},
    {"false", PLAIN(v.is_bool() && !v.boolean())},
    {"float", PLAIN(v.is_float())},
    {"ge", Ordered<Relation::kGreaterOrEqual>},
    {"greaterthan", Ordered<Relation::kGreater>},
    {"gt", Ordered<Relation::kGreater>},
    {"in", In},
    {"integer", PLAIN(v.is_integer())},
    {"iterable", PLAIN(v.is_list() || v.is_map() || v.is_string() || v.is_generator() || v.is_loop() ||
              v.is_undefined())},
    {"le", Ordered<Relation::kLessOrEqual>},
    {"lessthan", Ordered<Relation::kLess>},
    {"lower", TextTest<IsLower>},
    {"lt", Ordered<Relation::kLess>},
    {"mapping", PLAIN(v.is_map())},
    {"ne", Equals<false>},
    {"none", PLAIN(v.is_none())},
    {"number", PLAIN(v.is_number())},
    {"odd", Parity<true>},
    {"sameas", SameAs},
    {"sequence", PLAIN(v.is_sequence() || v.is_map() || v.is_string() || v.is_undefined())},
    {"string", PLAIN(v.is_string())},
    {"true", PLAIN(v.is_bool() && v.boolean())},
    {"undefined", PLAIN(v.is_undefined())},
    {"upper", TextTest<IsUpper>},
};

#undef PLAIN

}  // namespace

Test FindTest(std::string_view name) {
  for (const TestRow& row : kTests) {
    if (row.name == name) return row.test;
  }
  return nullptr;
}

}  // namespace spotinference::jinja
