// The few things that a metadata service's JSON is asked for.
#ifndef ENGINE_NOTICE_JSON_FIELDS_H_
#define ENGINE_NOTICE_JSON_FIELDS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "boost/json/fwd.hpp"

namespace spotinference {

// An object of a document, which it keeps. Errors are INVALID_ARGUMENT and name the field.
class JsonObject {
 public:
  // UTF-8, up to 32 levels deep.
  static absl::StatusOr<JsonObject> Parse(absl::string_view json);

  absl::StatusOr<std::string> String(absl::string_view name) const;
  absl::StatusOr<int64_t> Integer(absl::string_view name) const;
  absl::StatusOr<std::vector<std::string>> Strings(absl::string_view name) const;
  absl::StatusOr<std::vector<JsonObject>> Objects(absl::string_view name) const;

 private:
  explicit JsonObject(std::shared_ptr<const boost::json::value> value) : value_(std::move(value)) {}
  const boost::json::value* Find(absl::string_view name) const;

  std::shared_ptr<const boost::json::value> value_;
};

}  // namespace spotinference

#endif  // ENGINE_NOTICE_JSON_FIELDS_H_
