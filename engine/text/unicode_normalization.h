// Unicode normalization form C: canonical decomposition, then composition.
#ifndef ENGINE_TEXT_UNICODE_NORMALIZATION_H_
#define ENGINE_TEXT_UNICODE_NORMALIZATION_H_

#include <string>
#include <string_view>

namespace spotinference {

// Whether `text` surely is in form C; false says nothing. Any thread.
bool IsSurelyNfc(std::string_view text);

// `text` in form C (Unicode Standard Annex 15), of the Unicode version of the `tokenizers` package.
// Bytes that are not UTF-8 stay as they are and combine with nothing. Any thread.
std::string Nfc(std::string_view text);

}  // namespace spotinference

#endif  // ENGINE_TEXT_UNICODE_NORMALIZATION_H_
