#include "gateway/openai/json_fields.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>

#include "absl/strings/str_cat.h"
#include "boost/json.hpp"
#include "gateway/openai/api_error.h"

namespace spotinference::openai {
namespace {

namespace json = boost::json;

absl::string_view TypeName(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::int64:
    case json::kind::uint64: return "an integer";
    case json::kind::double_: return "a decimal";
    case json::kind::string: return "a string";
    case json::kind::array: return "an array";
    case json::kind::object: return "an object";
  }
  return "a value";
}

// Counts what the parser holds, and refuses past the limit by the only means a memory resource has.
class BoundedMemory final : public json::memory_resource {
 public:
  explicit BoundedMemory(size_t limit) : left_(limit) {}

 private:
  // What Boost.JSON keeps needs no more than the default alignment, and it does not always give the
  // same one back.
  void* do_allocate(size_t bytes, size_t) override {
    if (bytes > left_) throw std::bad_alloc();
    void* const memory = ::operator new(bytes);
    left_ -= bytes;
    return memory;
  }
  void do_deallocate(void* memory, size_t bytes, size_t) override {
    left_ += bytes;
    ::operator delete(memory, bytes);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  size_t left_;
};

absl::Status NotJson(absl::string_view why) {
  return RequestError("", "",
                      absl::StrCat("We could not parse the JSON body of your request: ", why, "."));
}

// `kind` is OpenAI's word: integer, decimal, string, array, object.
absl::Status OutOfBounds(const Path& path, absl::string_view kind, bool above,
                         absl::string_view limit, absl::string_view got) {
  const std::string param = path.ToString();
  return RequestError(
      param, absl::StrCat(kind, above ? "_above_max_value" : "_below_min_value"),
      absl::StrCat("Invalid '", param, "': ", kind, above ? " above maximum" : " below minimum",
                   " value. Expected a value ", above ? "<= " : ">= ", limit, ", but got ", got,
                   " instead."));
}

}  // namespace

std::string Path::ToString() const {
  if (parent_ == nullptr) return "";
  std::string text = parent_->ToString();
  if (index_ != kMember) return absl::StrCat(text, "[", index_, "]");
  return absl::StrCat(text, text.empty() ? "" : ".", name_.substr(0, 64));
}

absl::StatusOr<json::value> ParseBody(absl::string_view body) {
  const json::storage_ptr memory = json::make_shared_resource<BoundedMemory>(kParsedBytesLimit);
  try {
    json::parse_options options;
    options.max_depth = kMaxJsonDepth;
    json::parser parser(memory, options);
    parser.reset(memory);
    json::error_code error;
    const size_t read = parser.write(body.data(), body.size(), error);
    if (error) return NotJson(absl::StrCat(error.message(), " near byte ", read));
    json::value value = parser.release();
    if (!value.is_object())
      return NotJson(absl::StrCat("expected an object, but got ", TypeName(value)));
    return value;
  } catch (const std::bad_alloc&) {
    return ReasonError(Reason::kTooLarge,
                       absl::StrCat("The JSON body of your request needs more than ",
                                    kParsedBytesLimit >> 20, " MiB of memory when parsed."));
  }
}

absl::Status WrongType(const json::value& value, const Path& path, absl::string_view expected) {
  const std::string param = path.ToString();
  return RequestError(param, "invalid_type",
                      absl::StrCat("Invalid type for '", param, "': expected ", expected,
                                   ", but got ", TypeName(value), " instead."));
}

absl::Status Missing(const Path& path) {
  const std::string param = path.ToString();
  return RequestError(param, "missing_required_parameter",
                      absl::StrCat("Missing required parameter: '", param, "'."));
}

absl::Status Unrecognized(const Path& path) {
  const std::string param = path.ToString();
  return RequestError(param, "unknown_parameter",
                      absl::StrCat("Unrecognized request argument supplied: ", param));
}

absl::Status Unsupported(const json::value& value, const Path& path) {
  const std::string param = path.ToString();
  const bool scalar = !value.is_structured() && !value.is_string();
  return RequestError(
      param, "unsupported_parameter",
      absl::StrCat("Unsupported parameter: '", param, "'",
                   scalar ? absl::StrCat(" with the value ", json::serialize(value).c_str()) : "",
                   " is not supported here."));
}

absl::Status ReadBoolean(const json::value& value, const Path& path, bool* to) {
  if (!value.is_bool()) return WrongType(value, path, "a boolean");
  *to = value.get_bool();
  return absl::OkStatus();
}

absl::Status ReadString(const json::value& value, const Path& path, std::string* to) {
  if (!value.is_string()) return WrongType(value, path, "a string");
  to->assign(value.get_string().data(), value.get_string().size());
  return absl::OkStatus();
}

absl::Status ReadInteger(const json::value& value, const Path& path, int64_t min, int64_t max,
                         int64_t* to) {
  if (value.is_uint64()) {  // only what no int64 holds
    return OutOfBounds(path, "integer", true, absl::StrCat(max), absl::StrCat(value.get_uint64()));
  }
  if (value.is_double()) {
    const double number = value.get_double();
    if (!(std::trunc(number) == number)) return WrongType(value, path, "an integer");
    // 2^63 is a double, INT64_MAX is not.
    constexpr double kTwo63 = 9223372036854775808.0;
    if (number >= kTwo63)
      return OutOfBounds(path, "integer", true, absl::StrCat(max), absl::StrCat(number));
    if (number < -kTwo63)
      return OutOfBounds(path, "integer", false, absl::StrCat(min), absl::StrCat(number));
    *to = static_cast<int64_t>(number);
  } else if (value.is_int64()) {
    *to = value.get_int64();
  } else {
    return WrongType(value, path, "an integer");
  }
  if (*to > max) return OutOfBounds(path, "integer", true, absl::StrCat(max), absl::StrCat(*to));
  if (*to < min) return OutOfBounds(path, "integer", false, absl::StrCat(min), absl::StrCat(*to));
  return absl::OkStatus();
}

absl::Status ReadNumber(const json::value& value, const Path& path, double min, double max,
                        double* to) {
  if (!value.is_number()) return WrongType(value, path, "a number");
  *to = value.is_double()  ? value.get_double()
        : value.is_int64() ? static_cast<double>(value.get_int64())
                           : static_cast<double>(value.get_uint64());
  if (*to > max) return OutOfBounds(path, "decimal", true, absl::StrCat(max), absl::StrCat(*to));
  if (*to < min) return OutOfBounds(path, "decimal", false, absl::StrCat(min), absl::StrCat(*to));
  return absl::OkStatus();
}

absl::StatusOr<const json::array*> ReadArray(const json::value& value, const Path& path, size_t min,
                                             size_t max) {
  if (!value.is_array()) return WrongType(value, path, "an array");
  const json::array& array = value.get_array();
  const std::string param = array.size() < min || array.size() > max ? path.ToString() : "";
  if (array.size() < min) {
    return RequestError(
        param, "empty_array",
        absl::StrCat("Invalid '", param, "': empty array. Expected an array with minimum length ",
                     min, ", but got an array with length ", array.size(), " instead."));
  }
  if (array.size() > max) {
    return RequestError(
        param, "array_above_max_length",
        absl::StrCat("Invalid '", param,
                     "': array too long. Expected an array with maximum length ", max,
                     ", but got an array with length ", array.size(), " instead."));
  }
  return &array;
}

absl::StatusOr<const json::object*> ReadObject(const json::value& value, const Path& path,
                                               size_t max) {
  if (!value.is_object()) return WrongType(value, path, "an object");
  const json::object& object = value.get_object();
  if (object.size() > max) {
    const std::string param = path.ToString();
    return RequestError(
        param, "object_above_max_properties",
        absl::StrCat("Invalid '", param, "': too many properties. Expected an object with at most ",
                     max, " properties, but got an object with ", object.size(),
                     " properties instead."));
  }
  return &object;
}

bool IsOneOf(const json::value& value, absl::string_view neutral) {
  const json::value values = json::parse(json::string_view(neutral.data(), neutral.size()));
  return std::find(values.get_array().begin(), values.get_array().end(), value) !=
         values.get_array().end();
}

}  // namespace spotinference::openai
