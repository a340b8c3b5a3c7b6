#include "engine/notice/json_fields.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "boost/json.hpp"

namespace spotinference {
namespace {

namespace json = boost::json;

// What a person needs to see of a document that is none.
constexpr size_t kShownBytes = 80;

absl::Status Wrong(absl::string_view name, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("field '", name, "': ", expected, " is expected"));
}

}  // namespace

absl::StatusOr<JsonObject> JsonObject::Parse(absl::string_view text) {
  json::error_code error;
  auto value = std::make_shared<const json::value>(json::parse({text.data(), text.size()}, error));
  if (error || !value->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a JSON object: '", absl::CHexEscape(text.substr(0, kShownBytes)), "'"));
  }
  return JsonObject(std::move(value));
}

const json::value* JsonObject::Find(absl::string_view name) const {
  return value_->get_object().if_contains({name.data(), name.size()});
}

absl::StatusOr<std::string> JsonObject::String(absl::string_view name) const {
  const json::value* const found = Find(name);
  if (found == nullptr || !found->is_string()) return Wrong(name, "a string");
  return std::string(found->get_string());
}

absl::StatusOr<int64_t> JsonObject::Integer(absl::string_view name) const {
  const json::value* const found = Find(name);
  if (found == nullptr || !found->is_int64()) return Wrong(name, "a whole number");
  return found->get_int64();
}

absl::StatusOr<std::vector<std::string>> JsonObject::Strings(absl::string_view name) const {
  const json::value* const found = Find(name);
  if (found == nullptr || !found->is_array()) return Wrong(name, "an array");
  std::vector<std::string> strings;
  for (const json::value& element : found->get_array()) {
    if (!element.is_string()) return Wrong(name, "an array of strings");
    strings.emplace_back(element.get_string());
  }
  return strings;
}

absl::StatusOr<std::vector<JsonObject>> JsonObject::Objects(absl::string_view name) const {
  const json::value* const found = Find(name);
  if (found == nullptr || !found->is_array()) return Wrong(name, "an array");
  std::vector<JsonObject> objects;
  for (const json::value& element : found->get_array()) {
    if (!element.is_object()) return Wrong(name, "an array of objects");
    objects.push_back(JsonObject(std::shared_ptr<const json::value>(value_, &element)));
  }
  return objects;
}

}  // namespace spotinference
