// Filters of single values.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_builtins.h"
#include "engine/text/jinja_filters.h"
#include "engine/text/jinja_text.h"
#include "engine/text/python_text.h"

namespace spotinference::jinja {
namespace {

using ValueOr = absl::StatusOr<Value>;

ValueOr Abs(Context&, const Value& input, const Arguments&) {
  if (!input.is_number()) return Invalid("abs needs a number");
  if (input.is_bool()) return input.whole_number();
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

ValueOr FloatFilter(Context&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"default"}));
  if (input.is_undefined()) return UndefinedError(input);
  double number;
  if (input.is_number()) return input.number();
  if (input.is_string() && absl::SimpleAtod(input.bytes(), &number)) return number;
  return args[0] ? *args[0] : Value(0.0);
}

ValueOr Int(Context&, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"default", "base"}));
  if (args[1]) return Invalid("int: other bases than 10 are not supported");
  if (input.is_undefined()) return UndefinedError(input);
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

// A filter of text that takes nothing else.
template <Text (*Change)(const Text&)>
ValueOr TextFilter(Context& context, const Value& input, const Arguments& arguments) {
  RETURN_IF_ERROR(Bind(arguments, {}).status());
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, input));
  RETURN_IF_ERROR(context.budget.SpendBytes(3 * text.bytes.size()));
  return Value::FromText(Change(text));
}

Text AsMarkup(const Text& text) { return {text.bytes, text.from_input, /*is_markup=*/true}; }

ValueOr EscapeFilter(Context& context, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, input));
  ASSIGN_OR_RETURN(Text escaped, Escape(context.budget, text));
  return Value::FromText(std::move(escaped));
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
  replaced.is_markup = false;
  return Value::FromText(std::move(replaced));
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
  if (input.is_whole_number()) return input.whole_number();
  return std::nearbyint(scaled) / scale;  // halves to even, as Python
}

ValueOr Truncate(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"length", "killwords", "end", "leeway"}));
  if (input.is_undefined()) return input;
  if (!input.is_string()) return Invalid("truncate needs a string");
  const Text& text = input.text();
  Text end;
  end.Append("...");
  if (args[2]) {
    ASSIGN_OR_RETURN(end, ToText(context.budget, *args[2]));
  }
  const auto whole = [&](size_t i, int64_t standard) {
    return args[i] && args[i]->is_whole_number() ? args[i]->whole_number() : standard;
  };
  const int64_t length = whole(0, 255), leeway = whole(3, 5);
  const auto end_chars = static_cast<int64_t>(CountChars(end.bytes));
  if (leeway < 0 || length < end_chars) return Invalid("the length leaves no room for the end");
  RETURN_IF_ERROR(context.budget.SpendBytes(text.bytes.size() + end.bytes.size()));
  const auto chars = static_cast<int64_t>(CountChars(text.bytes));
  if (chars <= length || chars - length <= leeway) return Value::FromText(text);
  Text cut = text.Slice(0, OffsetOfChar(text.bytes, length - end_chars));
  if (!Flag(args[1])) cut = cut.Slice(0, std::min(cut.bytes.rfind(' '), cut.bytes.size()));
  cut.Append(end);
  return Value::FromText(std::move(cut));
}

ValueOr StringFilter(Context& context, const Value& input, const Arguments&) {
  ASSIGN_OR_RETURN(Text text, ToText(context.budget, input));
  return Value::FromText(std::move(text));
}

ValueOr Trim(Context& context, const Value& input, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const auto args, Bind(arguments, {"chars"}));
  ASSIGN_OR_RETURN(const Text text, ToText(context.budget, input));
  RETURN_IF_ERROR(context.budget.SpendBytes(text.bytes.size()));
  const bool has_chars = args[0] && args[0]->is_string();
  return Value::FromText(Strip(text, has_chars ? &args[0]->text() : nullptr, true, true));
}

// '%s …' | format(…)
ValueOr FormatFilter(Context& context, const Value& input, const Arguments& arguments) {
  if (!input.is_string()) return Invalid("format needs a string");
  return FormatPercent(context.budget, input.text(), arguments,
                       /*may_be_unused=*/!arguments.named.empty());
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

constexpr FilterRow kFilters[] = {
    {"abs", Abs},
    {"attr", AttrFilter},
    {"capitalize", TextFilter<Capitalize>},
    {"d", Default},
    {"default", Default},
    {"e", EscapeFilter},
    {"escape", EscapeFilter},
    {"float", FloatFilter},
    {"format", FormatFilter},
    {"indent", Indent},
    {"int", Int},
    {"lower", TextFilter<Lower>},
    {"replace", ReplaceFilter},
    {"round", Round},
    {"safe", TextFilter<AsMarkup>},
    {"string", StringFilter},
    {"title", TextFilter<TitleOfWords>},
    {"tojson", ToJson},
    {"trim", Trim},
    {"truncate", Truncate},
    {"upper", TextFilter<Upper>},
};

}  // namespace

Filter FindValueFilter(std::string_view name) { return FindIn(kFilters, name); }

Filter FindFilter(std::string_view name) {
  const Filter filter = FindValueFilter(name);
  return filter ? filter : FindSequenceFilter(name);
}

}  // namespace spotinference::jinja
