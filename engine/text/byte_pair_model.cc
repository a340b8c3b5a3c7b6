#include "engine/text/byte_pair_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <queue>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/utf8.h"

namespace spotinference {
namespace {

uint64_t HashPair(uint32_t left, uint32_t right) {
  const uint64_t product =
      (uint64_t{left} << 32 | right) * 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
  return product ^ product >> 32;
}

bool HasSpaceWithin(std::string_view piece) {
  for (size_t i = 1; i < piece.size(); ++i) {
    if (piece[i] == ' ' && piece[i - 1] != ' ') return true;
  }
  return false;
}

// A pair of tokens that together are a token.
struct ScoredPair {
  float score;
  uint32_t left, right, merged;
};

std::vector<ScoredPair> AllPairs(const Vocabulary& vocabulary, absl::Span<const float> scores) {
  std::vector<ScoredPair> pairs;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view piece = vocabulary.Piece(id);
    if (vocabulary.Find(piece) != id) continue;
    for (size_t cut = 1; cut < piece.size(); ++cut) {
      if ((piece[cut] & 0xc0) == 0x80) continue;  // within a character
      const uint32_t left = vocabulary.Find(piece.substr(0, cut));
      if (left == Vocabulary::kNone) continue;
      const uint32_t right = vocabulary.Find(piece.substr(cut));
      if (right != Vocabulary::kNone) pairs.push_back({scores[id], left, right, id});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const ScoredPair& a, const ScoredPair& b) { return a.score > b.score; });
  return pairs;
}

}  // namespace

BytePairModel::BytePairModel(const Vocabulary& vocabulary, const Options& options, size_t merges)
    : vocabulary_(&vocabulary),
      options_(options),
      // At most half full.
      merges_(std::bit_ceil(2 * merges + 1), Merge{kNone, kNone, kNone, kNone}),
      whole_words_(vocabulary.size()) {}

absl::StatusOr<BytePairModel> BytePairModel::FromMerges(const Vocabulary& vocabulary,
                                                        absl::Span<const Pair> merges,
                                                        const Options& options) {
  if (merges.size() >= kNone) return absl::InvalidArgumentError("more merges than ids");
  BytePairModel model(vocabulary, options, merges.size());
  std::string spelled;
  for (uint32_t rank = 0; rank < merges.size(); ++rank) {
    const auto [first, second] = merges[rank];
    spelled.clear();
    bool good = AppendSpelled(first, vocabulary.spelling(), spelled);
    const size_t left_bytes = spelled.size();
    good = good && AppendSpelled(second, vocabulary.spelling(), spelled);
    const std::string_view whole = spelled;
    const uint32_t left = vocabulary.Find(whole.substr(0, left_bytes));
    const uint32_t right = vocabulary.Find(whole.substr(left_bytes));
    const uint32_t merged = vocabulary.Find(whole);
    if (!good || left == kNone || right == kNone || merged == kNone) {
      return absl::InvalidArgumentError(
          absl::StrCat("merge ", rank, ", \"", std::string(first), " ", std::string(second),
                       "\": expected two tokens with a blank between, which together are a token"));
    }
    model.Add({left, right, rank, merged});
  }
  return model;
}

absl::StatusOr<BytePairModel> BytePairModel::FromScores(const Vocabulary& vocabulary,
                                                        absl::Span<const float> scores,
                                                        const Options& options) {
  if (scores.size() != vocabulary.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the vocabulary has ", vocabulary.size(),
                                                   " tokens but ", scores.size(), " scores"));
  }
  for (size_t id = 0; id < scores.size(); ++id) {
    if (std::isnan(scores[id])) {
      return absl::InvalidArgumentError(absl::StrCat("the score of token ", id, " is no number"));
    }
  }
  const std::vector<ScoredPair> pairs = AllPairs(vocabulary, scores);
  if (pairs.size() >= kNone) return absl::InvalidArgumentError("more merges than ids");
  BytePairModel model(vocabulary, options, pairs.size());
  uint32_t rank = 0;
  for (uint32_t i = 0; i < pairs.size(); ++i) {
    if (i > 0 && pairs[i].score != pairs[i - 1].score) rank = i;  // of equals, the leftmost merges
    model.Add({pairs[i].left, pairs[i].right, rank, pairs[i].merged});
  }
  return model;
}

void BytePairModel::Add(const Merge& merge) {
  size_t slot = HashPair(merge.left, merge.right) & (merges_.size() - 1);
  while (merges_[slot].rank != kNone &&
         (merges_[slot].left != merge.left || merges_[slot].right != merge.right)) {
    slot = (slot + 1) & (merges_.size() - 1);
  }
  merges_[slot] = merge;  // of twins, the last, as in `tokenizers`
  if (HasSpaceWithin(vocabulary_->Piece(merge.merged))) spaces_only_lead_ = false;
}

const BytePairModel::Merge& BytePairModel::FindMerge(uint32_t left, uint32_t right) const {
  size_t slot = HashPair(left, right) & (merges_.size() - 1);
  while (merges_[slot].rank != kNone &&
         (merges_[slot].left != left || merges_[slot].right != right)) {
    slot = (slot + 1) & (merges_.size() - 1);
  }
  return merges_[slot];
}

