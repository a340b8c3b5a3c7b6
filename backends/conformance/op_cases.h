// The cases of every backend: each operation at odd sizes, and whole small models.
#ifndef BACKENDS_CONFORMANCE_OP_CASES_H_
#define BACKENDS_CONFORMANCE_OP_CASES_H_

#include <string>
#include <vector>

#include "backends/conformance/case.h"

namespace spotinference::conformance {

std::vector<Case> OpCases();

// A llama model out of a GGUF file, with 32 sequences of random ids of 1 to `longest` tokens.
absl::StatusOr<Case> ModelCase(const std::string& path, int longest);

}  // namespace spotinference::conformance

#endif  // BACKENDS_CONFORMANCE_OP_CASES_H_
