// Filters of sequences.
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "engine/text/jinja_builtins.h"
#include "engine/text/jinja_filters.h"
#include "engine/text/jinja_text.h"
#include "engine/text/python_text.h"

namespace spotinference::jinja {
namespace {

using ValueOr = absl::StatusOr<Value>;
using Values = std::vector<Value>;

// value.a.0.b, as the `attribute` argument of filters writes it. `standard`, if any, stands in for
// what is undefined on the way.
ValueOr AttributePath(Context& context, Value value, const Value& path,
                      const Value* standard = nullptr) {
  if (path.is_whole_number()) return Item(value, path);
  if (!path.is_string()) return Invalid("an attribute must be a string or an integer");
  std::string_view rest = path.bytes();
  while (true) {
    const size_t dot = rest.find('.');
    const std::string part(rest.substr(0, dot));
    int64_t index;
    if (absl::SimpleAtoi(part, &index)) {
      ASSIGN_OR_RETURN(value, Item(value, Value(index)));
    } else {
      ASSIGN_OR_RETURN(Value item, Item(value, Value::String(part)));
      if (item.is_undefined()) {
        ASSIGN_OR_RETURN(item, Attribute(context, value, part));
      }
      value = std::move(item);
    }
    if (value.is_undefined() && standard && !standard->is_none()) value = *standard;
    if (dot == rest.npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

// `items`, each taken through `attribute` if there is one.
absl::StatusOr<Values> By(Context& context, Values items, const Value* attribute) {
  if (attribute && !attribute->is_none()) {
    for (Value& item : items) {
      ASSIGN_OR_RETURN(item, AttributePath(context, std::move(item), *attribute));
    }
  }
  return items;
}

// For sorting: strings in lower case unless they are to differ by case.
Value SortKey(const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_string()) return value;
  return Value::FromText(Lower(value.text()));
}

absl::StatusOr<Values> Sorted(Context& context, Values values, const std::vector<Value>& keys,
                              bool reverse) {
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  absl::Status status;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (!status.ok()) return false;
    if (reverse) std::swap(a, b);
    const absl::StatusOr<int> sign = Order(context.budget, keys[a], keys[b]);
    if (!sign.ok()) status = sign.status();
    return sign.ok() && *sign < 0;
  });
  RETURN_IF_ERROR(status);
  Values sorted;
  for (const size_t i : order) sorted.push_back(values[i]);
  return sorted;
}

// A list for each item, of what stands at each path of `attribute`, which has commas between them.
absl::StatusOr<Values> SortKeys(Context& context, const Values& items, const Value* attribute,
                                bool case_sensitive) {
  std::vector<Values> parts(items.size());
  const auto add = [&](const Value* path) -> absl::Status {
    ASSIGN_OR_RETURN(const Values keys, By(context, items, path));
    for (size_t i = 0; i < keys.size(); ++i) parts[i].push_back(SortKey(keys[i], case_sensitive));
    return absl::OkStatus();
  };
  if (attribute && attribute->is_string()) {
    for (const absl::string_view path : absl::StrSplit(attribute->bytes(), ',')) {
      const Value part = Value::String(std::string(path));
      RETURN_IF_ERROR(add(&part));
    }
  } else {
    RETURN_IF_ERROR(add(attribute));
  }
  Values keys;
  for (Values& part : parts) keys.push_back(Value::MakeList(std::move(part)));
  return keys;
}

ValueOr Sort(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"reverse", "case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  ASSIGN_OR_RETURN(const Values keys, SortKeys(context, items, args[2], Flag(args[1])));
  ASSIGN_OR_RETURN(Values sorted, Sorted(context, std::move(items), keys, Flag(args[0])));
  return Value::MakeList(std::move(sorted));
}

// Pairs of key and value.
absl::StatusOr<Values> Entries(Context& context, const Value& map) {
  RETURN_IF_ERROR(context.budget.Spend(map.map().entries.size()));
  Values pairs;
  for (const auto& [key, value] : map.map().entries) {
    pairs.push_back(Value::MakeList({key, value}, Value::ListKind::kTuple));
  }
  return pairs;
}

// Makes of an item what the generator yields, or nothing to leave it out.
using Transform = std::function<absl::StatusOr<std::optional<Value>>(Value item)>;

// A generator of what a transform makes of the items of `input`. As in Jinja, input that is not true
// has no items, whatever it is, and `make`, which gives the transform, is not called before the
// first item is wanted: an error of it or of an item that nobody asks for is none.
Value Lazy(Context& context, const Value& input, int arguments_depth,
           std::function<absl::StatusOr<Transform>()> make) {
  const auto next = [&context, input, make = std::move(make), transform = Transform(),
                     cursor = std::optional<Cursor>()]() mutable
      -> absl::StatusOr<std::optional<Value>> {
    if (!input.IsTrue()) return std::nullopt;
    if (!cursor) {
      ASSIGN_OR_RETURN(transform, make());
      ASSIGN_OR_RETURN(cursor, Cursor::Over(context.budget, input));
    }
    while (true) {
      ASSIGN_OR_RETURN(std::optional<Value> item, cursor->Next());
      if (!item) return std::nullopt;
      ASSIGN_OR_RETURN(std::optional<Value> made, transform(*std::move(item)));
      if (made) return made;
    }
  };
  return Value::MakeGenerator(
      {.next = next, .depth = std::max(input.depth(), arguments_depth) + 1});
}

// A generator of values that are there already.
Value Yielding(Values values) {
  int depth = 0;
  for (const Value& value : values) depth = std::max(depth, value.depth());
  return Value::MakeGenerator(
      {.next = [values = std::move(values),
                at = size_t{0}]() mutable -> absl::StatusOr<std::optional<Value>> {
         if (at == values.size()) return std::nullopt;
         return values[at++];
       },
       .depth = depth + 1});
}

// A generator that does all its work, which may fail, when the first value is wanted.
Value Deferred(const Value& input, int arguments_depth,
               std::function<absl::StatusOr<Values>()> work) {
  const auto next = [work = std::move(work), values = std::optional<Values>(),
                     at = size_t{0}]() mutable -> absl::StatusOr<std::optional<Value>> {
    if (!values) {
      ASSIGN_OR_RETURN(values, work());
    }
    if (at == values->size()) return std::nullopt;
    return (*values)[at++];
  };
  return Value::MakeGenerator(
      {.next = next, .depth = std::max(input.depth(), arguments_depth) + 2});
}

int Depth(const Arguments& arguments) {
  int depth = 0;
  for (const Value& value : arguments.positional) depth = std::max(depth, value.depth());
  for (const auto& [name, value] : arguments.named) depth = std::max(depth, value.depth());
  return depth;
}

ValueOr ItemsFilter(Context& context, const Value& input, const Arguments&) {
  return Deferred(input, 0, [&context, input]() -> absl::StatusOr<Values> {
    if (input.is_undefined()) return Values();
    if (!input.is_map()) return Invalid("items needs a dict");
    return Entries(context, input);
  });
}

ValueOr DictSort(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"case_sensitive", "by", "reverse"}));
  if (!input.is_map()) return Invalid("dictsort needs a dict");
  ASSIGN_OR_RETURN(Values pairs, Entries(context, input));
  const bool by_value = args[1] && args[1]->is_string() && args[1]->bytes() == "value";
  Values keys;
  for (const Value& pair : pairs) {
    keys.push_back(SortKey(pair.items()[by_value], Flag(args[0])));
  }
  ASSIGN_OR_RETURN(Values sorted, Sorted(context, std::move(pairs), keys, Flag(args[2])));
  return Value::MakeList(std::move(sorted));
}

