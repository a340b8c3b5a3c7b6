// JSON Schema's "format" as regular expressions. Each matches valid texts only, and all those that a model should
// write; what is left out is said beside it in formats.cc.
#ifndef ENGINE_SAMPLE_GRAMMAR_FORMATS_H_
#define ENGINE_SAMPLE_GRAMMAR_FORMATS_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace spotinference {

// None: a format that OpenAI does not have.
std::optional<std::string> FormatPattern(absl::string_view format);

// For error messages.
inline constexpr absl::string_view kFormatNames =
    "date-time, time, date, duration, email, hostname, ipv4, ipv6, uuid";

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_FORMATS_H_
