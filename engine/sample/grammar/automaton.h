// A grammar as a pushdown automaton over bytes: for each rule a finite automaton with empty edges, whose states may
// call other rules. What runs it, with all its choices at once, is configurations.h.
#ifndef ENGINE_SAMPLE_GRAMMAR_AUTOMATON_H_
#define ENGINE_SAMPLE_GRAMMAR_AUTOMATON_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/sample/grammar/grammar.h"

namespace spotinference {

// Immutable; any thread may use it. Moves, but is not copied.
class Automaton {
 public:
  Automaton(Automaton&&) = default;
  Automaton& operator=(Automaton&&) = default;

  // Of one grammar. A state with what belongs to it takes some 60 bytes: 16 MB at the most.
  static constexpr size_t kMaxStates = size_t{1} << 18;

  // INVALID_ARGUMENT: the grammar matches no text, or a rule can call itself before it has read a byte (left
  // recursion).
  // RESOURCE_EXHAUSTED: more than kMaxStates states.
  static absl::StatusOr<Automaton> Compile(const Grammar& grammar);

  struct Edge {
    uint8_t first, last;  // bytes
    int32_t to;
  };
  struct State {
    absl::Span<const Edge> edges;
    absl::Span<const int32_t> epsilons;
    // The rule that is called here, -1: none, and where its end leads. A loop runs it `min` to `max` times, each time
    // over at least one byte.
    int32_t callee = -1;
    int32_t next = -1;
    uint32_t min = 1, max = 1;
    bool loop = false;
    bool tail = false;   // nothing can follow the call but the end of the rule: the caller's frame is not needed
    bool final = false;  // the rule may end here
  };
  struct Rule {
    int32_t start;  // no edge leads there
    // The states with edges or a callee that `start` reaches without a byte.
    std::vector<int32_t> entry;
    // Before those of all rules that `entry` calls.
    int32_t rank = 0;
  };

  // From every state that an edge leads to an end can be reached. Where the empty text matches a rule, its callers have
  // an empty edge past the call.
  const State& state(int32_t index) const { return states_[index]; }
  const Rule& rule(int32_t index) const { return rules_[index]; }
  size_t state_count() const { return states_.size(); }
  int32_t root() const { return root_; }
  bool matches_empty() const { return matches_empty_; }

  // Bytes that no edge tells apart are of one class.
  int class_of(uint8_t byte) const { return class_of_[byte]; }
  int class_count() const { return class_count_; }

 private:
  friend class AutomatonBuilder;

  Automaton() = default;

  std::vector<Edge> edges_;
  std::vector<int32_t> epsilons_;
  std::vector<State> states_;
  std::vector<Rule> rules_;
  int32_t root_ = 0;
  bool matches_empty_ = false;
  std::array<uint8_t, 256> class_of_{};
  int class_count_ = 0;
};

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_AUTOMATON_H_
