// The unigram language model (Kudo 2018): of all ways to cut a word into tokens, the one whose
// scores add up to most.
#ifndef ENGINE_TEXT_UNIGRAM_MODEL_H_
#define ENGINE_TEXT_UNIGRAM_MODEL_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/text/vocabulary.h"

namespace spotinference {

// Const and safe to share between threads once made.
class UnigramModel {
 public:
  struct Options {
    uint32_t unknown;  // the token of characters that have none
    bool byte_fallback = true;
    // `sentencepiece` adds scores as floats, `tokenizers` as doubles; where two ways are nearly
    // equal, that decides.
    bool float_sums = true;
  };

  // `scores`: one a token, finite. `vocabulary` outlives the result. INVALID_ARGUMENT names what
  // makes no sense.
  static absl::StatusOr<UnigramModel> Create(const Vocabulary& vocabulary,
                                             absl::Span<const double> scores,
                                             const Options& options);

  // Appends the tokens of `word`. Linear in its bytes, times the bytes of the longest token.
  void Encode(std::string_view word, std::vector<uint32_t>& ids) const;

 private:
  // A node of a trie over all tokens. The children of a node lie in a row, ascending by label.
  struct Node {
    uint32_t first_child;
    uint16_t children;
    unsigned char label;
    uint32_t id;  // kNone: no token ends here
  };
  static constexpr uint32_t kNone = Vocabulary::kNone;

  UnigramModel(const Vocabulary& vocabulary, const Options& options)
      : vocabulary_(&vocabulary), options_(options) {}

  void BuildTrie();
  uint32_t Child(uint32_t node, unsigned char label) const;  // kNone: there is none
  template <typename Sum>
  void EncodeWith(std::string_view word, std::vector<uint32_t>& ids) const;
  void AppendUnknown(std::string_view text, std::vector<uint32_t>& ids) const;

  const Vocabulary* vocabulary_;
  Options options_;
  std::vector<double> scores_;
  double unknown_score_ = 0;
  std::vector<Node> nodes_;
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_UNIGRAM_MODEL_H_
