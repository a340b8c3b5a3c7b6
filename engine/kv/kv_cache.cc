#include "engine/kv/kv_cache.h"

#include <glog/logging.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spotinference {

KvCache::KvCache(Options options) : options_(std::move(options)) {
  CHECK_GT(options_.blocks, 0);
  CHECK_GT(options_.block_tokens, 0);
  blocks_.resize(options_.blocks);
  index_.reserve(options_.blocks + options_.blocks / 4);  // at this load it reuses erased places and never grows
  free_.reserve(options_.blocks);
  for (int32_t block = options_.blocks - 1; block >= 0; --block) free_.push_back(block);
}

KvSequence KvCache::Open(absl::string_view cache_salt, int32_t tokens) const {
  KvSequence sequence(RootHash(options_.model_hash, options_.numerics_id, options_.block_tokens, cache_salt));
  sequence.blocks_.reserve((tokens + block_tokens() - 1) / block_tokens());
  return sequence;
}

int32_t KvCache::Extend(KvSequence& sequence, absl::Span<const uint32_t> ids) {
  const size_t full_blocks = ids.size() / block_tokens();
  while (sequence.blocks_.size() == sequence.published_ && sequence.published_ < full_blocks) {
    const auto next = ids.subspan(size_t{1} * sequence.published_ * block_tokens(), block_tokens());
    const auto found = index_.find(ChildHash(LastHash(sequence), next));
    if (found == index_.end()) break;
    Hold(found->second);
    sequence.blocks_.push_back(found->second);
    ++sequence.published_;
  }
  return sequence.published_ * block_tokens();
}

int32_t KvCache::Reserve(KvSequence& sequence, int32_t tokens) {
  while (sequence.blocks_.size() * block_tokens() < tokens) {
    const int32_t block = Allocate();
    if (block == kNone) break;
    sequence.blocks_.push_back(block);
  }
  return static_cast<int32_t>(sequence.blocks_.size()) * block_tokens();
}

void KvCache::Publish(KvSequence& sequence, absl::Span<const uint32_t> ids) {
  const size_t full_blocks = ids.size() / block_tokens();
  CHECK_LE(full_blocks, sequence.blocks_.size()) << "more tokens computed than there was room for";
  while (sequence.published_ < full_blocks) {
    const auto own_ids =
        ids.subspan(size_t{1} * sequence.published_ * block_tokens(), block_tokens());
    const BlockHash hash = ChildHash(LastHash(sequence), own_ids);
    int32_t& own = sequence.blocks_[sequence.published_];
    const auto [entry, inserted] = index_.try_emplace(hash, own);
    if (inserted) {
      blocks_[own].published = true;
      blocks_[own].hash = hash;
      blocks_[own].parent =
          sequence.published_ == 0 ? kNone : sequence.blocks_[sequence.published_ - 1];
    } else {
      Hold(entry->second);
      LetGo(std::exchange(own, entry->second));
    }
    ++sequence.published_;
  }
}

int32_t KvCache::DropLast(KvSequence& sequence) {
  CHECK(!sequence.blocks_.empty());
  LetGo(sequence.blocks_.back());
  sequence.blocks_.pop_back();
  const int32_t left = static_cast<int32_t>(sequence.blocks_.size());
  sequence.published_ = std::min(sequence.published_, left);
  return left * block_tokens();
}

void KvCache::Release(KvSequence& sequence, bool comes_back) {
  if (comes_back) {
    for (int32_t i = 0; i < sequence.published_; ++i) ++blocks_[sequence.blocks_[i]].awaited;
    any_awaited_ = true;
  }
  while (!sequence.blocks_.empty()) DropLast(sequence);
}

void KvCache::ForgetAwaited() {
  if (!std::exchange(any_awaited_, false)) return;
  for (Block& block : blocks_) block.awaited = 0;
}

std::vector<KvCache::Named> KvCache::PublishedBlocks() const {
  const auto wanted = [this](int32_t block) { return blocks_[block].references + blocks_[block].awaited; };
  std::vector<std::pair<int32_t, Named>> held;  // or awaited, with its depth
  for (int32_t block = 0; block < total(); ++block) {
    if (!blocks_[block].published || wanted(block) == 0) continue;
    int32_t depth = 0;
    for (int32_t parent = blocks_[block].parent; parent != kNone; parent = blocks_[parent].parent) ++depth;
    held.push_back({depth, {block, blocks_[block].hash}});
  }
  std::sort(held.begin(), held.end(), [&](const auto& a, const auto& b) {
    return std::make_tuple(-wanted(a.second.block), a.first) < std::make_tuple(-wanted(b.second.block), b.first);
  });
  std::vector<Named> blocks;
  for (const auto& [_, named] : held) blocks.push_back(named);
  for (int32_t block = newest_; block != kNone; block = blocks_[block].older) {
    if (wanted(block) == 0) blocks.push_back({block, blocks_[block].hash});
  }
  return blocks;
}

