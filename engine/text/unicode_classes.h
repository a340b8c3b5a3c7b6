// The character classes that pre-tokenizers ask for.
#ifndef ENGINE_TEXT_UNICODE_CLASSES_H_
#define ENGINE_TEXT_UNICODE_CLASSES_H_

#include <cstdint>

namespace spotinference {

enum class CharClass : uint8_t {
  kOther,
  kLetter,  // \p{L}
  kNumber,  // \p{N}
  // Numbers that are too new for the regular expressions of the `tokenizers` package, where they
  // are kOther, but that its Digits step takes for numbers.
  kNewerNumber,
  kSpace,  // \s
};

// Any value is fine; what is no code point is kOther.
CharClass ClassOf(char32_t code_point);

}  // namespace spotinference

#endif  // ENGINE_TEXT_UNICODE_CLASSES_H_
