#include "gateway/openai/response_format.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "boost/json.hpp"
#include "engine/base/status.h"
#include "engine/sample/grammar/json_schema.h"
#include "gateway/openai/api_error.h"
#include "gateway/openai/json_fields.h"

namespace spotinference::openai {
namespace {

namespace json = boost::json;

absl::Status CheckName(const std::string& name, const Path& path) {
  constexpr size_t kMaxName = 64;
  const bool good = !name.empty() && name.size() <= kMaxName && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-';
  });
  if (good) return absl::OkStatus();
  const std::string at = path.ToString();
  return RequestError(at, "invalid_value",
                      absl::StrCat("Invalid '", at, "': '", name.substr(0, kMaxName), "'. Expected 1 to ", kMaxName,
                                   " letters, digits, underscores and hyphens."));
}

absl::StatusOr<std::string> ReadSchema(const json::value& value, const Path& path) {
  if (!value.is_object()) return WrongType(value, path, "an object");
  std::string name, schema, description;
  bool strict;  // what is taken is always held to
  for (const json::key_value_pair& member : value.get_object()) {
    const absl::string_view key(member.key().data(), member.key().size());
    const Path at = path.Member(key);
    if (member.value().is_null()) continue;
    if (key == "name") {
      RETURN_IF_ERROR(ReadString(member.value(), at, &name));
      RETURN_IF_ERROR(CheckName(name, at));
    } else if (key == "description") {
      RETURN_IF_ERROR(ReadString(member.value(), at, &description));
    } else if (key == "strict") {
      RETURN_IF_ERROR(ReadBoolean(member.value(), at, &strict));
    } else if (key == "schema") {
      if (!member.value().is_object()) return WrongType(member.value(), at, "an object");
      schema = json::serialize(member.value());
    } else {
      return Unrecognized(at);
    }
  }
  if (name.empty()) return Missing(path.Member("name"));
  if (schema.empty()) schema = R"({"type":"object"})";
  if (const absl::Status compiled = CompileJsonSchema(schema).status(); !compiled.ok()) {
    return RequestError(path.Member("schema").ToString(), "invalid_value",
                        absl::StrCat("Invalid schema for response_format '", name, "': ", compiled.message()));
  }
  return schema;
}

}  // namespace

absl::StatusOr<ResponseFormat> ReadResponseFormat(const json::value& value, const Path& path) {
  if (!value.is_object()) return WrongType(value, path, "an object");
  const json::object& object = value.get_object();
  const Path type_at = path.Member("type");
  const json::value* const type = object.if_contains("type");
  if (type == nullptr || type->is_null()) return Missing(type_at);
  std::string name;
  RETURN_IF_ERROR(ReadString(*type, type_at, &name));
  const json::value* const schema = object.if_contains("json_schema");
  for (const json::key_value_pair& member : object) {
    if (member.key() == "type" || (member.key() == "json_schema" && name == "json_schema")) continue;
    if (!member.value().is_null()) return Unrecognized(path.Member({member.key().data(), member.key().size()}));
  }
  ResponseFormat format;
  if (name == "text") return format;
  if (name == "json_object") {
    format.type = ResponseFormat::Type::kJsonObject;
    return format;
  }
  if (name != "json_schema") {
    const std::string at = type_at.ToString();
    return RequestError(at, "invalid_value",
                        absl::StrCat("Invalid value for '", at, "': '", name.substr(0, 64),
                                     "'. Supported values are: 'text', 'json_object' and 'json_schema'."));
  }
  const Path schema_at = path.Member("json_schema");
  if (schema == nullptr || schema->is_null()) return Missing(schema_at);
  format.type = ResponseFormat::Type::kJsonSchema;
  ASSIGN_OR_RETURN(format.schema, ReadSchema(*schema, schema_at));
  return format;
}

}  // namespace spotinference::openai
