#include "engine/text/byte_pair_tokenizer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/text/utf8.h"
#include "xxhash.h"

namespace spotinference {
namespace {

constexpr size_t kMaxVocabularyBytes = size_t{1} << 30;

// GPT-2's visible alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 and up,
// in order.
constexpr size_t kAlphabetSize = 0x144;
constexpr int16_t kNoByte = -1;

std::array<int16_t, kAlphabetSize> ByteOfLetter() {
  std::array<int16_t, kAlphabetSize> table;
  table.fill(kNoByte);
  char32_t next = 0x100;
  for (int16_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    table[printable ? byte : next++] = byte;
  }
  return table;
}

// Appends the bytes that `text` spells; false if it has a letter that is not of the alphabet.
bool AppendSpelled(std::string_view text, std::string& out) {
  static const std::array<int16_t, kAlphabetSize> kByteOfLetter = ByteOfLetter();
  while (!text.empty()) {
    const Utf8Char letter = DecodeUtf8(text);
    if (letter.code_point >= kAlphabetSize) return false;
    const int16_t byte = kByteOfLetter[letter.code_point];
    if (byte == kNoByte) return false;
    out.push_back(static_cast<char>(byte));
    text.remove_prefix(letter.bytes);
  }
  return true;
}

// Slots for `count` entries at no more than half full.
size_t TableSize(size_t count) { return std::bit_ceil(2 * count + 1); }

uint64_t HashBytes(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t HashPair(uint32_t left, uint32_t right) {
  const uint64_t product =
      (uint64_t{left} << 32 | right) * 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
  return product ^ product >> 32;
}

bool IsMatchedWhole(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUserDefined;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BytePairTokenizer>> BytePairTokenizer::Create(
    const Vocabulary& vocabulary) {
  ASSIGN_OR_RETURN(const PreTokenizer pre_tokenizer, FindPreTokenizer(vocabulary.pre));
  auto tokenizer = absl::WrapUnique(new BytePairTokenizer(pre_tokenizer));
  RETURN_IF_ERROR(tokenizer->AddTokens(vocabulary));
  RETURN_IF_ERROR(tokenizer->AddMerges(vocabulary));
  return tokenizer;
}

absl::Status BytePairTokenizer::AddTokens(const Vocabulary& vocabulary) {
  const size_t count = vocabulary.tokens.size();
  if (!vocabulary.types.empty() && vocabulary.types.size() != count) {
    return absl::InvalidArgumentError(absl::StrCat("the vocabulary has ", count, " tokens but ",
                                                   vocabulary.types.size(), " token types"));
  }
  size_t total = 0;
  for (const std::string_view token : vocabulary.tokens) total += token.size();
  if (count == 0 || count >= kNone || total > kMaxVocabularyBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a vocabulary of ", count, " tokens in ", total,
                                                   " bytes; expected 1 token to 1 GiB"));
  }
  types_ = vocabulary.types;
  types_.resize(count, TokenType::kNormal);
  bytes_.reserve(total);
  offsets_.reserve(count + 1);
  special_ids_.push_back(kNone);
  for (size_t id = 0; id < count; ++id) {
    const std::string_view token = vocabulary.tokens[id];
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
    if (IsMatchedWhole(types_[id])) {
      bytes_.append(token);
      AddSpecial(static_cast<uint32_t>(id), token);
    } else if (!AppendSpelled(token, bytes_)) {
      return absl::InvalidArgumentError(
          absl::StrCat("token ", id, ", \"", std::string(token),
                       "\", has a letter outside the byte alphabet of a gpt2 vocabulary"));
    }
  }
  offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  bytes_.shrink_to_fit();
  IndexPieces();
  return absl::OkStatus();
}

void BytePairTokenizer::IndexPieces() {
  pieces_.assign(TableSize(types_.size()), kNone);
  for (uint32_t id = 0; id < types_.size(); ++id) {
    if (IsMatchedWhole(types_[id])) continue;
    const std::string_view piece = Piece(id);
    size_t slot = HashBytes(piece) & (pieces_.size() - 1);
    while (pieces_[slot] != kNone && Piece(pieces_[slot]) != piece) {
      slot = (slot + 1) & (pieces_.size() - 1);
    }
    if (pieces_[slot] == kNone) pieces_[slot] = id;  // of twins, the first
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char piece = static_cast<char>(byte);
    byte_ids_[byte] = FindNormal({&piece, 1});
  }
  whole_words_ = std::vector<std::atomic<WholeWord>>(types_.size());
}

absl::Status BytePairTokenizer::AddMerges(const Vocabulary& vocabulary) {
  const size_t count = vocabulary.merges.size();
  if (count >= kNone) return absl::InvalidArgumentError("more merges than ids");
  merges_.assign(TableSize(count), Merge{kNone, kNone, kNone});
  merged_id_.reserve(count);
  std::string spelled;
  for (uint32_t rank = 0; rank < count; ++rank) {
    const std::string_view text = vocabulary.merges[rank];
    const size_t blank = text.find(' ');
    spelled.clear();
    bool good = blank != text.npos && AppendSpelled(text.substr(0, blank), spelled);
    const size_t left_bytes = spelled.size();
    good = good && AppendSpelled(text.substr(blank + 1), spelled);
    const std::string_view merged = spelled;
    const uint32_t left = FindNormal(merged.substr(0, left_bytes));
    const uint32_t right = FindNormal(merged.substr(left_bytes));
    const uint32_t id = FindNormal(merged);
    if (!good || left == kNone || right == kNone || id == kNone) {
      return absl::InvalidArgumentError(
          absl::StrCat("merge ", rank, ", \"", std::string(text),
                       "\": expected two tokens with a blank between, which together are a token"));
    }
    merged_id_.push_back(id);
    size_t slot = HashPair(left, right) & (merges_.size() - 1);
    while (merges_[slot].rank != kNone &&
           (merges_[slot].left != left || merges_[slot].right != right)) {
      slot = (slot + 1) & (merges_.size() - 1);
    }
    merges_[slot] = {left, right, rank};  // of twins, the last, as in `tokenizers`
  }
  return absl::OkStatus();
}

void BytePairTokenizer::AddSpecial(uint32_t id, std::string_view text) {
  if (text.empty()) return;
  special_leads_[static_cast<unsigned char>(text[0])] = true;
  uint32_t node = 0;
  for (const char c : text) {
    const uint64_t key = uint64_t{node} << 8 | static_cast<unsigned char>(c);
    const auto [edge, added] =
        special_edges_.try_emplace(key, static_cast<uint32_t>(special_ids_.size()));
    if (added) special_ids_.push_back(kNone);
    node = edge->second;
  }
  if (special_ids_[node] == kNone) special_ids_[node] = id;
}

std::string_view BytePairTokenizer::Piece(uint32_t id) const {
  if (id >= types_.size()) return {};
  return std::string_view(bytes_).substr(offsets_[id], offsets_[id + 1] - offsets_[id]);
}

bool BytePairTokenizer::IsSpecial(uint32_t id) const {
  return id < types_.size() && types_[id] == TokenType::kControl;
}

std::optional<uint32_t> BytePairTokenizer::Find(std::string_view piece) const {
  uint32_t id = FindNormal(piece);
  if (id == kNone && !piece.empty()) {
    const std::optional<Special> special = SpecialAt(piece, 0, piece.size(), /*control=*/true);
    if (special && special->bytes == piece.size()) id = special->id;
  }
  return id == kNone ? std::nullopt : std::optional(id);
}

uint32_t BytePairTokenizer::FindNormal(std::string_view piece) const {
  size_t slot = HashBytes(piece) & (pieces_.size() - 1);
  while (pieces_[slot] != kNone && Piece(pieces_[slot]) != piece) {
    slot = (slot + 1) & (pieces_.size() - 1);
  }
  return pieces_[slot];
}

uint32_t BytePairTokenizer::MergeRank(uint32_t left, uint32_t right) const {
  size_t slot = HashPair(left, right) & (merges_.size() - 1);
  while (merges_[slot].rank != kNone &&
         (merges_[slot].left != left || merges_[slot].right != right)) {
    slot = (slot + 1) & (merges_.size() - 1);
  }
  return merges_[slot].rank;
}

// The longest token at `at`. A control token is one only if `control` and if it ends by `limit`.
std::optional<BytePairTokenizer::Special> BytePairTokenizer::SpecialAt(std::string_view text,
                                                                       size_t at, size_t limit,
                                                                       bool control) const {
  if (!special_leads_[static_cast<unsigned char>(text[at])]) return std::nullopt;
  std::optional<Special> longest;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto edge =
        special_edges_.find(uint64_t{node} << 8 | static_cast<unsigned char>(text[i]));
    if (edge == special_edges_.end()) break;
    node = edge->second;
    const uint32_t id = special_ids_[node];
    if (id == kNone) continue;
    if (types_[id] == TokenType::kControl && !(control && i < limit)) continue;
    longest = Special{id, i + 1 - at};
  }
  return longest;
}

std::vector<uint32_t> BytePairTokenizer::Encode(std::string_view text,
                                                const EncodeOptions& options) const {
  std::vector<uint32_t> ids;
  ids.reserve(text.size() / 4);
  size_t stretch = 0;  // where the text since the last special token begins
  auto input = options.from_input.begin();
  for (size_t at = 0; at < text.size();) {
    while (input != options.from_input.end() && input->end <= at) ++input;
    const bool last = input == options.from_input.end();
    const bool from_input = !last && input->begin <= at;
    const std::optional<Special> special = SpecialAt(text, at, last ? text.size() : input->begin,
                                                     options.parse_special && !from_input);
    if (!special) {
      ++at;
      continue;
    }
    EncodeStretch(text.substr(stretch, at - stretch), ids);
    ids.push_back(special->id);
    at += special->bytes;
    stretch = at;
  }
  EncodeStretch(text.substr(stretch), ids);
  return ids;
}

void BytePairTokenizer::EncodeStretch(std::string_view text, std::vector<uint32_t>& ids) const {
  while (!text.empty()) {
    const size_t bytes = FirstWord(pre_tokenizer_, text);
    EncodeWord(text.substr(0, bytes), ids);
    text.remove_prefix(bytes);
  }
}

// Most words are a token. That merges lead to it is nearly always true but not by definition, so it
// is tried once.
void BytePairTokenizer::EncodeWord(std::string_view word, std::vector<uint32_t>& ids) const {
  const uint32_t id = FindNormal(word);
  if (id == kNone) return MergeWord(word, ids);
  std::atomic<WholeWord>& whole_word = whole_words_[id];
  const WholeWord known = whole_word.load(std::memory_order_relaxed);
  if (known == WholeWord::kYes) return ids.push_back(id);
  const size_t before = ids.size();
  MergeWord(word, ids);
  if (known == WholeWord::kNo) return;
  const bool itself = ids.size() == before + 1 && ids.back() == id;
  whole_word.store(itself ? WholeWord::kYes : WholeWord::kNo, std::memory_order_relaxed);
}

void BytePairTokenizer::MergeWord(std::string_view word, std::vector<uint32_t>& ids) const {
  Symbols symbols;
  for (const char c : word) {
    const uint32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id != kNone) symbols.push_back(id);
  }
  if (symbols.size() <= kShortWord) {
    MergeShort(symbols);
  } else {
    MergeLong(symbols);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

// Both merge the pair of the lowest rank, of equals the leftmost, until none is left.
void BytePairTokenizer::MergeShort(Symbols& symbols) const {
  uint32_t ranks[kShortWord];  // of the pair (i, i + 1)
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = MergeRank(symbols[i], symbols[i + 1]);
  while (count > 1) {
    const size_t best = std::min_element(ranks, ranks + count - 1) - ranks;
    if (ranks[best] == kNone) break;
    symbols[best] = merged_id_[ranks[best]];
    std::copy(symbols.begin() + best + 2, symbols.begin() + count, symbols.begin() + best + 1);
    std::copy(ranks + best + 1, ranks + count - 1, ranks + best);
    --count;
    if (best > 0) ranks[best - 1] = MergeRank(symbols[best - 1], symbols[best]);
    if (best + 1 < count) ranks[best] = MergeRank(symbols[best], symbols[best + 1]);
  }
  symbols.resize(count);
}

struct BytePairTokenizer::Link {
  uint32_t id;    // kNone: merged into the one before
  uint32_t next;  // kNone: the last one
  uint32_t previous;
};

void BytePairTokenizer::MergeLong(Symbols& ids) const {
  std::vector<Link> symbols(ids.size());
  // Rank << 32 | position. An entry is stale once the pair there has another rank.
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<uint64_t>> best_first;
  const auto rank_at = [&](uint32_t i) {
    if (symbols[i].id == kNone || symbols[i].next == kNone) return kNone;
    return MergeRank(symbols[i].id, symbols[symbols[i].next].id);
  };
  const auto push = [&](uint32_t i) {
    if (const uint32_t rank = rank_at(i); rank != kNone) best_first.push(uint64_t{rank} << 32 | i);
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
    if (rank_at(at) != rank) continue;
    Link& left = symbols[at];
    Link& right = symbols[left.next];
    left.id = merged_id_[rank];
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
