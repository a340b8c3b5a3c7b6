#include "engine/text/special_tokens.h"

#include "engine/text/unicode_classes.h"
#include "engine/text/utf8.h"

namespace spotinference {
namespace {

CharClass FirstClass(std::string_view text) { return ClassOf(DecodeUtf8(text).code_point); }

// Where the last character of `text`, which is not empty, begins.
size_t LastChar(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && text.size() - at < 4 && (text[at] & 0xc0) == 0x80) --at;
  return at;
}

size_t SpacesBefore(std::string_view text, size_t at, size_t limit) {
  while (at > limit) {
    const size_t last = LastChar(text.substr(0, at));
    if (last < limit || FirstClass(text.substr(last)) != CharClass::kSpace) break;
    at = last;
  }
  return at;
}

size_t SpacesAfter(std::string_view text, size_t at) {
  while (at < text.size() && FirstClass(text.substr(at)) == CharClass::kSpace) {
    at += DecodeUtf8(text.substr(at)).bytes;
  }
  return at;
}

}  // namespace

void SpecialTokens::Add(std::string_view text, const Token& token) {
  if (text.empty()) return;
  leads_[static_cast<unsigned char>(text[0])] = true;
  uint32_t node = 0;
  for (const char c : text) {
    const uint64_t key = uint64_t{node} << 8 | static_cast<unsigned char>(c);
    const auto [edge, added] =
        edges_.try_emplace(key, static_cast<uint32_t>(token_at_.size()));
    if (added) token_at_.push_back(kNone);
    node = edge->second;
  }
  if (token_at_[node] != kNone) return;
  token_at_[node] = static_cast<uint32_t>(tokens_.size());
  tokens_.push_back(token);
}

uint32_t SpecialTokens::Next(uint32_t node, char c) const {
  const auto edge = edges_.find(uint64_t{node} << 8 | static_cast<unsigned char>(c));
  return edge == edges_.end() ? kNone : edge->second;
}

// A control token is one only if `control` and if it ends by `limit`.
const SpecialTokens::Token* SpecialTokens::LongestAt(std::string_view text, size_t at, size_t limit,
                                                     bool control, size_t& end) const {
  if (!leads_[static_cast<unsigned char>(text[at])]) return nullptr;
  const Token* longest = nullptr;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = Next(node, text[i]);
    if (node == kNone) break;
    if (token_at_[node] == kNone) continue;
    const Token& token = tokens_[token_at_[node]];
    if (token.control && !(control && i < limit)) continue;
    longest = &token;
    end = i + 1;
  }
  return longest;
}

std::vector<SpecialTokens::Match> SpecialTokens::FindAll(std::string_view text,
                                                         const EncodeOptions& options) const {
  std::vector<Match> matches;
  if (empty()) return matches;
  size_t free = 0;  // where the text since the last match begins
  auto input = options.from_input.begin();
  for (size_t at = 0; at < text.size();) {
    while (input != options.from_input.end() && input->end <= at) ++input;
    const bool last = input == options.from_input.end();
    const bool from_input = !last && input->begin <= at;
    size_t end;
    const Token* const token = LongestAt(text, at, last ? text.size() : input->begin,
                                         options.parse_special && !from_input, end);
    if (token == nullptr) {
      ++at;
      continue;
    }
    const size_t begin = token->eats_left ? SpacesBefore(text, at, free) : at;
    if (token->eats_right) end = SpacesAfter(text, end);
    matches.push_back({token->id, token->control, begin, end});
    at = free = end;
  }
  return matches;
}

std::optional<uint32_t> SpecialTokens::Find(std::string_view text) const {
  uint32_t node = 0;
  for (const char c : text) {
    node = Next(node, c);
    if (node == kNone) return std::nullopt;
  }
  if (token_at_[node] == kNone) return std::nullopt;
  return tokens_[token_at_[node]].id;
}

}  // namespace spotinference
