// Data of Unicode's canonical normalization (Unicode Standard Annex 15).
#ifndef ENGINE_TEXT_UNICODE_NORMALIZATION_TABLES_H_
#define ENGINE_TEXT_UNICODE_NORMALIZATION_TABLES_H_

#include <cstddef>
#include <cstdint>

namespace spotinference {

struct Decomposition {
  char32_t code_point;
  char32_t first;   // which may decompose further
  char32_t second;  // which does not; 0: `first` alone
  bool composes;    // first and second make code_point again
};

// Ascending by code_point. Hangul syllables are left to arithmetic.
extern const Decomposition kDecompositions[];
extern const size_t kDecompositionsSize;

struct CombiningRun {
  char32_t first;  // the run ends where the next one begins
  uint8_t combining_class;
};

// Ascending, from 0.
extern const CombiningRun kCombiningRuns[];
extern const size_t kCombiningRunsSize;

}  // namespace spotinference

#endif  // ENGINE_TEXT_UNICODE_NORMALIZATION_TABLES_H_
