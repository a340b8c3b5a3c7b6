// Reads members of a parsed JSON body into plain values; each failure is a 400 in OpenAI's words
// that names the field. Private to the parsers of this folder, whose .cc files alone see
// Boost.JSON.
#ifndef GATEWAY_OPENAI_JSON_FIELDS_H_
#define GATEWAY_OPENAI_JSON_FIELDS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "boost/json/fwd.hpp"

namespace spotinference::openai {

// Where a value lies in the body: "messages[0].content[1].text". A chain of values on the stack,
// each of which points to its parent; written out only for an error, and then with at most 64 bytes
// of each name.
class Path {
 public:
  Path() = default;  // the body itself
  Path Member(absl::string_view name) const { return Path(this, name, kMember); }
  Path Element(size_t index) const { return Path(this, "", index); }
  std::string ToString() const;

 private:
  static constexpr size_t kMember = static_cast<size_t>(-1);

  Path(const Path* parent, absl::string_view name, size_t index)
      : parent_(parent), name_(name), index_(index) {}

  const Path* parent_ = nullptr;
  absl::string_view name_;
  size_t index_ = kMember;
};

// The body as a value. Refused: what is not JSON of RFC 8259 in UTF-8, more than kMaxJsonDepth levels, more
// than kParsedBytesLimit of memory, trailing bytes, a body that is no object. Of equal keys the
// last one counts, as in Python and JavaScript.
absl::StatusOr<boost::json::value> ParseBody(absl::string_view body);

// A JSON schema of ten levels, OpenAI's limit, takes some 30.
inline constexpr size_t kMaxJsonDepth = 64;

// The densest form ("[0,0,…") costs about 100 bytes of memory a byte of text while it is read.
// Text, which is what long requests are made of, costs three: the largest body that HTTP lets
// through (32 MiB) fits as text.
inline constexpr size_t kParsedBytesLimit = size_t{128} << 20;

absl::Status WrongType(const boost::json::value& value, const Path& path,
                       absl::string_view expected);
absl::Status Missing(const Path& path);
absl::Status Unrecognized(const Path& path);
absl::Status Unsupported(const boost::json::value& value, const Path& path);

absl::Status ReadBoolean(const boost::json::value& value, const Path& path, bool* to);
absl::Status ReadString(const boost::json::value& value, const Path& path, std::string* to);

// Takes integers and numbers such as 5.0 and 1e3 that are one; min <= value <= max.
absl::Status ReadInteger(const boost::json::value& value, const Path& path, int64_t min,
                         int64_t max, int64_t* to);

// min <= value <= max.
absl::Status ReadNumber(const boost::json::value& value, const Path& path, double min, double max,
                        double* to);

// An array of min to max elements.
absl::StatusOr<const boost::json::array*> ReadArray(const boost::json::value& value,
                                                    const Path& path, size_t min, size_t max);

// An object of at most `max` members.
absl::StatusOr<const boost::json::object*> ReadObject(const boost::json::value& value,
                                                      const Path& path, size_t max);

// Is `value` one of `neutral`, a JSON array?
bool IsOneOf(const boost::json::value& value, absl::string_view neutral);

}  // namespace spotinference::openai

#endif  // GATEWAY_OPENAI_JSON_FIELDS_H_
