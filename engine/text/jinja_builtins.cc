#include "engine/text/jinja_builtins.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/python_text.h"

namespace spotinference::jinja {
namespace {

using ValueOr = absl::StatusOr<Value>;
using Values = std::vector<Value>;

constexpr int64_t kMaxRange = 100'000;  // as Jinja's sandbox

// value.a.0.b, as the `attribute` argument of filters writes it.
ValueOr AttributePath(Context& context, Value value, const Value& path) {
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
    if (dot == rest.npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

// The items of `input`, each taken through `attribute` if there is one.
absl::StatusOr<Values> ItemsBy(Context& context, const Value& input, const Value* attribute) {
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
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

bool Flag(const Value* argument, bool standard = false) {
  return argument ? argument->IsTrue() : standard;
}

// --- Filters

ValueOr Abs(Context&, const Value& input, const Arguments&) {
  if (!input.is_number()) return Invalid("abs needs a number");
  return input.number() < 0 ? Negate(input) : input;
}

ValueOr AttrFilter(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"name"}));
  if (!args[0] || !args[0]->is_string()) return Invalid("needs the name of an attribute");
  return FindMethod(context, input, args[0]->bytes());
}

ValueOr Default(Context&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"default_value", "boolean"}));
  const bool missing = input.is_undefined() || (Flag(args[1]) && !input.IsTrue());
  return !missing ? input : args[0] ? *args[0] : Value::String("");
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

ValueOr Sort(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"reverse", "case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  ASSIGN_OR_RETURN(Values keys, ItemsBy(context, input, args[2]));
  for (Value& key : keys) key = SortKey(key, Flag(args[1]));
  ASSIGN_OR_RETURN(Values sorted, Sorted(context, std::move(items), keys, Flag(args[0])));
  return Value::MakeList(std::move(sorted));
}

ValueOr ItemsFilter(Context& context, const Value& input, const Arguments&) {
  if (input.is_undefined()) return Value::MakeList({});
  if (!input.is_map()) return Invalid("items needs a dict");
  RETURN_IF_ERROR(context.budget.Spend(input.map().entries.size()));
  Values pairs;
  for (const auto& [key, value] : input.map().entries) {
    pairs.push_back(Value::MakeList({key, value}, /*is_tuple=*/true));
  }
  return Value::MakeList(std::move(pairs));
}

ValueOr DictSort(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"case_sensitive", "by", "reverse"}));
  ASSIGN_OR_RETURN(const Value pairs, ItemsFilter(context, input, {}));
  const bool by_value = args[1] && args[1]->is_string() && args[1]->bytes() == "value";
  Values keys;
  for (const Value& pair : pairs.items()) {
    keys.push_back(SortKey(pair.items()[by_value], Flag(args[0])));
  }
  ASSIGN_OR_RETURN(Values sorted, Sorted(context, pairs.items(), keys, Flag(args[2])));
  return Value::MakeList(std::move(sorted));
}

ValueOr Edge(const Value& input, bool last) {
  if (input.is_map()) {
    const auto& entries = input.map().entries;
    if (!entries.empty()) return last ? entries.back().first : entries.front().first;
  } else if (input.is_list() || input.is_string()) {
    return Item(input, Value(last ? int64_t{-1} : int64_t{0}));
  } else if (!input.is_undefined()) {
    return Invalid(absl::StrCat("'", std::string(input.TypeName()), "' object is not iterable"));
  }
  return Value::MakeUndefined(last ? "last item" : "first item");
}

ValueOr First(Context&, const Value& input, const Arguments&) { return Edge(input, false); }
ValueOr Last(Context&, const Value& input, const Arguments&) { return Edge(input, true); }

ValueOr FloatFilter(Context&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"default"}));
  double number;
  if (input.is_number()) return input.number();
  if (input.is_string() && absl::SimpleAtod(input.bytes(), &number)) return number;
  return args[0] ? *args[0] : Value(0.0);
}

ValueOr Int(Context&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"default", "base"}));
  if (args[1]) return Invalid("int: other bases than 10 are not supported");
  double number;
  int64_t whole;
  if (input.is_whole_number()) return input.whole_number();
  if (input.is_string() && absl::SimpleAtoi(input.bytes(), &whole)) return whole;
  const bool is_float =
      input.is_float() || (input.is_string() && absl::SimpleAtod(input.bytes(), &number));
  if (input.is_float()) number = input.number();
  if (is_float && std::abs(number) < 9e18) return static_cast<int64_t>(number);
  return args[0] ? *args[0] : Value(int64_t{0});
}

ValueOr JoinFilter(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"d", "attribute"}));
  ASSIGN_OR_RETURN(const Values items, ItemsBy(context, input, args[1]));
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

