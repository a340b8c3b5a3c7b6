// Which tokens may come next in a text that must follow a grammar.
//
//   auto constraint = std::make_shared<Constraint>(std::move(automaton), trie);  // shared by all sequences under it
//   Matcher matcher(constraint);                                                 // one for each sequence
//   matcher.FillMask(mask);
//   matcher.Accept(id);
//
// A mask is found by walking the trie of tokens and the automaton together. What the walk finds depends on the stacks'
// top frames alone, but for tokens that go on past the end of these; so it is kept by top, with the places in the trie
// from where such tokens are walked with the whole stacks each time.
#ifndef ENGINE_SAMPLE_GRAMMAR_MATCHER_H_
#define ENGINE_SAMPLE_GRAMMAR_MATCHER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/sample/grammar/automaton.h"
#include "engine/sample/grammar/configurations.h"
#include "engine/sample/grammar/token_trie.h"

namespace spotinference {

class Matcher;

// A grammar over one vocabulary, with all that was found out about it so far. Thread-safe.
class Constraint {
 public:
  // What is kept, about. Past it everything is forgotten and found anew: 500 masks of a vocabulary of 128k fit.
  static constexpr size_t kMaxMemoryBytes = size_t{8} << 20;
  // Work of one mask (Configurations::set_work_limit), at some 0.1 µs a unit: 50 ms. Everyday JSON schemas take a
  // thousandth.
  static constexpr int64_t kMaxMaskWork = 500'000;

  Constraint(Automaton automaton, std::shared_ptr<const TokenTrie> trie, size_t max_memory_bytes = kMaxMemoryBytes);

  const TokenTrie& trie() const { return *trie_; }

 private:
  friend class Matcher;
  using Id = Configurations::Id;

  // Bits, or the ids of the set ones where these are few.
  struct TokenSet {
    bool dense = false;
    std::vector<uint32_t> words;
    void AddTo(absl::Span<uint32_t> mask) const;
  };
  // Of configurations that are equal but for what lies below their top frames.
  struct TopMask {
    TokenSet tokens;
    struct Return {
      uint32_t node;  // of the trie, where a top frame has just ended
      uint32_t cut;
    };
    std::vector<Return> returns;
  };

  Id Locate(Matcher& matcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Id Read(Id from, absl::string_view bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FillMask(Id id, absl::Span<uint32_t> mask) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const TopMask& MaskOfTop(Id top, absl::Span<uint32_t> scratch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Walk(Id from, uint32_t node, absl::Span<uint32_t> mask, std::vector<TopMask::Return>* returns)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  TokenSet Keep(absl::Span<const uint32_t> mask) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Automaton automaton_;
  const std::shared_ptr<const TokenTrie> trie_;
  const size_t max_memory_bytes_;

  absl::Mutex mutex_;
  Configurations configurations_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 1;  // of the ids of configurations
  absl::flat_hash_map<Id, std::unique_ptr<TopMask>> tops_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Id, TokenSet> masks_ ABSL_GUARDED_BY(mutex_);  // of whole configurations met more than once
  absl::flat_hash_set<Id> met_ ABSL_GUARDED_BY(mutex_);
  size_t mask_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Id> path_ ABSL_GUARDED_BY(mutex_);  // by depth in the trie
};

// The place of one sequence: a function of the ids accepted, so that a resumed one finds it again. Copies go their own
// ways. One thread at a time.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<Constraint> constraint) : constraint_(std::move(constraint)) {}

  // Goes past a token. False: the grammar does not allow it here, and the place is as before.
  bool Accept(uint32_t id);

  // Sets mask[id / 32] bit id % 32 for the tokens that may come next and clears all others. [ceil(vocabulary / 32)]
  // RESOURCE_EXHAUSTED: so many readings of the text are open at once that it would take too long.
  absl::Status FillMask(absl::Span<uint32_t> mask);

  // Whether the text may end here.
  bool CanEnd();

 private:
  friend class Constraint;

  std::shared_ptr<Constraint> constraint_;
  std::vector<uint32_t> ids_;
  uint64_t generation_ = 0;  // of `at_`
  Configurations::Id at_ = Configurations::kDead;
};

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_MATCHER_H_
