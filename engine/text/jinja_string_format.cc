// '…{}…'.format(…) and '…%s…' % …, with Python's format specifications.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/jinja_builtins.h"
#include "engine/text/python_text.h"
#include "engine/text/utf8.h"

namespace spotinference::jinja {
namespace {

// [[fill]align][sign][#][0][width][,][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =, or 0: by the kind of value
  char sign = '-';
  bool alternate = false;
  bool zero = false;  // numbers are filled with zeros after their sign
  int64_t width = 0;
  bool comma = false;
  int64_t precision = -1;  // negative: not given
  char type = 0;
};

constexpr int64_t kMaxWidth = 10'000;  // and precision

char Take(std::string_view& rest, std::string_view any_of) {
  if (rest.empty() || any_of.find(rest[0]) == any_of.npos) return 0;
  const char taken = rest[0];
  rest.remove_prefix(1);
  return taken;
}

// The digits that `rest` begins with, or `standard` if there are none.
absl::StatusOr<int64_t> TakeNumber(std::string_view& rest, int64_t standard) {
  size_t digits = 0;
  while (digits < rest.size() && absl::ascii_isdigit(static_cast<unsigned char>(rest[digits]))) {
    ++digits;
  }
  if (digits == 0) return standard;
  int64_t number;
  if (!absl::SimpleAtoi(absl::string_view(rest.data(), digits), &number) || number > kMaxWidth) {
    return Invalid(absl::StrCat("a width, precision or position is at most ", kMaxWidth));
  }
  rest.remove_prefix(digits);
  return number;
}

absl::StatusOr<Spec> ParseSpec(std::string_view rest) {
  constexpr std::string_view kAligns = "<>^=";
  Spec spec;
  const size_t first = rest.empty() ? 0 : DecodeUtf8(rest).bytes;
  bool has_fill = false;
  if (first < rest.size() && kAligns.find(rest[first]) != kAligns.npos) {
    has_fill = true;
    spec.fill = rest.substr(0, first);
    rest.remove_prefix(first);
  }
  spec.align = Take(rest, kAligns);
  if (const char sign = Take(rest, "+- ")) spec.sign = sign;
  spec.alternate = Take(rest, "#");
  if (!has_fill && Take(rest, "0")) {
    spec.fill = "0";
    spec.zero = true;
  }
  ASSIGN_OR_RETURN(spec.width, TakeNumber(rest, 0));
  spec.comma = Take(rest, ",");
  if (Take(rest, ".")) {
    ASSIGN_OR_RETURN(spec.precision, TakeNumber(rest, -1));
    if (spec.precision < 0) return Invalid("a format specification lacks its precision");
  }
  spec.type = Take(rest, "sdxXobeEfFgG%");
  if (!rest.empty()) {
    return Invalid(absl::StrCat("'", std::string(rest), "' in a format specification is unknown"));
  }
  return spec;
}

// The digits of a number that is not negative.
std::string Digits(uint64_t number, const Spec& spec) {
  if (spec.type != 'x' && spec.type != 'X' && spec.type != 'o' && spec.type != 'b') {
    return absl::StrCat(number);
  }
  const unsigned bits = spec.type == 'o' ? 3 : spec.type == 'b' ? 1 : 4;
  std::string digits;
  do {
    digits.insert(digits.begin(), "0123456789abcdef"[number & ((1u << bits) - 1)]);
    number >>= bits;
  } while (number > 0);
  if (spec.alternate) digits.insert(0, {'0', spec.type == 'X' ? 'x' : spec.type});
  if (spec.type == 'X') absl::AsciiStrToUpper(&digits);
  return digits;
}

std::string Digits(double number, const Spec& spec) {
  const bool percent = spec.type == '%';
  const char type = percent ? 'f' : spec.type ? spec.type : 'g';
  const std::string format = absl::StrCat("%", spec.alternate ? "#" : "", ".*", std::string(1, type));
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  constexpr size_t kLongest = 320;  // a double has at most 309 digits before the point
  std::string digits(kLongest + precision, '\0');
  digits.resize(std::snprintf(digits.data(), digits.size(), format.c_str(), precision,
                              percent ? number * 100 : number));
  if (!spec.type && digits.find_first_of(".en") == digits.npos) digits += ".0";
  return percent ? digits + "%" : digits;
}

void AddCommas(std::string& digits) {
  size_t at = std::min(digits.find_first_not_of("0123456789"), digits.size());
  for (; at > 3; at -= 3) digits.insert(at - 3, ",");
}

absl::StatusOr<std::string> FormatNumber(Budget& budget, const Value& value, const Spec& spec,
                                         std::string& sign) {
  const bool as_float = value.is_float() || (spec.type && !std::strchr("dxXob", spec.type));
  const bool negative = as_float ? std::signbit(value.number()) : value.whole_number() < 0;
  sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  std::string digits;
  if (!as_float) {
    const auto number = static_cast<uint64_t>(value.whole_number());
    digits = Digits(negative ? -number : number, spec);
  } else if (!spec.type && spec.precision < 0) {
    Text repr;
    RETURN_IF_ERROR(AppendRepr(budget, Value(std::abs(value.number())), repr));
    digits = repr.bytes;
  } else {
    digits = Digits(std::abs(value.number()), spec);
  }
  if (spec.comma) AddCommas(digits);
  return digits;
}

// `body` to the width, with `sign` at its left.
absl::Status AppendPadded(Budget& budget, const Spec& spec, char standard_align, std::string sign,
                          Text body, Text& out) {
  const int64_t size = CountChars(sign) + CountChars(body.bytes);
  const int64_t missing = std::max<int64_t>(spec.width - size, 0);
  RETURN_IF_ERROR(budget.SpendBytes(body.bytes.size() + missing * spec.fill.size()));
  const char align = spec.align ? spec.align : standard_align;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  if (align == '=') out.Append(sign);
  for (int64_t i = 0; i < left; ++i) out.Append(spec.fill);
  if (align != '=') out.Append(sign);
  out.Append(body);
  for (int64_t i = left; i < missing; ++i) out.Append(spec.fill);
  return absl::OkStatus();
}

absl::Status AppendFormatted(Budget& budget, const Value& value, const Spec& spec, Text& out) {
  if (value.is_number() && spec.type != 's') {
    if (value.is_float() && spec.type && std::strchr("dxXob", spec.type)) {
      return Invalid(absl::StrCat("format '", std::string(1, spec.type), "' is for integers"));
    }
    std::string sign;
    ASSIGN_OR_RETURN(std::string digits, FormatNumber(budget, value, spec, sign));
    Text body;
    body.Append(digits);
    return AppendPadded(budget, spec, spec.zero ? '=' : '>', std::move(sign), std::move(body), out);
  }
  if (!value.is_string() || (spec.type && spec.type != 's') || spec.align == '=') {
    return Invalid(absl::StrCat("a format specification does not fit a value of type ",
                                std::string(value.TypeName())));
  }
  Text text = value.text();
  if (spec.precision >= 0) text = text.Slice(0, OffsetOfChar(text.bytes, spec.precision));
  return AppendPadded(budget, spec, '<', "", std::move(text), out);
}

absl::Status AppendConverted(Budget& budget, const Value& value, char conversion, Text& out) {
  if (conversion == 'r') return AppendRepr(budget, value, out);
  ASSIGN_OR_RETURN(const Text text, ToText(budget, value));
  RETURN_IF_ERROR(budget.SpendBytes(text.bytes.size()));
  out.Append(text);
  return absl::OkStatus();
}

const Value* Named(const Arguments& arguments, std::string_view name) {
  for (const auto& [key, value] : arguments.named) {
    if (key == name) return &value;
  }
  return nullptr;
}

// What stands between two braces.
class Field {
 public:
  Field(Context& context, const Arguments& arguments, size_t& next)
      : context_(context), arguments_(arguments), next_(next) {}

