#include "engine/sample/grammar/json_schema.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "boost/json.hpp"
#include "engine/base/status.h"
#include "engine/sample/grammar/formats.h"
#include "engine/sample/grammar/json_grammar.h"
#include "engine/sample/grammar/numbers.h"
#include "engine/sample/grammar/regex.h"
#include "engine/sample/grammar/schema_keywords.h"

namespace spotinference {
namespace {

namespace json = boost::json;
using Expression = Grammar::Expression;

constexpr uint32_t kUnbounded = Grammar::kUnbounded;

class SchemaCompiler {
 public:
  SchemaCompiler(const json::value& root, Grammar& grammar) : root_(root), grammar_(grammar), json_(grammar) {}

  absl::Status Run() {
    grammar_.set_root(RuleOf(root_, ""));
    while (!pending_.empty()) {
      const Pending next = std::move(pending_.back());
      pending_.pop_back();
      ASSIGN_OR_RETURN(const Expression expression, Compile(*next.schema, {next.pointer, 0}));
      grammar_.Define(next.rule, expression);
    }
    return absl::OkStatus();
  }

 private:
  using Result = absl::StatusOr<Expression>;
  struct Pending {
    Grammar::Rule rule;
    const json::value* schema;
    std::string pointer;
  };

  Result Compile(const json::value& schema, const Place& place);
  Result Reference(const json::object& schema, const Place& place);
  Result AnyOf(const json::object& schema, const Place& place);
  Result Values(const json::object& schema, const Place& place);
  Result Types(const json::object& schema, const Place& place);
  Result OfType(absl::string_view type, const json::object& schema, const Place& place);
  Result String(const json::object& schema, const Place& place);
  Result Integer(const json::object& schema, const Place& place);
  Result Number(const json::object& schema, const Place& place);
  Result Array(const json::object& schema, const Place& place);
  Result Object(const json::object& schema, const Place& place);
  Result Pattern(absl::string_view pattern, const Place& place);

  Grammar::Rule RuleOf(const json::value& schema, const std::string& pointer);
  absl::StatusOr<const json::value*> Merge(const json::value& one, const json::object& other,
                                           absl::string_view without, const Place& place);
  Expression Constant(const json::value& value);
  Expression AsRule(Expression expression) { return grammar_.Call(grammar_.AddRule(expression)); }
  Expression Members(const std::vector<std::pair<Expression, bool>>& members, std::optional<Expression> additional);