ValueOr First(Context& context, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(Cursor cursor, Cursor::Over(context.budget, input));
  ASSIGN_OR_RETURN(std::optional<Value> first, cursor.Next());
  return first ? *std::move(first) : Value::MakeUndefined("first item");
}

ValueOr Last(Context& context, const Value& input, const Arguments&) {
  if (input.is_string()) return Item(input, Value(int64_t{-1}));
  if (input.is_generator()) return Invalid("a generator cannot be read from its end");
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  return items.empty() ? Value::MakeUndefined("last item") : std::move(items.back());
}

ValueOr JoinFilter(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"d", "attribute"}));
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  ASSIGN_OR_RETURN(items, By(context, std::move(items), args[1]));
  Text separator;
  if (args[0]) {
    ASSIGN_OR_RETURN(separator, ToText(context.budget, *args[0]));
  }
  Text joined;
  bool first = true;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Text text, ToText(context.budget, item));
    RETURN_IF_ERROR(context.budget.SpendBytes(text.bytes.size() + separator.bytes.size()));
    if (!first) joined.Append(separator);
    first = false;
    joined.Append(text);
  }
  return Value::FromText(std::move(joined));
}

ValueOr Length(Context& context, const Value& input, const Arguments&) {
  if (input.is_string()) {
    RETURN_IF_ERROR(context.budget.Spend(input.bytes().size() / 256));
    return static_cast<int64_t>(CountChars(input.bytes()));
  }
  if (input.is_list()) return static_cast<int64_t>(input.items().size());
  if (input.is_map()) return static_cast<int64_t>(input.map().entries.size());
  if (input.is_undefined()) return int64_t{0};
  return Invalid(
      absl::StrCat("object of type '", std::string(input.TypeName()), "' has no length"));
}

