// Finds the tokens that stand in a text as a whole, whatever the words around them: control tokens
// and user-defined ones ("added tokens" in a tokenizer.json).
#ifndef ENGINE_TEXT_SPECIAL_TOKENS_H_
#define ENGINE_TEXT_SPECIAL_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/text/tokenizer.h"

namespace spotinference {

// Const and safe to share between threads once filled.
class SpecialTokens {
 public:
  struct Token {
    uint32_t id;
    bool control = false;     // only where EncodeOptions allow
    bool eats_left = false;   // with the white space before it, "lstrip"
    bool eats_right = false;  // and after it, "rstrip"
  };
  struct Match {
    uint32_t id;
    bool control;
    size_t begin, end;
  };

  // Empty text is never found. Of twins, the first counts.
  void Add(std::string_view text, const Token& token);

  bool empty() const { return tokens_.empty(); }

  // All matches, ascending and disjoint: from left to right, always the longest.
  std::vector<Match> FindAll(std::string_view text, const EncodeOptions& options) const;

  // The token with exactly this text.
  std::optional<uint32_t> Find(std::string_view text) const;

 private:
  static constexpr uint32_t kNone = 0xffffffff;

  const Token* LongestAt(std::string_view text, size_t at, size_t limit, bool control,
                         size_t& end) const;
  uint32_t Next(uint32_t node, char c) const;

  std::vector<Token> tokens_;
  // A trie over the texts. Key: node << 8 | byte. Node 0 is the root.
  absl::flat_hash_map<uint64_t, uint32_t> edges_;
  std::vector<uint32_t> token_at_ = {kNone};  // by node: index in tokens_; kNone: none ends here
  bool leads_[256] = {};                      // bytes with which one begins
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_SPECIAL_TOKENS_H_
