#include "engine/text/pipeline_tokenizer.h"

#include <algorithm>
#include <cstddef>

#include "absl/types/span.h"

namespace spotinference {
namespace {

// Whether any of `ranges`, ascending and disjoint, has a part in [begin, end).
bool Touches(absl::Span<const ByteRange> ranges, size_t begin, size_t end) {
  const auto next = std::upper_bound(ranges.begin(), ranges.end(), begin,
                                     [](size_t at, const ByteRange& range) { return at < range.end; });
  return next != ranges.end() && next->begin < end;
}

}  // namespace

std::vector<uint32_t> PipelineTokenizer::Encode(std::string_view text,
                                                const EncodeOptions& options) const {
  std::vector<uint32_t> ids;
  ids.reserve(text.size() / 4);
  size_t begin = 0;
  const auto encode_until = [&](size_t end) {
    if (begin == end) return;
    const bool touched = Touches(options.from_input, begin, end);
    const EncodeOptions here = {.parse_special = options.parse_special && !touched};
    EncodeStretch(text.substr(begin, end - begin), begin == 0, here, ids);
  };
  for (const SpecialTokens::Match& match : parts_.special.FindAll(text, options)) {
    encode_until(match.begin);
    ids.push_back(match.id);
    begin = match.end;
  }
  encode_until(text.size());
  return ids;
}

void PipelineTokenizer::EncodeStretch(std::string_view text, bool at_start,
                                      const EncodeOptions& options,
                                      std::vector<uint32_t>& ids) const {
  std::string buffer;
  text = parts_.normalizer.Run(text, at_start, buffer);
  size_t begin = 0;
  for (const SpecialTokens::Match& match : parts_.normalized_special.FindAll(text, options)) {
    EncodeWords(text.substr(begin, match.begin - begin), ids);
    ids.push_back(match.id);
    begin = match.end;
  }
  EncodeWords(text.substr(begin), ids);
}

void PipelineTokenizer::EncodeWords(std::string_view text, std::vector<uint32_t>& ids) const {
  const auto encode = [&](const auto& model) {
    while (!text.empty()) {
      const size_t bytes = FirstWord(parts_.pre_tokenizer, text);
      model.Encode(text.substr(0, bytes), ids);
      text.remove_prefix(bytes);
    }
  };
  std::visit(encode, parts_.model);
}

std::optional<uint32_t> PipelineTokenizer::Find(std::string_view piece) const {
  const uint32_t id = parts_.vocabulary->Find(piece);
  if (id != Vocabulary::kNone) return id;
  for (const SpecialTokens* tokens : {&parts_.special, &parts_.normalized_special}) {
    if (const std::optional<uint32_t> special = tokens->Find(piece)) return special;
  }
  if (piece.size() != 1) return std::nullopt;
  const uint32_t byte = parts_.vocabulary->FindByte(static_cast<unsigned char>(piece[0]));
  return byte == Vocabulary::kNone ? std::nullopt : std::optional(byte);
}

bool PipelineTokenizer::IsSpecial(uint32_t id) const {
  if (id >= parts_.vocabulary->size()) return false;
  const TokenType type = parts_.vocabulary->type(id);
  return type == TokenType::kControl || type == TokenType::kUnknown;
}

}  // namespace spotinference