ValueOr List(Context& context, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  return Value::MakeList(std::move(items));
}

absl::StatusOr<Transform> MapTransform(Context& context, const Arguments& arguments) {
  if (arguments.positional.empty()) {
    ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"attribute", "default"}));
    if (!args[0]) return Invalid("needs the name of a filter, or an attribute");
    return [&context, path = *args[0],
            standard = args[1] ? *args[1] : Value()](Value item) -> absl::StatusOr<std::optional<Value>> {
      return AttributePath(context, std::move(item), path, &standard);
    };
  }
  const Value& name = arguments.positional[0];
  const Filter filter = name.is_string() ? FindFilter(name.bytes()) : nullptr;
  if (!filter) return Invalid("there is no filter of that name");
  Arguments rest = {{arguments.positional.begin() + 1, arguments.positional.end()},
                    arguments.named};
  return [&context, filter, rest = std::move(rest)](
             Value item) -> absl::StatusOr<std::optional<Value>> {
    return filter(context, item, rest);
  };
}

ValueOr Map(Context& context, const Value& input, const Arguments& arguments) {
  return Lazy(context, input, Depth(arguments),
              [&context, arguments] { return MapTransform(context, arguments); });
}

// select, reject, selectattr, rejectattr: those whose test, or truth, is `wanted`.
absl::StatusOr<Transform> ChooseTransform(Context& context, const Arguments& arguments,
                                          bool by_attribute, bool wanted) {
  const size_t used = by_attribute;
  if (arguments.positional.size() < used) return Invalid("needs the name of an attribute");
  Test test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > used) {
    const Value& name = arguments.positional[used];
    test = name.is_string() ? FindTest(name.bytes()) : nullptr;
    if (!test) return Invalid("there is no test of that name");
    rest.positional.assign(arguments.positional.begin() + used + 1, arguments.positional.end());
    rest.named = arguments.named;
  }
  const Value path = by_attribute ? arguments.positional[0] : Value();
  return [&context, by_attribute, wanted, path, test,
          rest = std::move(rest)](Value item) -> absl::StatusOr<std::optional<Value>> {
    Value subject = item;
    if (by_attribute) {
      ASSIGN_OR_RETURN(subject, AttributePath(context, item, path));
    }
    bool passes = subject.IsTrue();
    if (test) {
      ASSIGN_OR_RETURN(passes, test(context, subject, rest));
    }
    if (passes != wanted) return std::nullopt;
    return item;
  };
}

