#include "fleet/providers/cloud/json.h"

#include <boost/json.hpp>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace spotinference::fleet {

absl::StatusOr<Json> Json::Parse(absl::string_view text) {
  boost::system::error_code error;
  boost::json::parse_options options;
  options.max_depth = 32;
  auto value =
      std::make_shared<const boost::json::value>(boost::json::parse({text.data(), text.size()}, error, {}, options));
  if (error) {  // without the text, which may hold a token
    return absl::UnavailableError(
        absl::StrCat("the answer, of ", text.size(), " bytes, is no JSON: ", error.message()));
  }
  const boost::json::value* const root = value.get();
  return Json(std::move(value), root);
}

Json Json::operator[](absl::string_view name) const {
  const boost::json::object* const object = value_ == nullptr ? nullptr : value_->if_object();
  const boost::json::value* const field = object == nullptr ? nullptr : object->if_contains({name.data(), name.size()});
  return Json(document_, field == nullptr || field->is_null() ? nullptr : field);
}

std::vector<Json> Json::Items() const {
  std::vector<Json> items;
  if (value_ == nullptr || !value_->is_array()) return items;
  for (const boost::json::value& item : value_->get_array()) items.push_back(Json(document_, &item));
  return items;
}

std::vector<std::string> Json::Names() const {
  std::vector<std::string> names;
  if (value_ == nullptr || !value_->is_object()) return names;
  for (const auto& field : value_->get_object()) names.emplace_back(field.key());
  return names;
}

std::string Json::Text() const {
  if (value_ == nullptr) return "";
  switch (value_->kind()) {
    case boost::json::kind::string:
      return std::string(value_->get_string());
    case boost::json::kind::int64:
    case boost::json::kind::uint64:
    case boost::json::kind::double_:
    case boost::json::kind::bool_:
      return boost::json::serialize(*value_);
    default:
      return "";
  }
}

std::optional<double> Json::Number() const {
  double number;
  if (!absl::SimpleAtod(Text(), &number) || !std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<int32_t> Json::Whole() const {
  const std::optional<double> number = Number();
  constexpr std::numeric_limits<int32_t> kLimits;
  if (!number.has_value() || *number < kLimits.min() || *number > kLimits.max()) return std::nullopt;
  return static_cast<int32_t>(*number);
}

bool Json::IsList() const { return value_ != nullptr && value_->is_array(); }

bool Json::IsTrue() const { return value_ != nullptr && value_->is_bool() && value_->get_bool(); }

std::string JsonString(absl::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

}  // namespace spotinference::fleet
