// One suite for every backend: each case is compared with an oracle, and must give the same bits in
// any company.
//
//   int main(int argc, char** argv) {
//     return spotinference::conformance::RunConformance({.backend = CpuBackend(), .oracle =
//     ReferenceInt8Backend()}, argc, argv);
//   }
//
// Arguments: GGUF files of small models, which become cases too; --perf times the cases
// instead of checking them;
// --only=TEXT runs the cases with TEXT in their name.
#ifndef BACKENDS_CONFORMANCE_CONFORMANCE_H_
#define BACKENDS_CONFORMANCE_CONFORMANCE_H_

#include <string>
#include <vector>

#include "backends/conformance/case.h"
#include "engine/device/device.h"

namespace spotinference::conformance {

// Cases whose name begins with `prefix`. An exception that meets no case fails the run.
struct Exception {
  std::string prefix;
  std::string reason;
};

struct Registration {
  Backend backend;
  Backend oracle;
  Rounding rounding;
  bool batch_invariant = true;  // asks for the same bits in any company
  bool has_threads = true;  // of its own: two must give the same bits as one
  bool required = true;  // fails where the backend cannot be used, instead of skipping everything
  std::vector<Exception> unsupported;
  std::vector<Exception> expected_failures;  // one that passes fails the run
};

// Prints what ran, was skipped, was expected to fail. Returns the exit status.
int RunConformance(const Registration& registration, int argc, char** argv);

}  // namespace spotinference::conformance

#endif  // BACKENDS_CONFORMANCE_CONFORMANCE_H_
