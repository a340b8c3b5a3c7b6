#include "engine/sample/grammar/schema_keywords.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"

namespace spotinference {

namespace json = boost::json;

namespace {

// Keywords that say nothing about what is valid.
constexpr absl::string_view kNotes[] = {"title",   "description", "default",  "examples",  "$comment",
                                        "$schema", "deprecated",  "readOnly", "writeOnly", "$defs",
                                        "definitions"};
constexpr absl::string_view kAssertions[] = {
    "type",     "properties", "required",  "additionalProperties", "enum",    "const",   "anyOf",
    "$ref",     "items",      "prefixItems", "minItems",           "maxItems", "minLength", "maxLength",
    "pattern",  "format",     "minimum",   "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"};

}  // namespace

bool IsIn(absl::string_view name, absl::Span<const absl::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const json::value* Find(const json::object& object, absl::string_view name) {
  return object.if_contains(json::string_view(name.data(), name.size()));
}

Place Place::Below(absl::string_view keyword) const { return {absl::StrCat(pointer, "/", keyword), depth + 1}; }

Place Place::Below(absl::string_view keyword, absl::string_view name) const {
  const std::string escaped = absl::StrReplaceAll(name.substr(0, 64), {{"~", "~0"}, {"/", "~1"}});
  return {absl::StrCat(pointer, "/", keyword, "/", escaped), depth + 1};
}

absl::Status Place::Error(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat("#", pointer, ": ", what));
}

bool IsAssertion(absl::string_view keyword) { return IsIn(keyword, kAssertions); }

bool HasAssertion(const json::object& schema, absl::string_view but) {
  for (const json::key_value_pair& member : schema) {
    const absl::string_view key = View(member.key());
    if (key != but && IsIn(key, kAssertions)) return true;
  }
  return false;
}

std::string Decimal(double value, std::chars_format format) {
  char digits[1100];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), value, format);
  return std::string(digits, end);
}

absl::StatusOr<std::optional<uint32_t>> Count(const json::object& schema, absl::string_view keyword,
                                              const Place& place) {
  const json::value* const value = Find(schema, keyword);
  if (value == nullptr) return std::nullopt;
  double count = -1;
  if (value->is_number()) count = value->to_number<double>();
  if (!(count >= 0 && count == std::floor(count))) {
    return place.Error(absl::StrCat("'", keyword, "' must be an integer that is not negative"));
  }
  return static_cast<uint32_t>(std::min<double>(count, Grammar::kUnbounded - 1));
}

absl::StatusOr<std::vector<absl::string_view>> Strings(const json::value& value, absl::string_view keyword,
                                                       const Place& place) {
  std::vector<absl::string_view> strings;
  if (value.is_array()) {
    for (const json::value& element : value.get_array()) {
      if (!element.is_string()) break;
      strings.push_back(View(element.get_string()));
    }
  }
  if (!value.is_array() || strings.size() != value.get_array().size()) {
    return place.Error(absl::StrCat("'", keyword, "' must be an array of strings"));
  }
  return strings;
}

absl::StatusOr<std::vector<absl::string_view>> AllowedTypes(const json::object& schema, const Place& place) {
  const json::value* const type = Find(schema, "type");
  if (type == nullptr) return std::vector<absl::string_view>(std::begin(kTypes), std::end(kTypes));
  std::vector<absl::string_view> types;
  if (type->is_string()) {
    types.push_back(View(type->get_string()));
  } else {
    ASSIGN_OR_RETURN(types, Strings(*type, "type", place));
  }
  for (const absl::string_view name : types) {
    if (!IsIn(name, kTypes)) return place.Error(absl::StrCat("there is no type '", name.substr(0, 64), "'"));
  }
  return types;
}

bool IsIntegral(const json::value& value) {
  return value.is_int64() || value.is_uint64() ||
         (value.is_double() && value.get_double() == std::floor(value.get_double()));
}

bool IsOfType(const json::value& value, absl::string_view type) {
  switch (value.kind()) {
    case json::kind::null: return type == "null";
    case json::kind::bool_: return type == "boolean";
    case json::kind::string: return type == "string";
    case json::kind::array: return type == "array";
    case json::kind::object: return type == "object";
    default: return type == "number" || (type == "integer" && IsIntegral(value));
  }
}

