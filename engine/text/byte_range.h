#ifndef ENGINE_TEXT_BYTE_RANGE_H_
#define ENGINE_TEXT_BYTE_RANGE_H_

#include <cstddef>

namespace spotinference {

// A part of a text; not empty.
struct ByteRange {
  size_t begin;
  size_t end;  // one past the last byte

  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_BYTE_RANGE_H_
