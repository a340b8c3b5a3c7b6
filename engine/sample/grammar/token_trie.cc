#include "engine/sample/grammar/token_trie.h"

#include <algorithm>
#include <utility>

namespace spotinference {

TokenTrie::TokenTrie(absl::Span<const absl::string_view> tokens) {
  constexpr size_t kMaxDepth = (1 << 24) - 1;
  offsets_.reserve(tokens.size() + 1);
  for (const absl::string_view token : tokens) {
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
    if (token.size() > kMaxDepth) continue;
    bytes_.append(token.data(), token.size());
    if (!token.empty()) tokens_.push_back(static_cast<uint32_t>(offsets_.size() - 1));
    max_token_bytes_ = std::max(max_token_bytes_, static_cast<uint32_t>(token.size()));
  }
  offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  std::vector<std::pair<absl::string_view, uint32_t>> sorted;
  sorted.reserve(tokens_.size());
  for (const uint32_t id : tokens_) sorted.emplace_back(bytes(id), id);
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) tokens_[i] = sorted[i].second;

  nodes_.push_back({0, 0, 0, 0});
  std::vector<uint32_t> path{0};  // nodes of the last token, by depth
  absl::string_view last;
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const absl::string_view token = bytes(tokens_[i]);
    const size_t common = std::mismatch(last.begin(), last.end(), token.begin(), token.end()).first - last.begin();
    for (; path.size() > common + 1; path.pop_back()) nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
    for (size_t depth = common; depth < token.size(); ++depth) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({0, i, static_cast<uint32_t>(depth + 1), static_cast<uint8_t>(token[depth])});
    }
    last = token;
  }
  for (const uint32_t node : path) nodes_[node].end = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({0, static_cast<uint32_t>(tokens_.size()), 0, 0});
  nodes_.shrink_to_fit();
}

absl::string_view TokenTrie::bytes(uint32_t id) const {
  if (id >= vocabulary_size()) return "";
  return absl::string_view(bytes_).substr(offsets_[id], offsets_[id + 1] - offsets_[id]);
}

}  // namespace spotinference
