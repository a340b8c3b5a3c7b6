// Methods of lists and dicts, and how methods are found and called.
#include "engine/text/jinja_methods.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_loop.h"

namespace spotinference::jinja {
namespace {

using ValueOr = absl::StatusOr<Value>;

ValueOr CountInList(Context& context, const Value& self, Args args) {
  int64_t count = 0;
  for (const Value& item : self.items()) {
    ASSIGN_OR_RETURN(const bool equal, Equal(context.budget, item, args[0] ? *args[0] : Value()));
    count += equal;
  }
  return count;
}

ValueOr IndexInList(Context& context, const Value& self, Args args) {
  for (size_t i = 0; i < self.items().size(); ++i) {
    ASSIGN_OR_RETURN(const bool equal,
                     Equal(context.budget, self.items()[i], args[0] ? *args[0] : Value()));
    if (equal) return static_cast<int64_t>(i);
  }
  return Invalid("index: the value is not in the list");
}

ValueOr Keys(Context& context, const Value& self, Args) {
  ASSIGN_OR_RETURN(std::vector<Value> keys, Items(context.budget, self));
  return Value::MakeList(std::move(keys), Value::ListKind::kKeys);
}

ValueOr MapValues(Context& context, const Value& self, Args) {
  RETURN_IF_ERROR(context.budget.Spend(self.map().entries.size()));
  std::vector<Value> values;
  for (const auto& [key, value] : self.map().entries) values.push_back(value);
  return Value::MakeList(std::move(values), Value::ListKind::kValues);
}

ValueOr MapItems(Context& context, const Value& self, Args) {
  RETURN_IF_ERROR(context.budget.Spend(self.map().entries.size()));
  std::vector<Value> pairs;
  for (const auto& [key, value] : self.map().entries) {
    pairs.push_back(Value::MakeList({key, value}, Value::ListKind::kTuple));
  }
  return Value::MakeList(std::move(pairs), Value::ListKind::kItems);
}

ValueOr Get(Context&, const Value& self, Args args) {
  if (!args[0]) return Invalid("needs a key");
  const Value* found = self.map().Find(*args[0]);
  return found ? *found : args[1] ? *args[1] : Value();
}

constexpr MethodRow kMapMethods[] = {
    {"get", Get, {"key", "default"}},
    {"items", MapItems, {}},
    {"keys", Keys, {}},
    {"values", MapValues, {}},
};

constexpr MethodRow kListMethods[] = {
    {"count", CountInList, {"value"}},
    {"index", IndexInList, {"value"}},
};

const MethodRow* FindRow(absl::Span<const MethodRow> rows, std::string_view name) {
  for (const MethodRow& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::vector<const Value*>> Bind(const Arguments& arguments,
                                               absl::Span<const std::string_view> names) {
  std::vector<const Value*> bound(names.size(), nullptr);
  if (arguments.positional.size() > names.size()) {
    return Invalid(absl::StrCat("takes at most ", names.size(), " arguments, got ",
                                arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) return Invalid(absl::StrCat("has no argument '", name, "'"));
    if (bound[at - names.begin()])
      return Invalid(absl::StrCat("argument '", name, "' is given twice"));
    bound[at - names.begin()] = &value;
  }
  return bound;
}

Value FindMethod(Context& context, const Value& value, std::string_view name) {
  const MethodRow* row = value.is_string() ? FindRow(StringMethods(), name)
                         : value.is_map()  ? FindRow(kMapMethods, name)
                         : value.is_sequence() ? FindRow(kListMethods, name)
                                               : nullptr;
  if (value.is_string() && name == "format") {
    return Value::MakeFunction(
        {.name = "format", .call = [&context, text = value](const Arguments& arguments) {
           return FormatBraces(context, text.text(), arguments);
         }});
  }
  if (row == nullptr) return Value::MakeUndefined(std::string(name));
  return Value::MakeFunction(
      {.name = std::string(name),
       .call = [&context, self = value, row](const Arguments& arguments) -> ValueOr {
         const auto& names = row->parameters;
         const size_t count = std::find(names.begin(), names.end(), "") - names.begin();
         ASSIGN_OR_RETURN(std::vector<const Value*> args, Bind(arguments, {names.data(), count}));
         return row->call(context, self, args);
       },
       .depth = value.depth() + 1});
}

absl::StatusOr<Value> Attribute(Context& context, const Value& value, std::string_view name) {
  if (value.is_undefined()) return UndefinedError(value);
  if (value.is_loop()) return value.loop().Get(name);
  if (Value method = FindMethod(context, value, name); !method.is_undefined()) {
    return BoundedDepth(std::move(method));
  }
  return Item(value, Value::String(std::string(name)));
}

}  // namespace spotinference::jinja
