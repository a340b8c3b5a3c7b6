#include "engine/text/json_reader.h"

#include "absl/strings/str_cat.h"

namespace spotinference {
namespace json = boost::json;

namespace {

constexpr size_t kMaxShown = 300;  // bytes of a value in a message

const json::value kNull;

}  // namespace

absl::Status JsonReader::Error(std::string_view expected) const {
  std::string shown = "missing";
  if (value_->is_object()) {
    shown = "an object";
  } else if (value_->is_array()) {
    shown = "an array";
  } else if (!is_null()) {
    shown = json::serialize(*value_);
    if (shown.size() > kMaxShown) shown = shown.substr(0, kMaxShown) + "…";
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path_, " is ", shown, "; expected ", std::string(expected)));
}

absl::StatusOr<JsonReader> JsonReader::Field(std::string_view name) const {
  const json::object* const object = value_->if_object();
  if (object == nullptr) return Error("an object");
  const json::value* const field = object->if_contains({name.data(), name.size()});
  return JsonReader(field == nullptr ? kNull : *field,
                    absl::StrCat(path_, path_.empty() ? "" : ".", std::string(name)));
}

JsonReader JsonReader::At(size_t index) const {
  return JsonReader(value_->get_array()[index], absl::StrCat(path_, "[", index, "]"));
}

absl::StatusOr<const json::object*> JsonReader::Object() const {
  if (const json::object* const object = value_->if_object()) return object;
  return Error("an object");
}

absl::StatusOr<const json::array*> JsonReader::Array() const {
  if (const json::array* const array = value_->if_array()) return array;
  return Error("an array");
}

absl::StatusOr<std::string_view> JsonReader::String() const {
  if (const json::string* const string = value_->if_string()) {
    return std::string_view(string->data(), string->size());
  }
  return Error("a string");
}

absl::StatusOr<bool> JsonReader::Bool() const {
  if (const bool* const flag = value_->if_bool()) return *flag;
  return Error("true or false");
}

absl::StatusOr<int64_t> JsonReader::Integer(int64_t minimum, int64_t maximum) const {
  const int64_t* const number = value_->if_int64();
  if (number != nullptr && *number >= minimum && *number <= maximum) return *number;
  return Error(absl::StrCat("a whole number from ", minimum, " to ", maximum));
}

absl::StatusOr<double> JsonReader::Number() const {
  if (!value_->is_number()) return Error("a number");
  return value_->to_number<double>();
}

absl::StatusOr<bool> JsonReader::BoolOr(std::string_view name, bool otherwise) const {
  const auto field = Field(name);
  if (!field.ok()) return field.status();
  if (field->is_null()) return otherwise;
  return field->Bool();
}

absl::StatusOr<std::string_view> JsonReader::StringOr(std::string_view name,
                                                      std::string_view otherwise) const {
  const auto field = Field(name);
  if (!field.ok()) return field.status();
  if (field->is_null()) return otherwise;
  return field->String();
}

}  // namespace spotinference