template <bool by_attribute, bool wanted>
ValueOr ChooseFilter(Context& context, const Value& input, const Arguments& arguments) {
  return Lazy(context, input, Depth(arguments), [&context, arguments] {
    return ChooseTransform(context, arguments, by_attribute, wanted);
  });
}

template <int wanted_sign>
ValueOr Extreme(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const Values items, Items(context.budget, input));
  ASSIGN_OR_RETURN(Values keys, By(context, items, args[1]));
  if (items.empty()) return Value::MakeUndefined("item");
  for (Value& key : keys) key = SortKey(key, Flag(args[0]));
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const int sign, Order(context.budget, keys[i], keys[best]));
    if (sign * wanted_sign > 0) best = i;
  }
  return items[best];
}

ValueOr Reverse(Context& context, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  std::reverse(items.begin(), items.end());
  if (input.is_generator()) return Value::MakeList(std::move(items));
  if (!input.is_string()) return Yielding(std::move(items));
  Text reversed;
  for (const Value& item : items) reversed.Append(item.text());
  return Value::FromText(std::move(reversed));
}

// Lists of `size` items each.
absl::StatusOr<Values> Batches(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"linecount", "fill_with"}));
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  if (!args[0] || !args[0]->is_whole_number() || args[0]->whole_number() < 1) {
    return Invalid("needs a number of items of at least 1");
  }
  const auto size = static_cast<uint64_t>(args[0]->whole_number());
  if (args[1] && !args[1]->is_none() && items.size() % size != 0) {
    const uint64_t missing = size - items.size() % size;
    RETURN_IF_ERROR(context.budget.Spend(missing));
    items.insert(items.end(), missing, *args[1]);
  }
  Values batches;
  for (size_t i = 0; i < items.size(); i += size) {
    batches.push_back(Value::MakeList(
        {items.begin() + i, items.begin() + std::min<uint64_t>(i + size, items.size())}));
  }
  return batches;
}

ValueOr Batch(Context& context, const Value& input, const Arguments& arguments) {
  return Deferred(input, Depth(arguments), [&context, input, arguments] {
    return Batches(context, input, arguments);
  });
}

ValueOr Sum(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"attribute", "start"}));
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  ASSIGN_OR_RETURN(items, By(context, std::move(items), args[0]));
  Value sum = args[1] ? *args[1] : Value(int64_t{0});
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(sum, Arithmetic(context.budget, "+", sum, item));
  }
  return sum;
}

absl::StatusOr<Values> UniqueItems(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const Values items, Items(context.budget, input));
  ASSIGN_OR_RETURN(Values keys, By(context, items, args[1]));
  Values unique, seen;
  for (size_t i = 0; i < items.size(); ++i) {
    Value key = SortKey(keys[i], Flag(args[0]));
    bool known = false;
    for (size_t k = 0; k < seen.size() && !known; ++k) {
      ASSIGN_OR_RETURN(known, Equal(context.budget, seen[k], key));
    }
    if (known) continue;
    unique.push_back(items[i]);
    seen.push_back(std::move(key));
  }
  return unique;
}

ValueOr Unique(Context& context, const Value& input, const Arguments& arguments) {
  return Deferred(input, Depth(arguments), [&context, input, arguments] {
    return UniqueItems(context, input, arguments);
  });
}

constexpr FilterRow kFilters[] = {
    {"batch", Batch},
    {"count", Length},
    {"dictsort", DictSort},
    {"first", First},
    {"items", ItemsFilter},
    {"join", JoinFilter},
    {"last", Last},
    {"length", Length},
    {"list", List},
    {"map", Map},
    {"max", Extreme<1>},
    {"min", Extreme<-1>},
    {"reject", ChooseFilter<false, false>},
    {"rejectattr", ChooseFilter<true, false>},
    {"reverse", Reverse},
    {"select", ChooseFilter<false, true>},
    {"selectattr", ChooseFilter<true, true>},
    {"sort", Sort},
    {"sum", Sum},
    {"unique", Unique},
};

}  // namespace

Filter FindSequenceFilter(std::string_view name) { return FindIn(kFilters, name); }

}  // namespace spotinference::jinja