absl::StatusOr<std::optional<Bound>> ReadBound(const json::object& schema, bool lower, const Place& place) {
  std::optional<Bound> bound;
  for (const bool exclusive : {false, true}) {
    const absl::string_view keyword = exclusive ? (lower ? "exclusiveMinimum" : "exclusiveMaximum")
                                                : (lower ? "minimum" : "maximum");
    const json::value* const value = Find(schema, keyword);
    if (value == nullptr) continue;
    if (!value->is_number()) return place.Error(absl::StrCat("'", keyword, "' must be a number"));
    const double number = value->to_number<double>();
    if (std::abs(number) >= 1e18) {
      return place.Error(absl::StrCat("'", keyword, "' is ", number, "; it must lie within 1e18 of zero"));
    }
    if (bound) {
      const double other = bound->value.to_number<double>();
      if (lower ? number < other : number > other) continue;
    }
    bound = Bound{*value, exclusive};
  }
  return bound;
}

int64_t IntegerBound(const Bound& bound, bool lower) {
  if (bound.value.is_double()) {
    const double value = bound.value.get_double();
    const double inner = lower ? std::ceil(value) : std::floor(value);
    const bool outside = bound.exclusive && inner == value;
    return static_cast<int64_t>(inner) + (outside ? (lower ? 1 : -1) : 0);
  }
  return bound.value.to_number<int64_t>() + (bound.exclusive ? (lower ? 1 : -1) : 0);
}

absl::StatusOr<DecimalBound> ToDecimal(const Bound& bound, const Place& place) {
  constexpr size_t kMaxFractionDigits = 40;
  std::string text = bound.value.is_double() ? Decimal(bound.value.get_double(), std::chars_format::fixed)
                                             : absl::StrCat(bound.value.to_number<int64_t>());
  DecimalBound decimal{.exclusive = bound.exclusive};
  decimal.negative = text[0] == '-';
  if (decimal.negative) text.erase(0, 1);
  const std::vector<std::string> parts = absl::StrSplit(text, '.');
  std::from_chars(parts[0].data(), parts[0].data() + parts[0].size(), decimal.integer);
  if (parts.size() > 1) decimal.fraction = parts[1];
  while (!decimal.fraction.empty() && decimal.fraction.back() == '0') decimal.fraction.pop_back();
  if (decimal.fraction.size() > kMaxFractionDigits) {
    return place.Error(absl::StrCat("a bound with more than ", kMaxFractionDigits, " decimal places"));
  }
  return decimal;
}

absl::Status CheckKeywords(const json::object& schema, const Place& place) {
  for (const json::key_value_pair& member : schema) {
    const absl::string_view key = View(member.key());
    if (IsIn(key, kAssertions) || IsIn(key, kNotes)) continue;
    if (key == "$id" && place.pointer.empty()) continue;
    return place.Error(absl::StrCat("the keyword '", key.substr(0, 64), "' is not supported"));
  }
  return absl::OkStatus();
}

absl::StatusOr<const json::value*> Resolve(const json::value& root, absl::string_view reference,
                                           const Place& place) {
  const absl::string_view shown = reference.substr(0, 64);
  if (!absl::StartsWith(reference, "#")) {
    return place.Error(absl::StrCat("$ref '", shown, "' must begin with '#': only this schema is known"));
  }
  std::string pointer;
  for (size_t i = 1; i < reference.size(); ++i) {
    if (reference[i] == '%' && i + 2 < reference.size() && absl::ascii_isxdigit(reference[i + 1]) &&
        absl::ascii_isxdigit(reference[i + 2])) {
      pointer += absl::HexStringToBytes(reference.substr(i + 1, 2));
      i += 2;
    } else {
      pointer += reference[i];
    }
  }
  const json::value* at = &root;
  if (pointer.empty()) return at;
  std::vector<std::string> names = absl::StrSplit(pointer, '/');
  if (!names[0].empty()) return place.Error(absl::StrCat("$ref '", shown, "' is no JSON pointer"));
  for (size_t i = 1; i < names.size() && at != nullptr; ++i) {
    const std::string name = absl::StrReplaceAll(names[i], {{"~1", "/"}, {"~0", "~"}});
    size_t index;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool is_index = error == std::errc() && end == name.data() + name.size();
    if (at->is_object()) at = Find(at->get_object(), name);
    else if (at->is_array() && is_index) at = at->get_array().if_contains(index);
    else at = nullptr;
  }
  if (at == nullptr) return place.Error(absl::StrCat("$ref '", shown, "' leads nowhere"));
  return at;
}

}  // namespace spotinference
