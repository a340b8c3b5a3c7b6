// JSON of a cloud, read without complaint: a field that is missing, or of another type than expected, is an empty one,
// so that a new field or a changed one is no error where nobody needs it.
#ifndef FLEET_PROVIDERS_CLOUD_JSON_H_
#define FLEET_PROVIDERS_CLOUD_JSON_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "boost/json/fwd.hpp"

namespace spotinference::fleet {

// A part of a document, which it keeps.
class Json {
 public:
  // UTF-8, at most 32 levels deep. UNAVAILABLE, as an answer that was cut: what is no JSON.
  static absl::StatusOr<Json> Parse(absl::string_view text);

  Json operator[](absl::string_view name) const;  // of an object
  std::vector<Json> Items() const;                // of an array
  std::vector<std::string> Names() const;         // of an object, in order

  std::string Text() const;              // a string; a number in decimal, true or false; else ""
  std::optional<double> Number() const;  // also of a string that is one; neither infinite nor NaN
  std::optional<int32_t> Whole() const;  // the number, its fraction cut off; nullopt also where it is too large
  bool IsList() const;
  bool IsTrue() const;
  explicit operator bool() const { return value_ != nullptr; }  // it is there, and is not null

 private:
  Json(std::shared_ptr<const boost::json::value> document, const boost::json::value* value)
      : document_(std::move(document)), value_(value) {}

  std::shared_ptr<const boost::json::value> document_;
  const boost::json::value* value_;
};

// "text", with what has to be escaped.
std::string JsonString(absl::string_view text);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_JSON_H_
