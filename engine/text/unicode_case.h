// Upper, lower and title case as Python's str has them: Unicode's full mappings, by which one character
// may become up to three ("ß" is "SS" in upper case). What depends on the neighbours, the Greek final
// sigma, is the caller's.
#ifndef ENGINE_TEXT_UNICODE_CASE_H_
#define ENGINE_TEXT_UNICODE_CASE_H_

#include <string>

namespace spotinference {

// `c` in that case, as UTF-8, appended. `c` is at most U+10FFFF.
void AppendUpper(char32_t c, std::string& out);
void AppendLower(char32_t c, std::string& out);
void AppendTitle(char32_t c, std::string& out);

}  // namespace spotinference

#endif  // ENGINE_TEXT_UNICODE_CASE_H_
