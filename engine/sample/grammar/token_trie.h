// The bytes of a vocabulary's tokens as a trie, in one array in depth-first order. Made once for each model and shared.
#ifndef ENGINE_SAMPLE_GRAMMAR_TOKEN_TRIE_H_
#define ENGINE_SAMPLE_GRAMMAR_TOKEN_TRIE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace spotinference {

// Immutable; any thread may use it. Some 50 bytes a token.
class TokenTrie {
 public:
  // `tokens`: by id; one without bytes (a control token, a hole in the numbering) is in no text and not in the trie.
  explicit TokenTrie(absl::Span<const absl::string_view> tokens);

  struct Node {
    uint32_t end;          // index past the nodes below this one
    uint32_t first_token;  // index in tokens(); this node's own end where the next node's begin
    uint32_t depth : 24;   // bytes from the root
    uint32_t byte : 8;     // the last of them
  };
  // nodes()[0] is the root. One node more than the trie has, so that each has a next one.
  absl::Span<const Node> nodes() const { return nodes_; }
  absl::Span<const uint32_t> tokens() const { return tokens_; }  // ids, in the order of their bytes
  uint32_t vocabulary_size() const { return static_cast<uint32_t>(offsets_.size() - 1); }
  uint32_t max_token_bytes() const { return max_token_bytes_; }

  // Empty: not in the trie, or no id of the vocabulary.
  absl::string_view bytes(uint32_t id) const;

 private:
  std::vector<Node> nodes_;
  std::vector<uint32_t> tokens_;
  std::string bytes_;
  std::vector<uint32_t> offsets_;  // of token i: bytes_[offsets_[i] .. offsets_[i + 1])
  uint32_t max_token_bytes_ = 0;
};

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_TOKEN_TRIE_H_
