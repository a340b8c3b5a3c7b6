// Fields of a JSON document with errors that name them. Boost.JSON's types show through.
#ifndef ENGINE_TEXT_JSON_READER_H_
#define ENGINE_TEXT_JSON_READER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/json.hpp"

namespace spotinference {

// A value in a document that outlives this, and where it stands, such as "model.vocab".
class JsonReader {
 public:
  JsonReader(const boost::json::value& value, std::string path)
      : value_(&value), path_(std::move(path)) {}

  const boost::json::value& value() const { return *value_; }
  const std::string& path() const { return path_; }
  bool is_null() const { return value_->is_null(); }

  // INVALID_ARGUMENT: this is no object. A field that is missing reads as null.
  absl::StatusOr<JsonReader> Field(std::string_view name) const;

  // INVALID_ARGUMENT: of another type.
  absl::StatusOr<const boost::json::object*> Object() const;
  absl::StatusOr<const boost::json::array*> Array() const;
  absl::StatusOr<std::string_view> String() const;
  absl::StatusOr<bool> Bool() const;
  absl::StatusOr<int64_t> Integer(int64_t minimum, int64_t maximum) const;
  absl::StatusOr<double> Number() const;

  // The field, or `otherwise` if it is missing or null.
  absl::StatusOr<bool> BoolOr(std::string_view name, bool otherwise) const;
  absl::StatusOr<std::string_view> StringOr(std::string_view name,
                                            std::string_view otherwise) const;

  // An element of an array.
  JsonReader At(size_t index) const;

  // "PATH is VALUE; expected EXPECTED".
  absl::Status Error(std::string_view expected) const;

 private:
  const boost::json::value* value_;
  std::string path_;
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_JSON_READER_H_
