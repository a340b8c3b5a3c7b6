// Byte-pair encoding of one word (Sennrich et al. 2016): the best pair of neighbours becomes one
// token, again and again, until no pair is left that merges.
//
// In its byte form (Radford et al. 2019) a word begins as its bytes. In SentencePiece's form (Kudo
// and Richardson 2018) it begins as its characters, and one without a token as its bytes' tokens.
#ifndef ENGINE_TEXT_BYTE_PAIR_MODEL_H_
#define ENGINE_TEXT_BYTE_PAIR_MODEL_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/text/vocabulary.h"

namespace spotinference {

// Const and safe to share between threads once made.
class BytePairModel {
 public:
  struct Options {
    bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
    // For kSentencePiece.
    bool byte_fallback = true;
    std::optional<uint32_t> unknown = {};  // of a character without a token; none: it is left out
    bool fuse_unknown = true;              // a run of them is one
  };
  using Pair = std::pair<std::string_view, std::string_view>;  // spelled as in the vocabulary

  // `merges`: the best first. `vocabulary` outlives the result. INVALID_ARGUMENT names the merge
  // that makes no sense.
  static absl::StatusOr<BytePairModel> FromMerges(const Vocabulary& vocabulary,
                                                  absl::Span<const Pair> merges,
                                                  const Options& options);

  // SentencePiece's way: any two tokens merge that together are a token, the one with the highest
  // score first. `scores`: one a token, none is NaN.
  static absl::StatusOr<BytePairModel> FromScores(const Vocabulary& vocabulary,
                                                  absl::Span<const float> scores,
                                                  const Options& options);

  // Appends the tokens of `word`.
  void Encode(std::string_view word, std::vector<uint32_t>& ids) const;

  // Whether no token has a space after anything but a space. Then no merge reaches into the space
  // before a word, and a text may be cut there.
  bool spaces_only_lead() const { return spaces_only_lead_; }

 private:
  static constexpr uint32_t kNone = Vocabulary::kNone;
  struct Merge {
    uint32_t left;
    uint32_t right;
    uint32_t rank;  // lower is better; kNone: an empty slot
    uint32_t merged;
  };
  struct Link;
  // Longest word that is merged by scanning all pairs for the best one: quadratic, but without a
  // heap's overhead.
  static constexpr size_t kShortWord = 48;
  using Symbols = absl::InlinedVector<uint32_t, kShortWord>;
  // What is known of a token as a whole word: whether merging gives the token itself.
  enum class WholeWord : uint8_t { kNotAsked, kYes, kNo };

  BytePairModel(const Vocabulary& vocabulary, const Options& options, size_t merges);

  void Add(const Merge& merge);
  const Merge& FindMerge(uint32_t left, uint32_t right) const;  // rank kNone: they do not merge
  void Split(std::string_view word, Symbols& symbols) const;
  void SplitIntoCharacters(std::string_view word, Symbols& symbols) const;
  bool AppendBytes(std::string_view bytes, Symbols& symbols) const;
  void MergeWord(std::string_view word, std::vector<uint32_t>& ids) const;
  void MergeShort(Symbols& symbols) const;
  void MergeLong(Symbols& symbols) const;

  const Vocabulary* vocabulary_;
  Options options_;
  bool spaces_only_lead_ = true;
  std::vector<Merge> merges_;  // open addressing, by (left, right)
  mutable std::vector<std::atomic<WholeWord>> whole_words_;  // a cache: same value whoever fills it
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_BYTE_PAIR_MODEL_H_