const BlockHash& KvCache::LastHash(const KvSequence& sequence) const {
  return sequence.published_ == 0 ? sequence.root_
                                  : blocks_[sequence.blocks_[sequence.published_ - 1]].hash;
}

void KvCache::Hold(int32_t block) {
  if (blocks_[block].references++ == 0) Unlink(block);
}

void KvCache::LetGo(int32_t block) {
  Block& b = blocks_[block];
  if (--b.references > 0) return;
  if (!b.published) {
    free_.push_back(block);
    return;
  }
  b.older = std::exchange(newest_, block);
  b.newer = kNone;
  (b.older == kNone ? oldest_ : blocks_[b.older].newer) = block;
  ++cached_;
}

// A block of its own for one sequence: a free one, else the oldest cached one, else kNone.
int32_t KvCache::Allocate() {
  int32_t block = oldest_;
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else if (block == kNone) {
    return kNone;
  } else {
    Unlink(block);
    index_.erase(blocks_[block].hash);
    blocks_[block].published = false;
    blocks_[block].awaited = 0;
  }
  blocks_[block].references = 1;
  return block;
}

// Takes a block out of the order of eviction.
void KvCache::Unlink(int32_t block) {
  const Block& b = blocks_[block];
  (b.older == kNone ? oldest_ : blocks_[b.older].newer) = b.newer;
  (b.newer == kNone ? newest_ : blocks_[b.newer].older) = b.older;
  --cached_;
}

absl::Status KvCache::Verify(absl::Span<const KvSequence* const> sequences) const {
  std::vector<int32_t> references(blocks_.size());
  for (const KvSequence* sequence : sequences) {
    for (size_t i = 0; i < sequence->blocks_.size(); ++i) {
      const int32_t block = sequence->blocks_[i];
      ++references[block];
      if (blocks_[block].published != (i < sequence->published_)) {
        return absl::InternalError(
            absl::StrCat("block ", block, " at ", i, " of a table with ", sequence->published_,
                         " published blocks has published=", blocks_[block].published));
      }
      if (blocks_[block].published &&
          blocks_[block].parent != (i == 0 ? kNone : sequence->blocks_[i - 1])) {
        return absl::InternalError(
            absl::StrCat("block ", block, " does not follow its parent ", blocks_[block].parent));
      }
    }
  }
  std::vector<int32_t> evicted_at(blocks_.size(), kNone);  // kNone: not cached
  int32_t cached = 0;
  for (int32_t block = oldest_; block != kNone; block = blocks_[block].newer) {
    evicted_at[block] = cached++;
  }
  std::vector<bool> is_free(blocks_.size());
  for (const int32_t block : free_) is_free[block] = true;
  size_t published = 0;
  for (int32_t block = 0; block < blocks_.size(); ++block) {
    const Block& b = blocks_[block];
    published += b.published;
    const bool is_cached = evicted_at[block] != kNone;
    const auto name = index_.find(b.hash);
    const bool parent_safe =
        !b.published || b.parent == kNone ||
        (blocks_[b.parent].published && blocks_[b.parent].references >= b.references &&
         (evicted_at[b.parent] == kNone || evicted_at[b.parent] > evicted_at[block]));
    if (b.references != references[block] || (b.references > 0) + is_cached + is_free[block] != 1 ||
        (is_cached && !b.published) || (is_free[block] && b.published) || !parent_safe ||
        (b.published && (name == index_.end() || name->second != block)) ||
        (b.references > 1 && !b.published)) {
      return absl::InternalError(absl::StrCat("block ", block, ": references ", b.references,
                                              ", counted ", references[block], ", published ",
                                              b.published, ", cached ", is_cached, ", free ",
                                              is_free[block], ", parent ", b.parent));
    }
  }
  if (cached != cached_ || published != index_.size()) {
    return absl::InternalError(absl::StrCat(cached, " blocks cached, counted as ", cached_, "; ",
                                            published, " published, ", index_.size(),
                                            " in the index"));
  }
  return absl::OkStatus();
}

}  // namespace spotinference