// A filter of text that takes nothing else.
template <Text (*Change)(const Text&)>
ValueOr TextFilter(Context& context, const Value& input, const Arguments& arguments) {
  RETURN_IF_ERROR(Bind(arguments, {}).status());
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, input));
  RETURN_IF_ERROR(context.budget.SpendBytes(text.bytes.size()));
  return Value::FromText(Change(text));
}

Text Same(const Text& text) { return text; }

// Unlike str.title(), Jinja's filter begins a word only after white space or an opening bracket or
// dash.
Text TitleOfWords(const Text& text) {
  Text title = text;
  bool begins = true;
  for (char& c : title.bytes) {
    const auto byte = static_cast<unsigned char>(c);
    c = begins ? absl::ascii_toupper(byte) : absl::ascii_tolower(byte);
    begins =
        absl::ascii_isspace(byte) || std::string_view("-({[<").find(c) != std::string_view::npos;
  }
  return title;
}

ValueOr Map(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  if (arguments.positional.empty()) {
    ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"attribute", "default"}));
    if (!args[0]) return Invalid("needs the name of a filter, or an attribute");
    for (Value& item : items) {
      ASSIGN_OR_RETURN(item, AttributePath(context, std::move(item), *args[0]));
      if (item.is_undefined() && args[1]) item = *args[1];
    }
    return Value::MakeList(std::move(items));
  }
  const Value& name = arguments.positional[0];
  const Filter filter = name.is_string() ? FindFilter(name.bytes()) : nullptr;
  if (!filter) return Invalid("there is no filter of that name");
  const Arguments rest = {{arguments.positional.begin() + 1, arguments.positional.end()},
                          arguments.named};
  for (Value& item : items) {
    RETURN_IF_ERROR(context.budget.Spend(1));
    ASSIGN_OR_RETURN(item, filter(context, item, rest));
  }
  return Value::MakeList(std::move(items));
}

// select, reject, selectattr, rejectattr: those whose test, or truth, is `wanted`.
ValueOr Choose(Context& context, const Value& input, const Arguments& arguments, bool by_attribute,
               bool wanted) {
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  const size_t used = by_attribute;
  if (arguments.positional.size() < used) return Invalid("needs the name of an attribute");
  Test test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > used) {
    const Value& name = arguments.positional[used];
    test = name.is_string() ? FindTest(name.bytes()) : nullptr;
    if (!test) return Invalid("there is no test of that name");
    rest.positional.assign(arguments.positional.begin() + used + 1, arguments.positional.end());
  }
  Values chosen;
  for (Value& item : items) {
    RETURN_IF_ERROR(context.budget.Spend(1));
    Value subject = item;
    if (by_attribute) {
      ASSIGN_OR_RETURN(subject, AttributePath(context, item, arguments.positional[0]));
    }
    bool passes = subject.IsTrue();
    if (test) {
      ASSIGN_OR_RETURN(passes, test(context, subject, rest));
    }
    if (passes == wanted) chosen.push_back(std::move(item));
  }
  return Value::MakeList(std::move(chosen));
}

template <bool by_attribute, bool wanted>
ValueOr ChooseFilter(Context& context, const Value& input, const Arguments& arguments) {
  return Choose(context, input, arguments, by_attribute, wanted);
}

template <int wanted_sign>
ValueOr Extreme(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const Values items, Items(context.budget, input));
  ASSIGN_OR_RETURN(Values keys, ItemsBy(context, input, args[1]));
  if (items.empty()) return Value::MakeUndefined("item");
  for (Value& key : keys) key = SortKey(key, Flag(args[0]));
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const int sign, Order(context.budget, keys[i], keys[best]));
    if (sign * wanted_sign > 0) best = i;
  }
  return items[best];
}

ValueOr ReplaceFilter(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"old", "new", "count"}));
  if (!args[0] || !args[1]) return Invalid("needs two strings, old and new");
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, input));
  ASSIGN_OR_RETURN(const Text from, ToText(context.budget, *args[0]));
  ASSIGN_OR_RETURN(const Text to, ToText(context.budget, *args[1]));
  const bool counted = args[2] && args[2]->is_whole_number();
  ASSIGN_OR_RETURN(Text replaced,
                   Replace(context.budget, text, from, to, counted ? args[2]->whole_number() : -1));
  return Value::FromText(std::move(replaced));
}

ValueOr Reverse(Context& context, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(Values items, Items(context.budget, input));
  std::reverse(items.begin(), items.end());
  if (!input.is_string()) return Value::MakeList(std::move(items));
  Text reversed;
  for (const Value& item : items) reversed.Append(item.text());
  return Value::FromText(std::move(reversed));
}

