// Sets of Unicode code points, and the bytes of their UTF-8.
#ifndef ENGINE_SAMPLE_GRAMMAR_CODE_POINTS_H_
#define ENGINE_SAMPLE_GRAMMAR_CODE_POINTS_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace spotinference {

inline constexpr char32_t kLastCodePoint = 0x10ffff;

struct CodePointRange {
  char32_t first, last;  // both in it
};

// Surrogates are never members: UTF-8 has no form for them.
class CodePoints {
 public:
  CodePoints() = default;
  CodePoints(std::initializer_list<CodePointRange> ranges) : ranges_(ranges) { Normalise(); }
  explicit CodePoints(std::vector<CodePointRange> ranges) : ranges_(std::move(ranges)) { Normalise(); }

  static CodePoints All() { return {{0, kLastCodePoint}}; }

  CodePoints Complement() const;
  CodePoints Without(const CodePoints& other) const;
  CodePoints Within(const CodePoints& other) const;  // the intersection
  bool Contains(char32_t c) const;
  bool empty() const { return ranges_.empty(); }

  // Ascending, disjoint, not adjacent.
  absl::Span<const CodePointRange> ranges() const { return ranges_; }

 private:
  void Normalise();

  std::vector<CodePointRange> ranges_;
};

// One to four ranges of bytes: every combination of a byte of each is the UTF-8 of a member.
struct Utf8Sequence {
  struct Bytes {
    uint8_t first, last;
  };
  std::vector<Bytes> bytes;
};

// The members' UTF-8, each once.
std::vector<Utf8Sequence> Utf8Sequences(const CodePoints& set);

void AppendUtf8(char32_t code_point, std::string* out);

// The code points of UTF-8 text; what is not UTF-8 comes as U+FFFD, a byte each.
std::u32string DecodeUtf8(absl::string_view text);

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_CODE_POINTS_H_
