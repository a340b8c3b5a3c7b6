#include "engine/server/constraints.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/sample/grammar/json_grammar.h"
#include "engine/sample/grammar/json_schema.h"

namespace spotinference {

Constraints::Constraints(std::function<absl::StatusOr<Tokens>()> read_tokens) : read_tokens_(std::move(read_tokens)) {}

// Compiles under the lock: the choices of one request ask for the same form at the same time.
absl::StatusOr<std::shared_ptr<Constraint>> Constraints::Find(const ConstraintSpec& spec) {
  absl::MutexLock lock(&mutex_);
  for (auto kept = kept_.begin(); kept != kept_.end(); ++kept) {
    if (!(kept->spec == spec)) continue;
    kept_.splice(kept_.begin(), kept_, kept);
    return kept->constraint;
  }
  absl::StatusOr<Automaton> automaton = spec.form == ConstraintSpec::Form::kJsonObject
                                            ? CompileJsonObject()
                                            : CompileJsonSchema(spec.json_schema);
  if (!automaton.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("the constraint's JSON schema: ", automaton.status().message()));
  }
  if (trie_ == nullptr) {
    ASSIGN_OR_RETURN(const Tokens tokens, read_tokens_());
    trie_ = std::make_shared<TokenTrie>(std::vector<absl::string_view>(tokens.begin(), tokens.end()));
  }
  kept_.push_front({spec, std::make_shared<Constraint>(*std::move(automaton), trie_)});
  if (kept_.size() > kKept) kept_.pop_back();
  return kept_.front().constraint;
}

absl::StatusOr<Matcher> Constraints::NewMatcher(const ConstraintSpec& spec, absl::Span<const uint32_t> generated_ids) {
  ASSIGN_OR_RETURN(std::shared_ptr<Constraint> constraint, Find(spec));
  Matcher matcher(std::move(constraint));
  for (size_t i = 0; i < generated_ids.size(); ++i) {
    if (matcher.Accept(generated_ids[i])) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("generated_ids[", i, "] is ", generated_ids[i], ", which the constraint does not allow there"));
  }
  return matcher;
}

}  // namespace spotinference
