// Reads the keywords of a JSON schema, for json_schema.cc alone. Errors are INVALID_ARGUMENT and name the place.
#ifndef ENGINE_SAMPLE_GRAMMAR_SCHEMA_KEYWORDS_H_
#define ENGINE_SAMPLE_GRAMMAR_SCHEMA_KEYWORDS_H_

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "boost/json.hpp"
#include "engine/sample/grammar/numbers.h"

namespace spotinference {

inline constexpr absl::string_view kTypes[] = {"null", "boolean", "integer", "number", "string", "array", "object"};

inline absl::string_view View(boost::json::string_view text) { return {text.data(), text.size()}; }
bool IsIn(absl::string_view name, absl::Span<const absl::string_view> names);

// Where a schema stands.
struct Place {
  std::string pointer;  // JSON pointer (RFC 6901)
  int depth = 0;        // schemas around it, also those it was merged from

  Place Below(absl::string_view keyword) const;
  Place Below(absl::string_view keyword, absl::string_view name) const;
  absl::Status Error(absl::string_view what) const;
};

// Null: it is not there.
const boost::json::value* Find(const boost::json::object& schema, absl::string_view keyword);

// Whether a keyword that we take decides what is valid, as against a note such as "title".
bool IsAssertion(absl::string_view keyword);
bool HasAssertion(const boost::json::object& schema, absl::string_view but = "");

// Every keyword is one that we take.
absl::Status CheckKeywords(const boost::json::object& schema, const Place& place);

// An integer that is not negative, at most 2^32 - 2.
absl::StatusOr<std::optional<uint32_t>> Count(const boost::json::object& schema, absl::string_view keyword,
                                              const Place& place);
absl::StatusOr<std::vector<absl::string_view>> Strings(const boost::json::value& value, absl::string_view keyword,
                                                       const Place& place);
// All where there is no "type".
absl::StatusOr<std::vector<absl::string_view>> AllowedTypes(const boost::json::object& schema, const Place& place);

// Also 1.0 is.
bool IsIntegral(const boost::json::value& value);
bool IsOfType(const boost::json::value& value, absl::string_view type);

// The shortest decimal that reads back as `value`.
std::string Decimal(double value, std::chars_format format);

// A lower or an upper bound of numbers, within 1e18 of zero.
struct Bound {
  boost::json::value value;
  bool exclusive = false;
};
// The tighter one where both (exclusive)Minimum or (exclusive)Maximum are there.
absl::StatusOr<std::optional<Bound>> ReadBound(const boost::json::object& schema, bool lower, const Place& place);
int64_t IntegerBound(const Bound& bound, bool lower);  // the nearest integer within
absl::StatusOr<DecimalBound> ToDecimal(const Bound& bound, const Place& place);

// What "$ref" names: a JSON pointer into `root` as a fragment of a URI.
absl::StatusOr<const boost::json::value*> Resolve(const boost::json::value& root, absl::string_view reference,
                                                  const Place& place);

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_SCHEMA_KEYWORDS_H_
