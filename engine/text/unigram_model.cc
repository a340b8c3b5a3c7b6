#include "engine/text/unigram_model.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/text/utf8.h"

namespace spotinference {
namespace {

// How much worse than the worst token an unknown character is, in `sentencepiece` and `tokenizers`.
constexpr double kUnknownPenalty = 10;

}  // namespace

absl::StatusOr<UnigramModel> UnigramModel::Create(const Vocabulary& vocabulary,
                                                  absl::Span<const double> scores,
                                                  const Options& options) {
  if (scores.size() != vocabulary.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the vocabulary has ", vocabulary.size(),
                                                   " tokens but ", scores.size(), " scores"));
  }
  if (options.unknown >= vocabulary.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the unknown token is ", options.unknown, ", but there are only ",
                     vocabulary.size(), " tokens"));
  }
  UnigramModel model(vocabulary, options);
  double lowest = 0;  // scores are logarithms, thus negative
  for (uint32_t id = 0; id < scores.size(); ++id) {
    if (!std::isfinite(scores[id])) {
      return absl::InvalidArgumentError(absl::StrCat("the score of token ", id, " is no number"));
    }
    if (vocabulary.type(id) == TokenType::kNormal) lowest = std::min(lowest, scores[id]);
  }
  model.unknown_score_ = lowest - kUnknownPenalty;
  model.scores_.assign(scores.begin(), scores.end());
  model.BuildTrie();
  return model;
}

void UnigramModel::BuildTrie() {
  std::vector<uint32_t> sorted;
  for (uint32_t id = 0; id < vocabulary_->size(); ++id) {
    if (vocabulary_->Find(vocabulary_->Piece(id)) == id) sorted.push_back(id);
  }
  const auto piece = [&](size_t i) { return vocabulary_->Piece(sorted[i]); };
  std::sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) {
    return vocabulary_->Piece(a) < vocabulary_->Piece(b);  // string_view compares bytes as unsigned
  });
  struct Range {
    size_t begin, end;  // in `sorted`: the tokens that go through a node
    size_t depth;       // bytes on the way to it
  };
  std::vector<Range> ranges = {{0, sorted.size(), 0}};
  nodes_ = {{0, 0, 0, kNone}};
  for (uint32_t node = 0; node < nodes_.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    if (begin < end && piece(begin).size() == depth) nodes_[node].id = sorted[begin++];
    nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const auto label = static_cast<unsigned char>(piece(begin)[depth]);
      size_t next = begin;
      while (next < end && static_cast<unsigned char>(piece(next)[depth]) == label) ++next;
      ++nodes_[node].children;
      nodes_.push_back({0, 0, label, kNone});
      ranges.push_back({begin, next, depth + 1});
      begin = next;
    }
  }
}

uint32_t UnigramModel::Child(uint32_t node, unsigned char label) const {
  const auto begin = nodes_.begin() + nodes_[node].first_child;
  const auto end = begin + nodes_[node].children;
  const auto child = std::lower_bound(
      begin, end, label, [](const Node& each, unsigned char value) { return each.label < value; });
  return child != end && child->label == label ? static_cast<uint32_t>(child - nodes_.begin())
                                               : kNone;
}

void UnigramModel::Encode(std::string_view word, std::vector<uint32_t>& ids) const {
  if (options_.float_sums) {
    EncodeWith<float>(word, ids);
  } else {
    EncodeWith<double>(word, ids);
  }
}

// Viterbi: the best way to each position is known before any way that goes on from there.
template <typename Sum>
void UnigramModel::EncodeWith(std::string_view word, std::vector<uint32_t>& ids) const {
  struct Best {  // way to a position: its last token
    Sum score = 0;
    uint32_t bytes = 0;  // 0: no way yet
    uint32_t id = kNone;
  };
  std::vector<Best> best(word.size() + 1);
  const auto offer = [&](size_t from, uint32_t bytes, uint32_t id, Sum score) {
    Best& to = best[from + bytes];
    const Sum sum = score + best[from].score;
    if (to.bytes == 0 || sum > to.score) to = {sum, bytes, id};
  };
  for (size_t at = 0; at < word.size();) {
    const auto character = static_cast<uint32_t>(DecodeUtf8(word.substr(at)).bytes);
    bool character_is_token = false;
    uint32_t node = 0;
    for (size_t i = at; i < word.size(); ++i) {
      node = Child(node, static_cast<unsigned char>(word[i]));
      if (node == kNone) break;
      const uint32_t id = nodes_[node].id;
      if (id == kNone) continue;
      const auto bytes = static_cast<uint32_t>(i + 1 - at);
      offer(at, bytes, id, static_cast<Sum>(scores_[id]));
      character_is_token |= bytes == character;
    }
    if (!character_is_token) {
      offer(at, character, options_.unknown, static_cast<Sum>(unknown_score_));
    }
    at += character;
  }
  std::vector<size_t> ends;
  for (size_t end = word.size(); end > 0; end -= best[end].bytes) ends.push_back(end);
  size_t unknown = 0;  // where a run of unknown characters begins
  size_t begin = 0;
  for (auto end = ends.rbegin(); end != ends.rend(); begin = *end++) {
    if (best[*end].id == options_.unknown) continue;
    AppendUnknown(word.substr(unknown, begin - unknown), ids);
    ids.push_back(best[*end].id);
    unknown = *end;
  }
  AppendUnknown(word.substr(unknown), ids);
}

void UnigramModel::AppendUnknown(std::string_view text, std::vector<uint32_t>& ids) const {
  if (text.empty()) return;
  const size_t before = ids.size();
  for (const char c : text) {
    const uint32_t id = options_.byte_fallback
                            ? vocabulary_->FindByte(static_cast<unsigned char>(c))
                            : kNone;
    if (id == kNone) {
      ids.resize(before);
      ids.push_back(options_.unknown);
      return;
    }
    ids.push_back(id);
  }
}

}  // namespace spotinference
