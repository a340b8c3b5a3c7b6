// The pieces of JSON text that every response is put together from. Any bytes in, valid JSON and
// valid UTF-8 out.
#ifndef GATEWAY_OPENAI_JSON_TEXT_H_
#define GATEWAY_OPENAI_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace spotinference::openai {

// Appends `text` between quotes. What is not UTF-8 becomes U+FFFD, one for each maximal subpart
// (Unicode 15, 3.9, the practice of every browser). Beside what JSON demands, U+0085, U+2028 and
// U+2029 are escaped: some clients of a stream take them for line ends.
void AppendJsonString(absl::string_view text, std::string* out);

// The same, but null where `text` is empty.
void AppendJsonStringOrNull(absl::string_view text, std::string* out);

// AppendJsonString without the quotes.
void AppendJsonEscaped(absl::string_view text, std::string* out);

void AppendJsonInteger(int64_t value, std::string* out);

// The shortest decimal that reads back as `value`. JSON has no word for NaN and the infinities:
// they are written as -9999.0, which is what OpenAI sends for a logprob too small to be told.
void AppendJsonFloat(float value, std::string* out);

// The length of the UTF-8 sequence at the start of `text`, 1 to 4; 0: it is not one. `text` is not
// empty. On 0,
// `*skip` is how many bytes one U+FFFD stands for.
size_t Utf8SequenceLength(absl::string_view text, size_t* skip);

// The number of characters of UTF-8 text; of a piece of it, the number that begin there.
int64_t CodePoints(absl::string_view text);

bool IsUtf8(absl::string_view text);

}  // namespace spotinference::openai

#endif  // GATEWAY_OPENAI_JSON_TEXT_H_