ValueOr Round(Context&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"precision", "method"}));
  if (!input.is_number()) return Invalid("round needs a number");
  const int64_t digits = args[0] && args[0]->is_whole_number() ? args[0]->whole_number() : 0;
  const std::string method = args[1] && args[1]->is_string() ? args[1]->bytes() : "common";
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = input.number() * scale;
  if (method == "ceil") return std::ceil(scaled) / scale;
  if (method == "floor") return std::floor(scaled) / scale;
  if (method != "common") return Invalid("the method must be common, ceil or floor");
  if (input.is_whole_number()) return input;
  return std::nearbyint(scaled) / scale;  // halves to even, as Python
}

ValueOr StringFilter(Context& context, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(Text text, ToText(context.budget, input));
  return Value::FromText(std::move(text));
}

ValueOr Sum(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"attribute", "start"}));
  ASSIGN_OR_RETURN(const Values items, ItemsBy(context, input, args[0]));
  Value sum = args[1] ? *args[1] : Value(int64_t{0});
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(sum, Arithmetic(context.budget, "+", sum, item));
  }
  return sum;
}

ValueOr Trim(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"chars"}));
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, input));
  RETURN_IF_ERROR(context.budget.SpendBytes(text.bytes.size()));
  const bool has_chars = args[0] && args[0]->is_string();
  return Value::FromText(Strip(text, has_chars ? &args[0]->text() : nullptr, true, true));
}

ValueOr Unique(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const Values items, Items(context.budget, input));
  ASSIGN_OR_RETURN(Values keys, ItemsBy(context, input, args[1]));
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
  return Value::MakeList(std::move(unique));
}

// The white space that one level of indentation is: a number of blanks or a text.
absl::StatusOr<Text> Indentation(const Value& value) {
  if (value.is_string()) return value.text();
  if (!value.is_whole_number() || value.whole_number() < 0 || value.whole_number() > 100) {
    return Invalid("an indentation must be a string or 0 to 100 blanks");
  }
  return Text{std::string(value.whole_number(), ' '), {}};
}

// As Hugging Face defines it for chat templates: json.dumps, and no HTML escapes.
ValueOr ToJson(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args,
                   Bind(arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ascii = Flag(args[0]);
  style.sort_keys = Flag(args[3]);
  style.has_indent = args[1] && !args[1]->is_none();
  if (style.has_indent) {
    ASSIGN_OR_RETURN(style.indent, Indentation(*args[1]));
  }
  style.item_separator.Append(style.has_indent ? "," : ", ");
  style.key_separator.Append(": ");
  if (args[2] && !args[2]->is_none()) {
    if (!args[2]->is_list() || args[2]->items().size() != 2 || !args[2]->items()[0].is_string() ||
        !args[2]->items()[1].is_string()) {
      return Invalid("separators must be two strings");
    }
    style.item_separator = args[2]->items()[0].text();
    style.key_separator = args[2]->items()[1].text();
  }
  Text json;
  RETURN_IF_ERROR(AppendJson(context.budget, input, style, 0, json));
  return Value::FromText(std::move(json));
}

ValueOr Indent(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"width", "first", "blank"}));
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, input));
  ASSIGN_OR_RETURN(const Text indent, Indentation(args[0] ? *args[0] : Value(int64_t{4})));
  Text out;
  for (size_t begin = 0; begin <= text.bytes.size();) {
    const size_t newline = std::min(text.bytes.find('\n', begin), text.bytes.size());
    RETURN_IF_ERROR(context.budget.Spend(1));
    RETURN_IF_ERROR(context.budget.SpendBytes(newline - begin + indent.bytes.size() + 1));
    const bool is_first = begin == 0, is_blank = newline == begin;
    if (is_first ? Flag(args[1]) : (!is_blank || Flag(args[2]))) out.Append(indent);
    out.Append(text.Slice(begin, std::min(newline + 1, text.bytes.size())));
    begin = newline + 1;
  }
  return Value::FromText(std::move(out));
}

struct FilterRow {
  std::string_view name;
  Filter filter;
};