  const json::value& root_;
  Grammar& grammar_;
  JsonGrammar json_;
  absl::flat_hash_map<std::string, Grammar::Rule> rules_;  // by pointer
  std::vector<Pending> pending_;
  std::deque<json::value> merged_;
  size_t merged_bytes_ = 0;
  int properties_ = 0, enum_values_ = 0;
};

// --- schemas

SchemaCompiler::Result SchemaCompiler::Compile(const json::value& schema, const Place& place) {
  if (place.depth > kMaxSchemaDepth) {
    return place.Error(absl::StrCat("schemas nested deeper than the limit of ", kMaxSchemaDepth));
  }
  if (schema.is_bool()) return schema.get_bool() ? json_.Value() : grammar_.Nothing();
  if (!schema.is_object()) return place.Error("a schema must be an object, true or false");
  const json::object& object = schema.get_object();
  RETURN_IF_ERROR(CheckKeywords(object, place));
  if (Find(object, "$ref") != nullptr) return Reference(object, place);
  if (Find(object, "anyOf") != nullptr) return AnyOf(object, place);
  if (Find(object, "enum") != nullptr || Find(object, "const") != nullptr) return Values(object, place);
  if (!HasAssertion(object)) return json_.Value();
  return Types(object, place);
}

Grammar::Rule SchemaCompiler::RuleOf(const json::value& schema, const std::string& pointer) {
  const auto [found, added] = rules_.try_emplace(pointer, Grammar::Rule{});
  if (added) {
    found->second = grammar_.AddRule();
    pending_.push_back({found->second, &schema, pointer});
  }
  return found->second;
}

SchemaCompiler::Result SchemaCompiler::Reference(const json::object& schema, const Place& place) {
  const json::value& reference = *Find(schema, "$ref");
  if (!reference.is_string()) return place.Error("'$ref' must be a string");
  const absl::string_view text = View(reference.get_string());
  ASSIGN_OR_RETURN(const json::value* target, Resolve(root_, text, place));
  if (!HasAssertion(schema, "$ref")) return grammar_.Call(RuleOf(*target, std::string(text.substr(1))));
  ASSIGN_OR_RETURN(const json::value* merged, Merge(*target, schema, "$ref", place));
  return Compile(*merged, {place.pointer, place.depth + 1});
}

SchemaCompiler::Result SchemaCompiler::AnyOf(const json::object& schema, const Place& place) {
  const json::value& branches = *Find(schema, "anyOf");
  if (!branches.is_array() || branches.get_array().empty()) {
    return place.Error("'anyOf' must be an array of schemas, at least one");
  }
  const bool alone = !HasAssertion(schema, "anyOf");
  std::vector<Expression> parts;
  for (size_t i = 0; i < branches.get_array().size(); ++i) {
    const json::value* branch = &branches.get_array()[i];
    const Place at = place.Below("anyOf", absl::StrCat(i));
    if (!alone) {
      ASSIGN_OR_RETURN(branch, Merge(*branch, schema, "anyOf", at));
    }
    ASSIGN_OR_RETURN(const Expression part, Compile(*branch, at));
    parts.push_back(part);
  }
  return grammar_.OneOf(std::move(parts));
}

// One schema for two that must both hold.
absl::StatusOr<const json::value*> SchemaCompiler::Merge(const json::value& one, const json::object& other,
                                                         absl::string_view without, const Place& place) {
  constexpr size_t kMaxMergedBytes = 4 * kMaxSchemaBytes;
  if (one.is_bool() && !one.get_bool()) return &one;
  if (!one.is_object() && !one.is_bool()) return place.Error("a schema must be an object, true or false");
  json::object merged;
  if (one.is_object()) merged = one.get_object();
  const json::object first = merged;
  for (const json::key_value_pair& member : other) {
    const absl::string_view key = View(member.key());
    if (key == without || !IsAssertion(key)) continue;
    const auto [at, added] = merged.emplace(member.key(), member.value());
    if (added || at->value() == member.value()) continue;
    if (key == "type") {
      ASSIGN_OR_RETURN(const auto types, AllowedTypes(first, place));
      ASSIGN_OR_RETURN(const auto others, AllowedTypes(other, place));
      json::array both;
      for (const absl::string_view type : types) {
        const bool narrower = type == "integer" && IsIn("number", others);
        const bool wider = type == "number" && IsIn("integer", others) && !IsIn("number", others);
        if (IsIn(type, others) || narrower) both.emplace_back(json::string_view(type.data(), type.size()));
        else if (wider) both.emplace_back("integer");
      }
      at->value() = std::move(both);
    } else if (key == "required" && at->value().is_array() && member.value().is_array()) {
      json::array& names = at->value().get_array();
      for (const json::value& name : member.value().get_array()) names.push_back(name);
    } else {
      return place.Error(absl::StrCat("'", key, "' stands in two schemas that must both hold; that is not supported"));
    }
  }
  for (const auto& [rest, known] : {std::pair("additionalProperties", "properties"), {"items", "prefixItems"}}) {
    const bool split = (Find(first, rest) != nullptr && Find(other, known) != nullptr) ||
                       (Find(other, rest) != nullptr && Find(first, known) != nullptr);
    if (!split) continue;
    return place.Error(absl::StrCat("'", rest, "' and '", known, "' stand in two schemas that must both hold; ",
                                    "that is not supported"));
  }
  merged_.emplace_back(std::move(merged));
  merged_bytes_ += json::serialize(merged_.back()).size();
  if (merged_bytes_ > kMaxMergedBytes) {
    return place.Error(absl::StrCat("what stands beside anyOf and $ref takes more than the limit of ",
                                    kMaxMergedBytes, " bytes, once for each branch"));
  }
  return &merged_.back();
}

// --- values

Expression SchemaCompiler::Constant(const json::value& value) {
  std::vector<Expression> parts;
  const auto comma = [&] { parts.push_back(grammar_.Literal(parts.size() > 1 ? "," : "")); };
  switch (value.kind()) {
    case json::kind::string: return json_.Quoted(json_.Text(View(value.get_string())));
    case json::kind::array:
      parts.push_back(grammar_.Literal("["));
      for (const json::value& element : value.get_array()) {
        comma();
        parts.push_back(Constant(element));
      }
      parts.push_back(grammar_.Literal("]"));
      return grammar_.Sequence(std::move(parts));
    case json::kind::object:
      parts.push_back(grammar_.Literal("{"));
      for (const json::key_value_pair& member : value.get_object()) {
        comma();
        parts.push_back(json_.Quoted(json_.Text(View(member.key()))));
        parts.push_back(grammar_.Literal(":"));
        parts.push_back(Constant(member.value()));
      }
      parts.push_back(grammar_.Literal("}"));
      return grammar_.Sequence(std::move(parts));
    case json::kind::double_: {
      const double number = value.get_double();
      if (IsIntegral(value) && std::abs(number) < 1e15) {
        return grammar_.Literal(absl::StrCat(static_cast<int64_t>(number)));
      }
      return grammar_.Literal(Decimal(number, std::chars_format::general));
    }
    default: return grammar_.Literal(json::serialize(value));
  }
}

SchemaCompiler::Result SchemaCompiler::Values(const json::object& schema, const Place& place) {
  const json::value* const list = Find(schema, "enum");
  const json::value* const constant = Find(schema, "const");
  for (const json::key_value_pair& member : schema) {
    const absl::string_view key = View(member.key());
    if (key == "enum" || key == "const" || key == "type" || !IsAssertion(key)) continue;
    return place.Error(absl::StrCat("'", key, "' beside 'enum' or 'const' is not supported"));
  }
  if (list != nullptr && (!list->is_array() || list->get_array().empty())) {
    return place.Error("'enum' must be an array of values, at least one");
  }
  std::vector<const json::value*> values;
  if (list == nullptr) {
    values.push_back(constant);
  } else {
    for (const json::value& value : list->get_array()) {
      if (constant == nullptr || value == *constant) values.push_back(&value);
    }
  }
  enum_values_ += static_cast<int>(values.size());
  if (enum_values_ > kMaxSchemaEnumValues) {
    return place.Error(absl::StrCat("more values of enums than the limit of ", kMaxSchemaEnumValues));
  }
  ASSIGN_OR_RETURN(const auto types, AllowedTypes(schema, place));
  std::vector<Expression> parts;
  for (const json::value* const value : values) {
    if (std::any_of(types.begin(), types.end(), [&](absl::string_view type) { return IsOfType(*value, type); })) {
      parts.push_back(Constant(*value));
    }
  }
  return grammar_.OneOf(std::move(parts));
}

SchemaCompiler::Result SchemaCompiler::Types(const json::object& schema, const Place& place) {
  ASSIGN_OR_RETURN(const auto types, AllowedTypes(schema, place));
  std::vector<Expression> parts;
  for (const absl::string_view type : kTypes) {
    if (!IsIn(type, types) || (type == "integer" && IsIn("number", types))) continue;
    ASSIGN_OR_RETURN(const Expression part, OfType(type, schema, place));
    parts.push_back(part);
  }
  return grammar_.OneOf(std::move(parts));
}

SchemaCompiler::Result SchemaCompiler::OfType(absl::string_view type, const json::object& schema, const Place& place) {
  if (type == "null") return json_.Null();
  if (type == "boolean") return json_.Boolean();
  if (type == "integer") return Integer(schema, place);
  if (type == "number") return Number(schema, place);
  if (type == "string") return String(schema, place);
  if (type == "array") return Array(schema, place);
  return Object(schema, place);
}

SchemaCompiler::Result SchemaCompiler::Pattern(absl::string_view pattern, const Place& place) {
  const absl::StatusOr<Expression> text =
      RegexExpression(pattern, grammar_, [this](const CodePoints& set) { return json_.Character(set); });
  if (!text.ok()) return place.Error(absl::StrCat("'pattern': ", text.status().message()));
  return AsRule(json_.Quoted(*text));
}

SchemaCompiler::Result SchemaCompiler::String(const json::object& schema, const Place& place) {
  ASSIGN_OR_RETURN(const auto min, Count(schema, "minLength", place));
  ASSIGN_OR_RETURN(const auto max, Count(schema, "maxLength", place));
  const json::value* const pattern = Find(schema, "pattern");
  const json::value* const format = Find(schema, "format");
  if ((pattern != nullptr) + (format != nullptr) + (min || max) > 1) {
    return place.Error("'pattern', 'format' and a length together are not supported; one of them is");
  }
  if (pattern != nullptr) {
    if (!pattern->is_string()) return place.Error("'pattern' must be a string");
    return Pattern(View(pattern->get_string()), place);
  }
  if (format != nullptr) {
    if (!format->is_string()) return place.Error("'format' must be a string");
    const absl::string_view name = View(format->get_string());
    const std::optional<std::string> of_format = FormatPattern(name);
    if (of_format) return Pattern(*of_format, place);
    return place.Error(
        absl::StrCat("the format '", name.substr(0, 64), "' is not supported; these are: ", kFormatNames));
  }
  if (!min && !max) return json_.String();
  if (min && max && *min > *max) return grammar_.Nothing();
  return AsRule(json_.String(min.value_or(0), max.value_or(kUnbounded)));
}

SchemaCompiler::Result SchemaCompiler::Integer(const json::object& schema, const Place& place) {
  ASSIGN_OR_RETURN(const auto min, ReadBound(schema, true, place));
  ASSIGN_OR_RETURN(const auto max, ReadBound(schema, false, place));
  uint64_t multiple_of = 1;
  if (const json::value* const value = Find(schema, "multipleOf"); value != nullptr) {
    const double number = value->is_number() ? value->to_number<double>() : 0;
    if (!(number > 0)) return place.Error("'multipleOf' must be a number above zero");
    if (IsIntegral(*value) && number <= kMaxMultipleOf) {
      multiple_of = static_cast<uint64_t>(number);
    } else if (1 / number != std::floor(1 / number)) {  // else every integer is a multiple
      return place.Error(absl::StrCat("'multipleOf' is ", number,
                                      "; of integers it may be an integer up to the limit of ", kMaxMultipleOf));
    }
  }
  if (!min && !max && multiple_of == 1) return json_.Integer();
  return AsRule(IntegerExpression(grammar_, min ? std::optional(IntegerBound(*min, true)) : std::nullopt,
                                  max ? std::optional(IntegerBound(*max, false)) : std::nullopt, multiple_of));
}

SchemaCompiler::Result SchemaCompiler::Number(const json::object& schema, const Place& place) {
  ASSIGN_OR_RETURN(const auto min, ReadBound(schema, true, place));
  ASSIGN_OR_RETURN(const auto max, ReadBound(schema, false, place));
  if (const json::value* const value = Find(schema, "multipleOf"); value != nullptr) {
    if (value->is_number() && IsIntegral(*value)) return Integer(schema, place);
    const double number = value->is_number() ? value->to_number<double>() : 0;
    const std::string text = Decimal(number, std::chars_format::fixed);
    const size_t places = text.size() - std::min<size_t>(text.size(), 2);
    if (!(number > 0)) return place.Error("'multipleOf' must be a number above zero");
    if (min || max || text != absl::StrCat("0.", std::string(places - 1, '0'), "1")) {
      return place.Error(absl::StrCat("'multipleOf' is ", number,
                                      "; of numbers it may be an integer, or without bounds 0.1, 0.01 and so on"));
    }
    const auto digit = grammar_.Character({{'0', '9'}});
    const auto fraction = grammar_.Sequence({grammar_.Literal("."), grammar_.Repeat(digit, 1, places)});
    return AsRule(grammar_.Sequence({json_.Integer(), grammar_.Optional(fraction)}));
  }
  if (!min && !max) return json_.Number();
  std::optional<DecimalBound> low, high;
  if (min) {
    ASSIGN_OR_RETURN(low, ToDecimal(*min, place));
  }
  if (max) {
    ASSIGN_OR_RETURN(high, ToDecimal(*max, place));
  }
  return AsRule(DecimalExpression(grammar_, low, high));
}

// --- arrays and objects

SchemaCompiler::Result SchemaCompiler::Array(const json::object& schema, const Place& place) {
  ASSIGN_OR_RETURN(const auto min_items, Count(schema, "minItems", place));
  ASSIGN_OR_RETURN(const auto max_items, Count(schema, "maxItems", place));
  const uint32_t min = min_items.value_or(0), max = max_items.value_or(kUnbounded);
  const json::value* const prefix = Find(schema, "prefixItems");
  const json::value* const items = Find(schema, "items");
  if (prefix == nullptr && items == nullptr && !min_items && !max_items) return json_.Array();
  if (min > max) return grammar_.Nothing();
  Expression item = json_.Value();
  if (items != nullptr) {
    ASSIGN_OR_RETURN(item, Compile(*items, place.Below("items")));
    item = AsRule(item);  // it is used twice
  }
  if (prefix == nullptr) return json_.InBrackets(json_.List(item, min, max));
  if (!prefix->is_array() || prefix->get_array().empty()) {
    return place.Error("'prefixItems' must be an array of schemas, at least one");
  }
  const uint32_t count = static_cast<uint32_t>(prefix->get_array().size());
  if (count > kMaxSchemaPrefixItems) {
    return place.Error(absl::StrCat("more prefixItems than the limit of ", kMaxSchemaPrefixItems));
  }
  Expression rest = grammar_.Empty();  // what may follow the elements so far, from the back
  if (max > count) {
    rest = grammar_.Repeat(grammar_.Sequence({json_.Comma(), item}), min > count ? min - count : 0,
                           max == kUnbounded ? kUnbounded : max - count);
  }
  for (uint32_t i = count; i-- > 0;) {
    const Place at = place.Below("prefixItems", absl::StrCat(i));
    ASSIGN_OR_RETURN(const Expression element, Compile(prefix->get_array()[i], at));
    if (i >= max) continue;
    rest = grammar_.Sequence({i > 0 ? json_.Comma() : grammar_.Empty(), element, rest});
    if (i >= min) rest = grammar_.Optional(rest);
  }
  return json_.InBrackets(rest);
}

SchemaCompiler::Result SchemaCompiler::Object(const json::object& schema, const Place& place) {
  const json::value* const properties = Find(schema, "properties");
  const json::value* const required = Find(schema, "required");
  const json::value* const additional = Find(schema, "additionalProperties");
  if (properties == nullptr && required == nullptr && additional == nullptr) return json_.Object();
  if (properties != nullptr && !properties->is_object()) return place.Error("'properties' must be an object");
  std::vector<absl::string_view> must;
  if (required != nullptr) {
    ASSIGN_OR_RETURN(must, Strings(*required, "required", place));
  }
  Expression other = json_.Value();
  if (additional != nullptr) {
    ASSIGN_OR_RETURN(other, Compile(*additional, place.Below("additionalProperties")));
    other = AsRule(other);
  }
  absl::flat_hash_map<absl::string_view, bool> needed;  // whether it is yet to be listed
  for (const absl::string_view name : must) needed[name] = true;
  std::vector<absl::string_view> names;
  std::vector<std::pair<Expression, bool>> members;
  const auto add = [&](absl::string_view name, Expression value) {
    names.push_back(name);
    members.emplace_back(json_.Member(json_.Quoted(json_.Text(name)), value), needed.contains(name));
    needed[name] = false;
  };
  if (properties != nullptr) {
    for (const json::key_value_pair& member : properties->get_object()) {
      const absl::string_view name = View(member.key());
      ASSIGN_OR_RETURN(const Expression value, Compile(member.value(), place.Below("properties", name)));
      add(name, value);
    }
  }
  for (const absl::string_view name : must) {
    if (needed[name]) add(name, other);
  }
  properties_ += static_cast<int>(names.size());
  if (properties_ > kMaxSchemaProperties) {
    return place.Error(absl::StrCat("more properties than the limit of ", kMaxSchemaProperties));
  }
  std::optional<Expression> rest;
  if (additional == nullptr || !additional->is_bool() || additional->get_bool()) {
    rest = json_.Member(json_.StringOtherThan(names), other);
  }
  return json_.InBraces(Members(members, rest));
}

// What is still to come after each of the members is a rule, once for when a comma is due and once for when not; a
// member is a rule, used by both. `members`: with whether it is required.
Expression SchemaCompiler::Members(const std::vector<std::pair<Expression, bool>>& members,
                                   std::optional<Expression> additional) {
  Grammar::Rule first = grammar_.AddRule(grammar_.Empty()), next = first;
  if (additional) {
    const auto one = AsRule(*additional);
    const auto more = grammar_.Repeat(grammar_.Sequence({json_.Comma(), one}), 0, kUnbounded);
    next = grammar_.AddRule(more);
    first = grammar_.AddRule(grammar_.Optional(grammar_.Sequence({one, more})));
  }
  for (size_t i = members.size(); i-- > 0;) {
    const auto& [member, required] = members[i];
    const auto here = AsRule(grammar_.Sequence({member, grammar_.Call(next)}));
    const auto or_later = [&](Expression now, Grammar::Rule later) {
      return grammar_.AddRule(required ? now : grammar_.OneOf({now, grammar_.Call(later)}));
    };
    first = or_later(here, first);
    next = or_later(grammar_.Sequence({json_.Comma(), here}), next);
  }
  return grammar_.Call(first);
}

}  // namespace

absl::StatusOr<Automaton> CompileJsonSchema(absl::string_view schema) {
  if (schema.size() > kMaxSchemaBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the schema has ", schema.size(), " bytes; the limit is ", kMaxSchemaBytes));
  }
  json::parse_options options;
  options.max_depth = 4 * kMaxSchemaDepth;
  json::error_code error;
  const json::value root = json::parse(json::string_view(schema.data(), schema.size()), error, {}, options);
  if (error) return absl::InvalidArgumentError(absl::StrCat("the schema is not JSON: ", error.message()));
  Grammar grammar;
  RETURN_IF_ERROR(SchemaCompiler(root, grammar).Run());
  absl::StatusOr<Automaton> automaton = Automaton::Compile(grammar);
  if (!automaton.ok()) return absl::InvalidArgumentError(absl::StrCat("#: ", automaton.status().message()));
  return automaton;
}

}  // namespace spotinference
