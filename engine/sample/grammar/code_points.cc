#include "engine/sample/grammar/code_points.h"

#include <algorithm>

namespace spotinference {
namespace {

constexpr CodePointRange kSurrogates{0xd800, 0xdfff};

// The last code point whose UTF-8 has so many bytes.
constexpr char32_t kLastOfLength[] = {0, 0x7f, 0x7ff, 0xffff, kLastCodePoint};

// Splits [first, last], whose UTF-8 has `length` bytes throughout, where trailing bytes do not run through all values.
void AppendSequences(char32_t first, char32_t last, int length, std::vector<Utf8Sequence>* out) {
  for (int trailing = 1; trailing < length; ++trailing) {
    const char32_t mask = (char32_t{1} << (6 * trailing)) - 1;
    if ((first & ~mask) == (last & ~mask)) break;
    if ((first & mask) != 0) {
      AppendSequences(first, first | mask, length, out);
      return AppendSequences((first | mask) + 1, last, length, out);
    }
    if ((last & mask) != mask) {
      AppendSequences(first, (last & ~mask) - 1, length, out);
      return AppendSequences(last & ~mask, last, length, out);
    }
  }
  std::string low, high;
  AppendUtf8(first, &low);
  AppendUtf8(last, &high);
  Utf8Sequence& sequence = out->emplace_back();
  for (int i = 0; i < length; ++i) {
    sequence.bytes.push_back({static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i])});
  }
}

// Of the sequence that begins with `lead`; 0: none does.
int Utf8Length(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

}  // namespace

void CodePoints::Normalise() {
  std::vector<CodePointRange> in;
  for (const CodePointRange& range : ranges_) {
    const char32_t last = std::min(range.last, kLastCodePoint);
    if (range.first < kSurrogates.first && range.first <= last) {
      in.push_back({range.first, std::min<char32_t>(last, kSurrogates.first - 1)});
    }
    const char32_t first = std::max<char32_t>(range.first, kSurrogates.last + 1);
    if (first <= last) in.push_back({first, last});
  }
  std::sort(in.begin(), in.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  ranges_.clear();
  for (const CodePointRange& range : in) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

CodePoints CodePoints::Complement() const {
  CodePoints out;
  char32_t next = 0;
  for (const CodePointRange& range : ranges_) {
    if (range.first > next) out.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) out.ranges_.push_back({next, kLastCodePoint});
  out.Normalise();
  return out;
}

CodePoints CodePoints::Without(const CodePoints& other) const { return Within(other.Complement()); }

CodePoints CodePoints::Within(const CodePoints& other) const {
  CodePoints out;
  auto a = ranges_.begin(), b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    const char32_t first = std::max(a->first, b->first), last = std::min(a->last, b->last);
    if (first <= last) out.ranges_.push_back({first, last});
    if (a->last < b->last) ++a;
    else ++b;
  }
  return out;
}

bool CodePoints::Contains(char32_t c) const {
  const auto range = std::lower_bound(ranges_.begin(), ranges_.end(), c,
                                      [](const CodePointRange& r, char32_t value) { return r.last < value; });
  return range != ranges_.end() && range->first <= c;
}

std::vector<Utf8Sequence> Utf8Sequences(const CodePoints& set) {
  std::vector<Utf8Sequence> out;
  for (const CodePointRange& range : set.ranges()) {
    for (int length = 1; length <= 4; ++length) {
      const char32_t first = std::max<char32_t>(range.first, length == 1 ? 0 : kLastOfLength[length - 1] + 1);
      const char32_t last = std::min(range.last, kLastOfLength[length]);
      if (first <= last) AppendSequences(first, last, length, &out);
    }
  }
  return out;
}

void AppendUtf8(char32_t c, std::string* out) {
  const auto put = [out](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xc0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xe0 | c >> 12);
    } else {
      put(0xf0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3f));
    }
    put(0x80 | (c >> 6 & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

std::u32string DecodeUtf8(absl::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return static_cast<uint8_t>(text[i + k]); };
    const int length = Utf8Length(byte(0));
    char32_t c = length == 1 ? byte(0) : byte(0) & (0xff >> (length + 1));
    bool good = length > 0 && i + length <= text.size();
    for (int k = 1; good && k < length; ++k) {
      good = (byte(k) & 0xc0) == 0x80;
      c = c << 6 | (byte(k) & 0x3f);
    }
    good = good && c <= kLastCodePoint && (length == 1 || c > kLastOfLength[length - 1]) &&
           (c < kSurrogates.first || c > kSurrogates.last);
    out.push_back(good ? c : 0xfffd);
    i += good ? length : 1;
  }
  return out;
}

}  // namespace spotinference