// Most words are a token. That merges lead to it is nearly always true but not by definition, so it
// is tried once.
void BytePairModel::Encode(std::string_view word, std::vector<uint32_t>& ids) const {
  const uint32_t id = vocabulary_->Find(word);
  if (id == kNone) return MergeWord(word, ids);
  if (options_.ignore_merges) return ids.push_back(id);
  std::atomic<WholeWord>& whole_word = whole_words_[id];
  const WholeWord known = whole_word.load(std::memory_order_relaxed);
  if (known == WholeWord::kYes) return ids.push_back(id);
  const size_t before = ids.size();
  MergeWord(word, ids);
  if (known == WholeWord::kNo) return;
  const bool itself = ids.size() == before + 1 && ids.back() == id;
  whole_word.store(itself ? WholeWord::kYes : WholeWord::kNo, std::memory_order_relaxed);
}

void BytePairModel::Split(std::string_view word, Symbols& symbols) const {
  if (vocabulary_->spelling() == Spelling::kSentencePiece) {
    return SplitIntoCharacters(word, symbols);
  }
  for (const char c : word) {
    const uint32_t id = vocabulary_->FindByte(static_cast<unsigned char>(c));
    if (id != kNone) symbols.push_back(id);
  }
}

void BytePairModel::SplitIntoCharacters(std::string_view word, Symbols& symbols) const {
  bool after_unknown = false;
  while (!word.empty()) {
    const std::string_view character = word.substr(0, DecodeUtf8(word).bytes);
    word.remove_prefix(character.size());
    const uint32_t id = vocabulary_->Find(character);
    if (id != kNone) {
      symbols.push_back(id);
      after_unknown = false;
    } else if (options_.byte_fallback && AppendBytes(character, symbols)) {
      after_unknown = false;
    } else if (options_.unknown && !(after_unknown && options_.fuse_unknown)) {
      symbols.push_back(*options_.unknown);
      after_unknown = true;
    }
  }
}

// All or none; false: a byte has no token.
bool BytePairModel::AppendBytes(std::string_view bytes, Symbols& symbols) const {
  const size_t before = symbols.size();
  for (const char c : bytes) {
    const uint32_t id = vocabulary_->FindByte(static_cast<unsigned char>(c));
    if (id == kNone) {
      symbols.resize(before);
      return false;
    }
    symbols.push_back(id);
  }
  return true;
}

void BytePairModel::MergeWord(std::string_view word, std::vector<uint32_t>& ids) const {
  Symbols symbols;
  Split(word, symbols);
  if (symbols.size() <= kShortWord) {
    MergeShort(symbols);
  } else {
    MergeLong(symbols);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

// Both merge the pair of the lowest rank, of equals the leftmost, until none is left.
void BytePairModel::MergeShort(Symbols& symbols) const {
  uint32_t ranks[kShortWord];  // of the pair (i, i + 1)
  uint32_t merged[kShortWord];
  size_t count = symbols.size();
  const auto look = [&](size_t i) {
    const Merge& merge = FindMerge(symbols[i], symbols[i + 1]);
    ranks[i] = merge.rank;
    merged[i] = merge.merged;
  };
  for (size_t i = 0; i + 1 < count; ++i) look(i);
  while (count > 1) {
    const size_t best = std::min_element(ranks, ranks + count - 1) - ranks;
    if (ranks[best] == kNone) break;
    symbols[best] = merged[best];
    std::copy(symbols.begin() + best + 2, symbols.begin() + count, symbols.begin() + best + 1);
    std::copy(ranks + best + 1, ranks + count - 1, ranks + best);
    std::copy(merged + best + 1, merged + count - 1, merged + best);
    --count;
    if (best > 0) look(best - 1);
    if (best + 1 < count) look(best);
  }
  symbols.resize(count);
}

struct BytePairModel::Link {
  uint32_t id;    // kNone: merged into the one before
  uint32_t next;  // kNone: the last one
  uint32_t previous;
};

void BytePairModel::MergeLong(Symbols& ids) const {
  static constexpr Merge kNoMerge = {kNone, kNone, kNone, kNone};
  std::vector<Link> symbols(ids.size());
  // Rank << 32 | position. An entry is stale once the pair there has another rank.
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<uint64_t>> best_first;
  const auto merge_at = [&](uint32_t i) -> const Merge& {
    if (symbols[i].id == kNone || symbols[i].next == kNone) return kNoMerge;
    return FindMerge(symbols[i].id, symbols[symbols[i].next].id);
  };
  const auto push = [&](uint32_t i) {
    if (const uint32_t rank = merge_at(i).rank; rank != kNone) {
      best_first.push(uint64_t{rank} << 32 | i);
    }
  };
  const auto count = static_cast<uint32_t>(ids.size());
  for (uint32_t i = 0; i < count; ++i) {
    symbols[i] = {ids[i], i + 1 < count ? i + 1 : kNone, i > 0 ? i - 1 : kNone};
  }
  for (uint32_t i = 0; i < count; ++i) push(i);
  while (!best_first.empty()) {
    const auto rank = static_cast<uint32_t>(best_first.top() >> 32);
    const auto at = static_cast<uint32_t>(best_first.top());
    best_first.pop();
    const Merge& merge = merge_at(at);
    if (merge.rank != rank) continue;
    Link& left = symbols[at];
    Link& right = symbols[left.next];
    left.id = merge.merged;
    right.id = kNone;
    left.next = right.next;
    if (left.next != kNone) symbols[left.next].previous = at;
    push(at);
    if (left.previous != kNone) push(left.previous);
  }
  ids.clear();
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace spotinference
