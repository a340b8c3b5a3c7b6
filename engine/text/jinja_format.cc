// How Python and JSON write values.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/text/jinja_operations.h"
#include "engine/text/python_text.h"
#include "engine/text/utf8.h"

namespace spotinference::jinja {
namespace {

// repr(float): the shortest digits that read back the same, with an exponent outside [1e-4, 1e16).
std::string FormatFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const double size = std::abs(value);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr;
  std::string text(buffer, end);
  if (!scientific && text.find('.') == text.npos) text += ".0";
  return text;
}

void AppendUtf16Escape(char32_t c, std::string& out) {
  if (c >= 0x10000) {
    absl::StrAppendFormat(&out, "\\u%04x", 0xd800 + ((c - 0x10000) >> 10));
    c = 0xdc00 + ((c - 0x10000) & 0x3ff);
  }
  absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint32_t>(c));
}

// Characters past Latin-1 that str.isprintable() denies are escaped only where they are white
// space.
std::string ReprOf(std::string_view text) {
  const bool has_single = text.find('\'') != text.npos;
  const char quote = has_single && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  while (!text.empty()) {
    const Utf8Char next = DecodeUtf8(text);
    const char32_t c = next.code_point;
    if (c == '\n' || c == '\r' || c == '\t') {
      absl::StrAppend(&out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    } else if (c == '\\' || c == static_cast<char32_t>(quote)) {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint32_t>(c));
    } else if (c != ' ' && IsPythonSpace(c)) {
      AppendUtf16Escape(c, out);
    } else {
      out.append(text.substr(0, next.bytes));
    }
    text.remove_prefix(next.bytes);
  }
  out.push_back(quote);
  return out;
}

std::string JsonString(std::string_view text, bool ascii) {
  std::string out = "\"";
  while (!text.empty()) {
    const Utf8Char next = DecodeUtf8(text);
    const char32_t c = next.code_point;
    constexpr std::string_view kShort = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    const size_t known = c < 0x80 ? kShort.find(static_cast<char>(c)) : kShort.npos;
    if (known != kShort.npos) {
      out.push_back('\\');
      out.push_back(kLetters[known]);
    } else if (c < 0x20 || (ascii && c >= 0x80 && c != Utf8Char::kInvalid)) {
      AppendUtf16Escape(c, out);
    } else {
      out.append(text.substr(0, next.bytes));
    }
    text.remove_prefix(next.bytes);
  }
  out.push_back('"');
  return out;
}

absl::Status AppendString(Budget& budget, const Text& source, std::string written, Text& out) {
  RETURN_IF_ERROR(budget.SpendBytes(written.size()));
  out.Append(source.Remade(std::move(written)));
  return absl::OkStatus();
}

void AppendBreak(const JsonStyle& style, int level, Text& out) {
  if (!style.has_indent) return;
  out.Append("\n");
  for (int i = 0; i < level; ++i) out.Append(style.indent);
}

std::string JsonFloat(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return FormatFloat(value);
}

absl::Status AppendJsonList(Budget& budget, const Value& value, const JsonStyle& style, int level,
                            Text& out) {
  out.Append("[");
  bool first = true;
  for (const Value& item : value.items()) {
    if (!first) out.Append(style.item_separator);
    first = false;
    AppendBreak(style, level + 1, out);
    RETURN_IF_ERROR(AppendJson(budget, item, style, level + 1, out));
  }
  if (!first) AppendBreak(style, level, out);
  out.Append("]");
  return absl::OkStatus();
}