  absl::Status Append(std::string_view field, Text& out) {
    const size_t name_end = std::min(field.find_first_of("!:"), field.size());
    ASSIGN_OR_RETURN(const Value value, Find(field.substr(0, name_end)));
    field.remove_prefix(name_end);
    if (field.empty() || field == ":") {
      return AppendConverted(context_.budget, value, 's', out);
    }
    Value converted = value;
    if (field[0] == '!') {
      if (field.size() < 2 || (field[1] != 'r' && field[1] != 's') ||
          (field.size() > 2 && field[2] != ':')) {
        return Invalid("a conversion in a format is !r or !s");
      }
      Text text;
      RETURN_IF_ERROR(AppendConverted(context_.budget, value, field[1], text));
      converted = Value::FromText(std::move(text));
      field.remove_prefix(2);
    }
    if (!field.empty()) field.remove_prefix(1);  // the colon
    ASSIGN_OR_RETURN(const Spec spec, ParseSpec(field));
    return AppendFormatted(context_.budget, converted, spec, out);
  }

 private:
  // name.attribute[item]…
  absl::StatusOr<Value> Find(std::string_view path) {
    const size_t end = std::min(path.find_first_of(".["), path.size());
    ASSIGN_OR_RETURN(Value value, FindFirst(path.substr(0, end)));
    path.remove_prefix(end);
    while (!path.empty()) {
      const bool is_item = path[0] == '[';
      size_t stop = std::min(path.find_first_of(is_item ? "]" : ".[", 1), path.size());
      const std::string part(path.substr(1, stop - 1));
      int64_t index;
      if (is_item && absl::SimpleAtoi(part, &index)) {
        ASSIGN_OR_RETURN(value, Item(value, Value(index)));
      } else if (is_item) {
        ASSIGN_OR_RETURN(value, Item(value, Value::String(part)));
      } else {
        ASSIGN_OR_RETURN(value, Attribute(context_, value, part));
      }
      if (is_item && stop == path.size()) return Invalid("a format lacks a ']'");
      path.remove_prefix(stop + is_item);
    }
    return value;
  }

