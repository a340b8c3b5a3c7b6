// What a tokenizer does to text before it looks for words.
//
// Spaces stay spaces: where SentencePiece and a tokenizer.json write U+2581 (▁) instead, the
// vocabulary is read with spaces in its place (see Spelling), and a U+2581 of the text itself
// becomes a space, too.
#ifndef ENGINE_TEXT_NORMALIZER_H_
#define ENGINE_TEXT_NORMALIZER_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spotinference {

// Const and safe to share between threads once made.
class Normalizer {
 public:
  struct Step {
    enum class Kind {
      kNfc,
      kStripLeft,       // each `from` at the beginning, or all white space if `from` is empty
      kStripRight,      // and at the end
      kReplace,         // each `from` by `to`
      kReplaceInvalid,  // each byte that is no part of a UTF-8 character by `to`
      kCollapse,        // each run of two `from` or more by `to`
      kPrepend,         // `to`, unless the text is empty
      // `to`, unless the text is empty or begins with it. Only at the beginning of a sequence if
      // `at_start`.
      kPrependOnce,
    };
    Kind kind;
    std::string from = {};
    std::string to = {};
    bool at_start = false;
  };

  Normalizer() = default;
  explicit Normalizer(std::vector<Step> steps) : steps_(std::move(steps)) {}

  bool empty() const { return steps_.empty(); }

  // `text` or, where something changes, what it becomes, kept in `buffer`. `at_start`: a sequence
  // begins with it.
  std::string_view Run(std::string_view text, bool at_start, std::string& buffer) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_NORMALIZER_H_
