// Byte-level byte-pair encoding (Sennrich et al. 2016; the byte form of Radford et al. 2019),
// `tokenizer.ggml.model` = "gpt2" in GGUF.
#ifndef ENGINE_TEXT_BYTE_PAIR_TOKENIZER_H_
#define ENGINE_TEXT_BYTE_PAIR_TOKENIZER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/tokenizer.h"

namespace spotinference {

// As GGUF's `tokenizer.ggml.token_type` counts them.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,  // found in the text as a whole, before any merge, but shown
  kUnused = 5,
  kByte = 6,
};

struct Vocabulary {
  // Normal tokens are written in GPT-2's visible alphabet: U+0120 (Ġ) for a space, and so on.
  std::vector<std::string_view> tokens;
  std::vector<TokenType> types;          // one per token, or none: all are normal
  std::vector<std::string_view> merges;  // "left right", the most frequent first
  std::string pre;                       // a name that FindPreTokenizer knows
};

// Some vocabularies lack single bytes that no UTF-8 text needs, or hardly any. Encode leaves such
// bytes out, as the `tokenizers` package does; of every other text the pieces add up to the text
// again.
class BytePairTokenizer final : public Tokenizer {
 public:
  // Copies what it needs. INVALID_ARGUMENT names the token or merge that makes no sense.
  static absl::StatusOr<std::unique_ptr<BytePairTokenizer>> Create(const Vocabulary& vocabulary);

  std::vector<uint32_t> Encode(std::string_view text, const EncodeOptions& options) const override;
  std::string_view Piece(uint32_t id) const override;
  std::optional<uint32_t> Find(std::string_view piece) const override;
  bool IsSpecial(uint32_t id) const override;
  uint32_t vocabulary_size() const override { return static_cast<uint32_t>(types_.size()); }

 private:
  struct Merge {
    uint32_t left;
    uint32_t right;
    uint32_t rank;  // kNone: an empty slot
  };
  struct Link;
  struct Special {
    uint32_t id;
    size_t bytes;
  };
  // Longest word that is merged by scanning all pairs for the best one: quadratic, but without a
  // heap's overhead.
  static constexpr size_t kShortWord = 48;
  using Symbols = absl::InlinedVector<uint32_t, kShortWord>;
  // What is known of a token as a whole word: whether merging its bytes gives the token itself.
  enum class WholeWord : uint8_t { kNotAsked, kYes, kNo };

  explicit BytePairTokenizer(PreTokenizer pre_tokenizer) : pre_tokenizer_(pre_tokenizer) {}

  absl::Status AddTokens(const Vocabulary& vocabulary);
  absl::Status AddMerges(const Vocabulary& vocabulary);
  void IndexPieces();
  void AddSpecial(uint32_t id, std::string_view text);

  uint32_t FindNormal(std::string_view piece) const;        // kNone: not there
  uint32_t MergeRank(uint32_t left, uint32_t right) const;  // kNone: they do not merge
  std::optional<Special> SpecialAt(std::string_view text, size_t at, size_t limit,
                                   bool control) const;

  void EncodeStretch(std::string_view text, std::vector<uint32_t>& ids) const;
  void EncodeWord(std::string_view word, std::vector<uint32_t>& ids) const;
  void MergeWord(std::string_view word, std::vector<uint32_t>& ids) const;
  void MergeShort(Symbols& symbols) const;
  void MergeLong(Symbols& symbols) const;

  static constexpr uint32_t kNone = 0xffffffff;

  const PreTokenizer pre_tokenizer_;
  std::string bytes_;              // all pieces, one after the other
  std::vector<uint32_t> offsets_;  // piece i is bytes_[offsets_[i] .. offsets_[i + 1])
  std::vector<TokenType> types_;
  uint32_t byte_ids_[256];  // kNone: the vocabulary lacks this byte
  std::vector<uint32_t>
      pieces_;                 // open addressing: ids of normal tokens by the hash of their bytes
  std::vector<Merge> merges_;  // open addressing, by (left, right)
  std::vector<uint32_t> merged_id_;                          // by rank
  mutable std::vector<std::atomic<WholeWord>> whole_words_;  // a cache: same value whoever fills it

  // Control and user-defined tokens: a trie over their text. Key: node << 8 | byte. Node 0 is the
  // root.
  absl::flat_hash_map<uint64_t, uint32_t> special_edges_;
  std::vector<uint32_t> special_ids_;  // by node; kNone: no token ends here
  bool special_leads_[256] = {};       // bytes with which one begins
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_BYTE_PAIR_TOKENIZER_H_