constexpr FilterRow kFilters[] = {
    {"abs", Abs},
    {"attr", AttrFilter},
    {"capitalize", TextFilter<Capitalize>},
    {"count", Length},
    {"d", Default},
    {"default", Default},
    {"dictsort", DictSort},
    {"first", First},
    {"float", FloatFilter},
    {"indent", Indent},
    {"int", Int},
    {"items", ItemsFilter},
    {"join", JoinFilter},
    {"last", Last},
    {"length", Length},
    {"list", List},
    {"lower", TextFilter<Lower>},
    {"map", Map},
    {"max", Extreme<1>},
    {"min", Extreme<-1>},
    {"reject", ChooseFilter<false, false>},
    {"rejectattr", ChooseFilter<true, false>},
    {"replace", ReplaceFilter},
    {"reverse", Reverse},
    {"round", Round},
    {"safe", TextFilter<Same>},
    {"select", ChooseFilter<false, true>},
    {"selectattr", ChooseFilter<true, true>},
    {"sort", Sort},
    {"string", StringFilter},
    {"sum", Sum},
    {"title", TextFilter<TitleOfWords>},
    {"tojson", ToJson},
    {"trim", Trim},
    {"unique", Unique},
    {"upper", TextFilter<Upper>},
};

// --- Global functions

ValueOr Range(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"start", "stop", "step"}));
  int64_t part[3] = {0, 0, 1};
  for (int i = 0; i < 3; ++i) {
    if (args[i] && !args[i]->is_whole_number()) return Invalid("range needs integers");
    if (args[i]) part[i] = args[i]->whole_number();
  }
  if (!args[0]) return Invalid("range needs an end");
  if (!args[1]) std::swap(part[0], part[1]);
  const auto [start, stop, step] = part;
  if (step == 0) return Invalid("the step of a range cannot be zero");
  Values items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) == kMaxRange) {
      return Invalid(absl::StrCat("a range has more than ", kMaxRange, " items"));
    }
    RETURN_IF_ERROR(context.budget.Spend(1));
    items.push_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value::MakeList(std::move(items));
}

ValueOr MakeNamespace(Context& context, const Arguments& arguments) {
  context.namespaces.emplace_back();
  Namespace& space = context.namespaces.back();
  for (const Value& from : arguments.positional) {
    if (!from.is_map()) return Invalid("namespace takes dicts and named values");
    for (const auto& [key, value] : from.map().entries) space.Set(key.bytes(), value);
  }
  for (const auto& [name, value] : arguments.named) space.Set(name, value);
  return Value::MakeNamespace(&space);
}

ValueOr MakeDict(Context&, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> entries;
  for (const Value& from : arguments.positional) {
    if (!from.is_map()) return Invalid("dict takes dicts and named values");
    entries.insert(entries.end(), from.map().entries.begin(), from.map().entries.end());
  }
  for (const auto& [name, value] : arguments.named)
    entries.emplace_back(Value::String(name), value);
  return BoundedDepth(Value::MakeMap(std::move(entries)));
}

ValueOr RaiseException(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"message"}));
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, args[0] ? *args[0] : Value()));
  return absl::FailedPreconditionError(text.bytes);
}

ValueOr StrftimeNow(Context& context, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"format"}));
  if (!args[0] || !args[0]->is_string()) return Invalid("strftime_now needs a format");
  const absl::CivilSecond& now = context.now;
  std::tm time = {};
  time.tm_year = static_cast<int>(now.year() - 1900);
  time.tm_mon = now.month() - 1;
  time.tm_mday = now.day();
  time.tm_hour = now.hour();
  time.tm_min = now.minute();
  time.tm_sec = now.second();
  time.tm_wday = (static_cast<int>(absl::GetWeekday(now)) + 1) % 7;  // absl counts from Monday
  time.tm_yday = absl::GetYearDay(now) - 1;
  char text[256];
  const size_t bytes = std::strftime(text, sizeof text, args[0]->bytes().c_str(), &time);
  if (bytes == 0 && !args[0]->bytes().empty())
    return Invalid("strftime_now: the result is empty or too long");
  return Value::FromText(args[0]->text().Remade(std::string(text, bytes)));
}

using Global = ValueOr (*)(Context&, const Arguments&);

struct GlobalRow {
  std::string_view name;
  Global call;
};

constexpr GlobalRow kGlobals[] = {
    {"dict", MakeDict}, {"namespace", MakeNamespace},  {"raise_exception", RaiseException},
    {"range", Range},   {"strftime_now", StrftimeNow},
};

template <typename Row, size_t n>
const Row* FindByName(const Row (&rows)[n], std::string_view name) {
  for (const Row& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

Filter FindFilter(std::string_view name) {
  const FilterRow* row = FindByName(kFilters, name);
  return row ? row->filter : nullptr;
}

Value FindGlobal(Context& context, std::string_view name) {
  const GlobalRow* row = FindByName(kGlobals, name);
  if (row == nullptr) return Value::MakeUndefined(std::string(name));
  return Value::MakeFunction(
      {.name = std::string(name), .call = [&context, row](const Arguments& arguments) {
         return row->call(context, arguments);
       }});
}

}  // namespace spotinference::jinja
