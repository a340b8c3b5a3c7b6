// Decimal numbers within bounds, as expressions of a grammar.
#ifndef ENGINE_SAMPLE_GRAMMAR_NUMBERS_H_
#define ENGINE_SAMPLE_GRAMMAR_NUMBERS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "engine/sample/grammar/grammar.h"

namespace spotinference {

inline constexpr uint64_t kMaxMultipleOf = 1000;

// What matches the integers from `min` to `max`, each without limit where absent, that are multiples of `multiple_of`,
// in [1, kMaxMultipleOf]: no fraction, no exponent, no leading zeros, no "-0".
Grammar::Expression IntegerExpression(Grammar& grammar, std::optional<int64_t> min, std::optional<int64_t> max,
                                      uint64_t multiple_of = 1);

// A bound of decimal numbers: value = (negative ? -1 : 1) * integer.fraction.
struct DecimalBound {
  bool negative = false;
  uint64_t integer = 0;
  std::string fraction;    // digits, without trailing zeros
  bool exclusive = false;  // the bound itself is outside
};

// What matches the decimal numbers between two bounds, with or without a fraction, without an exponent.
Grammar::Expression DecimalExpression(Grammar& grammar, std::optional<DecimalBound> min,
                                      std::optional<DecimalBound> max);

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_NUMBERS_H_