  absl::StatusOr<Value> FindFirst(std::string_view name) {
    uint64_t index = next_;
    if (name.empty()) {
      ++next_;
    } else if (!absl::SimpleAtoi(absl::string_view(name.data(), name.size()), &index)) {
      if (const Value* value = Named(arguments_, name)) return *value;
      return Invalid(absl::StrCat("there is no argument '", std::string(name), "'"));
    }
    if (index < arguments_.positional.size()) return arguments_.positional[index];
    return Invalid("there are fewer arguments than the format wants");
  }

  Context& context_;
  const Arguments& arguments_;
  size_t& next_;
};

// The next argument of a "%", `rest` being after that sign and any "(name)".
class PercentArguments {
 public:
  explicit PercentArguments(const Arguments& arguments) : arguments_(arguments) {}

  absl::StatusOr<Value> Next(std::string_view& rest) {
    if (rest.starts_with("(")) {
      const size_t end = rest.find(')');
      const Value* value = end == rest.npos ? nullptr : Named(arguments_, rest.substr(1, end - 1));
      if (!value) return Invalid("there is no argument of the name that the format wants");
      rest.remove_prefix(end + 1);
      return *value;
    }
    if (next_ < arguments_.positional.size()) return arguments_.positional[next_++];
    return Invalid("there are fewer arguments than the format wants");
  }

  bool AllUsed() const { return next_ >= arguments_.positional.size(); }

 private:
  const Arguments& arguments_;
  size_t next_ = 0;
};

// The specification after a "%" in that of format().
absl::StatusOr<Spec> ParsePercentSpec(std::string_view& rest) {
  Spec spec;
  spec.align = '>';
  while (const char flag = Take(rest, "#0- +")) {
    if (flag == '#') spec.alternate = true;
    if (flag == '-') spec.align = '<';
    if (flag == '0' && spec.align == '>') spec.align = '=', spec.fill = "0";
    if (flag == '+' || flag == ' ') spec.sign = spec.sign == '+' ? '+' : flag;
  }
  ASSIGN_OR_RETURN(spec.width, TakeNumber(rest, 0));
  if (Take(rest, ".")) {
    ASSIGN_OR_RETURN(spec.precision, TakeNumber(rest, 0));
  }
  spec.type = Take(rest, "sriudxXoeEfFgG");
  if (!spec.type) return Invalid("a conversion after '%' is unknown");
  if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
  return spec;
}

}  // namespace

absl::StatusOr<Value> FormatBraces(Context& context, const Text& text, const Arguments& arguments) {
  const std::string_view bytes = text.bytes;
  size_t next = 0, at = 0;
  Field field(context, arguments, next);
  Text out;
  RETURN_IF_ERROR(context.budget.SpendBytes(bytes.size()));
  while (at < bytes.size()) {
    const size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    out.Append(text.Slice(at, brace));
    if (brace == bytes.size()) break;
    RETURN_IF_ERROR(context.budget.Spend(1));
    if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
      out.Append(text.Slice(brace, brace + 1));
      at = brace + 2;
      continue;
    }
    const size_t end = bytes[brace] == '{' ? bytes.find('}', brace) : bytes.npos;
    if (end == bytes.npos) return Invalid("a single brace in a format");
    RETURN_IF_ERROR(field.Append(bytes.substr(brace + 1, end - brace - 1), out));
    at = end + 1;
  }
  return Value::FromText(std::move(out));
}

absl::StatusOr<Value> FormatPercent(Budget& budget, const Text& text, const Arguments& arguments,
                                    bool may_be_unused) {
  const std::string_view bytes = text.bytes;
  PercentArguments values(arguments);
  Text out;
  RETURN_IF_ERROR(budget.SpendBytes(bytes.size()));
  for (size_t at = 0; at < bytes.size();) {
    const size_t sign = std::min(bytes.find('%', at), bytes.size());
    out.Append(text.Slice(at, sign));
    if (sign == bytes.size()) break;
    RETURN_IF_ERROR(budget.Spend(1));
    std::string_view rest = bytes.substr(sign + 1);
    if (Take(rest, "%")) {
      out.Append("%");
    } else {
      ASSIGN_OR_RETURN(Value value, values.Next(rest));
      ASSIGN_OR_RETURN(Spec spec, ParsePercentSpec(rest));
      if (spec.type == 's' || spec.type == 'r') {
        Text converted;
        RETURN_IF_ERROR(AppendConverted(budget, value, spec.type, converted));
        value = Value::FromText(std::move(converted));
        spec.type = 's';
        spec.fill = " ";
        if (spec.align == '=') spec.align = '>';
      } else if (!value.is_number()) {
        return Invalid(absl::StrCat("'%", std::string(1, spec.type), "' needs a number"));
      } else if (spec.type == 'd' && value.is_float()) {
        if (!(std::abs(value.number()) < 9e18)) return Invalid("'%d' needs a number of 64 bits");
        value = static_cast<int64_t>(value.number());
      }
      RETURN_IF_ERROR(AppendFormatted(budget, value, spec, out));
    }
    at = bytes.size() - rest.size();
  }
  if (!may_be_unused && !values.AllUsed()) return Invalid("there are more arguments than the format wants");
  return Value::FromText(std::move(out));
}

}  // namespace spotinference::jinja
