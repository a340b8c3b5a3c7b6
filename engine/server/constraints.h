// The forms that answers may be held to, compiled for one model's vocabulary.
#ifndef ENGINE_SERVER_CONSTRAINTS_H_
#define ENGINE_SERVER_CONSTRAINTS_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/sample/grammar/matcher.h"
#include "engine/sample/grammar/token_trie.h"

namespace spotinference {

// As in engine.proto.
struct ConstraintSpec {
  enum class Form { kJsonObject, kJsonSchema } form;
  std::string json_schema;  // its text, of kJsonSchema

  friend bool operator==(const ConstraintSpec&, const ConstraintSpec&) = default;
};

// Thread-safe.
class Constraints {
 public:
  // Of so many forms what was compiled and found out is kept, those asked for last: 8 MiB each at the most, with the
  // automaton 24.
  static constexpr size_t kKept = 16;

  // `read_tokens` gives the bytes of every token by id ("": in no text). It is called once, when the first constraint
  // is asked for, since reading a vocabulary takes a wake's time that most wakes need not spend.
  using Tokens = std::vector<std::string>;
  explicit Constraints(std::function<absl::StatusOr<Tokens>()> read_tokens);

  // A matcher that has accepted `generated_ids`. A form that is not kept takes from 1 ms to about 1 s to compile, on
  // the caller's thread. INVALID_ARGUMENT: the schema is not one that we take, or the ids do not follow it.
  absl::StatusOr<Matcher> NewMatcher(const ConstraintSpec& spec, absl::Span<const uint32_t> generated_ids);

 private:
  struct Kept {
    ConstraintSpec spec;
    std::shared_ptr<Constraint> constraint;
  };

  absl::StatusOr<std::shared_ptr<Constraint>> Find(const ConstraintSpec& spec);

  const std::function<absl::StatusOr<Tokens>()> read_tokens_;
  absl::Mutex mutex_;
  std::shared_ptr<const TokenTrie> trie_ ABSL_GUARDED_BY(mutex_);
  std::list<Kept> kept_ ABSL_GUARDED_BY(mutex_);  // the last one first
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_CONSTRAINTS_H_
