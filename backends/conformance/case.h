// A conformance case as data: a graph and tokens to feed it, and a way to run them in any cut on
// any device.
#ifndef BACKENDS_CONFORMANCE_CASE_H_
#define BACKENDS_CONFORMANCE_CASE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/device/device.h"
#include "engine/device/graph.h"
#include "engine/device/tensor.h"

namespace spotinference::conformance {

struct Token {
  int sequence;
  int position;
  int32_t id = 0;
};

// A graph on a device, with all that it points at.
struct Built {
  Graph graph;
  std::vector<std::unique_ptr<Buffer>> buffers;
  std::shared_ptr<void> owner;  // a Model, where there is one
};

// What a backend rounds beyond a float's arithmetic.
struct Rounding {
  double kv = 0x1p-24;        // the relative error of a value kept in the KV cache: 2^-24 for floats, 2^-11 for halves
  bool activations = false;   // inputs of quantised matmuls, to int8: it does, or its oracle
  double factors = 0;         // the relative error of a matmul's weights and inputs where it has many rows: 2^-11 for halves
};

struct Case {
  std::string name;
  // Normalised mean square error against the oracle, |a - b|² / |b|², derived where the case is made: from the rounding unit
  // of a float and from what the backend rounds.
  std::function<double(const Rounding&)> tolerance;
  std::vector<Token> tokens;               // each sequence in ascending order of position
  std::vector<std::vector<float>> inputs;  // one per Graph::inputs, [tokens, width]
  bool uses_kv = false;                    // then each sequence's positions are 0, 1, 2 …
  std::function<absl::StatusOr<Built>(Device& device, int blocks, int max_tokens)> build;
  // Of a step with all tokens, for --perf.
  double bytes = 0;
  double operations = 0;

  int sequences() const;
};

// Token numbers of each step, in the order in which a step has them.
using Schedule = std::vector<std::vector<int>>;

// One case on one device. The cache is kept from run to run, so a run finds in it what earlier ones
// left.
class CaseRun {
 public:
  static absl::StatusOr<std::unique_ptr<CaseRun>> Create(const Case& test, Device& device);

  // The output rows of all tokens of `schedule`, [tokens, width]; rows of others stay zero. The
  // blocks that a sequence gets are drawn from `random`. INTERNAL: the program wrote outside of its
  // output.
  absl::StatusOr<std::vector<float>> Run(const Schedule& schedule, std::mt19937& random);

  // As Run, with other inputs.
  absl::StatusOr<std::vector<float>> Run(const Schedule& schedule,
                                         const std::vector<std::vector<float>>& inputs,
                                         std::mt19937& random);

  int width() const { return built_.graph.tensors[built_.graph.output].width; }

 private:
  CaseRun(const Case& test, Built built, int blocks, int blocks_per_sequence)
      : case_(test),
        built_(std::move(built)),
        blocks_(blocks),
        blocks_per_sequence_(blocks_per_sequence) {}

  absl::Status RunStep(absl::Span<const int> tokens, const std::vector<std::vector<float>>& inputs,
                       absl::Span<const int32_t> block_tables, std::vector<float>& out);

  const Case& case_;
  const Built built_;
  const int blocks_;
  const int blocks_per_sequence_;
  std::unique_ptr<Program> program_;
};

// All tokens in one step.
Schedule OneStep(const Case& test);
// Sequence `sequence` and no other, in one step.
Schedule Alone(const Case& test, int sequence);
// Every sequence cut at random, steps with pieces of random sequences.
Schedule RandomChunks(const Case& test, std::mt19937& random);

}  // namespace spotinference::conformance

#endif  // BACKENDS_CONFORMANCE_CASE_H_