absl::Status AppendJsonMap(Budget& budget, const Value& value, const JsonStyle& style, int level,
                           Text& out) {
  std::vector<std::pair<Value, Value>> sorted;
  const auto* entries = &value.map().entries;
  if (style.sort_keys) {
    sorted = *entries;
    absl::Status status;
    std::stable_sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) {
      const absl::StatusOr<int> order = Order(budget, a.first, b.first);
      if (!order.ok()) status = order.status();
      return order.ok() && *order < 0;
    });
    RETURN_IF_ERROR(status);
    entries = &sorted;
  }
  out.Append("{");
  bool first = true;
  for (const auto& [key, item] : *entries) {
    if (!first) out.Append(style.item_separator);
    first = false;
    AppendBreak(style, level + 1, out);
    const bool quoted = !key.is_string();
    if (quoted) out.Append("\"");
    RETURN_IF_ERROR(AppendJson(budget, key, style, level, out));
    if (quoted) out.Append("\"");
    out.Append(style.key_separator);
    RETURN_IF_ERROR(AppendJson(budget, item, style, level + 1, out));
  }
  if (!first) AppendBreak(style, level, out);
  out.Append("}");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Text> ToText(Budget& budget, const Value& value) {
  if (value.is_string()) return value.text();
  Text out;
  if (!value.is_undefined()) RETURN_IF_ERROR(AppendRepr(budget, value, out));
  return out;
}

absl::Status AppendRepr(Budget& budget, const Value& value, Text& out) {
  RETURN_IF_ERROR(budget.Spend(1));
  RETURN_IF_ERROR(budget.SpendBytes(8));
  if (value.is_string()) {
    const std::string repr = ReprOf(value.bytes());
    const bool is_markup = value.text().is_markup;
    return AppendString(budget, value.text(), is_markup ? absl::StrCat("Markup(", repr, ")") : repr,
                        out);
  } else if (value.is_bool()) {
    out.Append(value.boolean() ? "True" : "False");
  } else if (value.is_integer()) {
    out.Append(absl::StrCat(value.whole_number()));
  } else if (value.is_float()) {
    out.Append(FormatFloat(value.number()));
  } else if (value.is_none()) {
    out.Append("None");
  } else if (value.is_list()) {
    const bool is_view = !value.is_sequence(), is_tuple = value.is_tuple();
    if (is_view) out.Append(absl::StrCat(std::string(value.TypeName()), "("));
    out.Append(is_tuple ? "(" : "[");
    const char* separator = "";
    for (const Value& item : value.items()) {
      out.Append(std::exchange(separator, ", "));
      RETURN_IF_ERROR(AppendRepr(budget, item, out));
    }
    out.Append(!is_tuple ? "]" : value.items().size() == 1 ? ",)" : ")");
    if (is_view) out.Append(")");
  } else if (value.is_map()) {
    out.Append("{");
    const char* separator = "";
    for (const auto& [key, item] : value.map().entries) {
      out.Append(std::exchange(separator, ", "));
      RETURN_IF_ERROR(AppendRepr(budget, key, out));
      out.Append(": ");
      RETURN_IF_ERROR(AppendRepr(budget, item, out));
    }
    out.Append("}");
  } else if (value.is_undefined()) {
    out.Append("Undefined");
  } else {
    return Invalid(absl::StrCat("a ", std::string(value.TypeName()), " cannot be printed"));
  }
  return absl::OkStatus();
}

absl::Status AppendJson(Budget& budget, const Value& value, const JsonStyle& style, int level,
                        Text& out) {
  RETURN_IF_ERROR(budget.Spend(1));
  RETURN_IF_ERROR(budget.SpendBytes(8 + style.item_separator.bytes.size() +
                                    style.key_separator.bytes.size() +
                                    style.indent.bytes.size() * (level + 1)));
  if (value.is_string()) {
    return AppendString(budget, value.text(), JsonString(value.bytes(), style.ascii), out);
  }
  if (value.is_sequence()) return AppendJsonList(budget, value, style, level, out);
  if (value.is_map()) return AppendJsonMap(budget, value, style, level, out);
  if (value.is_bool()) {
    out.Append(value.boolean() ? "true" : "false");
  } else if (value.is_integer()) {
    out.Append(absl::StrCat(value.whole_number()));
  } else if (value.is_float()) {
    out.Append(JsonFloat(value.number()));
  } else if (value.is_none()) {
    out.Append("null");
  } else {
    return Invalid(absl::StrCat("a value of type ", std::string(value.TypeName()), " is not JSON"));
  }
  return absl::OkStatus();
}

}  // namespace spotinference::jinja
