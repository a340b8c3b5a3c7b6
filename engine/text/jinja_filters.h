// The two halves of FindFilter.
#ifndef ENGINE_TEXT_JINJA_FILTERS_H_
#define ENGINE_TEXT_JINJA_FILTERS_H_

#include <string_view>

#include "engine/text/jinja_builtins.h"

namespace spotinference::jinja {

// Null where there is none.
Filter FindValueFilter(std::string_view name);
Filter FindSequenceFilter(std::string_view name);

struct FilterRow {
  std::string_view name;
  Filter filter;
};

template <size_t n>
Filter FindIn(const FilterRow (&rows)[n], std::string_view name) {
  for (const FilterRow& row : rows) {
    if (row.name == name) return row.filter;
  }
  return nullptr;
}

// An argument that is true or false.
inline bool Flag(const Value* argument, bool standard = false) {
  return argument ? argument->IsTrue() : standard;
}

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_FILTERS_H_
