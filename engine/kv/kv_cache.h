// Who holds which block of KV. Bookkeeping only: the bytes live in the device, and a block is a
// number here.
//
// A block has room for `block_tokens` tokens. Sequences hold blocks by reference. A full block
// whose tokens have been computed is published: it gets its chain hash as a name (block_hash.h), is
// never written again, and can be held by any sequence with the same ids before it. A published
// block that nobody holds stays cached until its place is needed.
//
// What is cached is evicted oldest first, and that is always a leaf. A sequence holds its published
// blocks from the first one on without a gap, each of them the very block the index names (Publish
// sees to it), and lets go of the last one first. So a parent is held at least as often as its
// child and becomes cached after it: when a block is evicted, none of its children is left. Nothing
// in the index is ever out of reach.
//
// What outlives the engine needs no more than this (engine/volume/kv_store.h): a published block is immutable and its
// name says everything about its bytes.
//
// One thread at a time (the engine thread).
#ifndef ENGINE_KV_KV_CACHE_H_
#define ENGINE_KV_KV_CACHE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/kv/block_hash.h"

namespace spotinference {

// What one sequence holds. Made by KvCache::Open; must be given back by KvCache::Release, not just
// destroyed.
class KvSequence {
 public:
  KvSequence(KvSequence&&) = default;
  KvSequence& operator=(KvSequence&&) = default;

  // The block of token t is block_table()[t / block_tokens]. Valid until the next call that changes
  // the sequence.
  absl::Span<const int32_t> block_table() const { return blocks_; }

 private:
  friend class KvCache;
  explicit KvSequence(const BlockHash& root) : root_(root) {}

  BlockHash root_;
  std::vector<int32_t> blocks_;
  int32_t published_ = 0;  // of blocks_, counted from the front
};

class KvCache {
 public:
  struct Options {
    int32_t blocks = 0;
    int32_t block_tokens = 16;
    std::string model_hash;
    std::string numerics_id;
  };

  explicit KvCache(Options options);
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  // A sequence that holds nothing yet. Up to `tokens` it grows without allocating.
  KvSequence Open(absl::string_view cache_salt, int32_t tokens = 0) const;

  // Takes the cached or shared blocks that continue what `sequence` holds, at most as many as `ids`
  // fills, where `ids` are all ids of the sequence that may come from the cache. Takes nothing when
  // the sequence is in the middle of a block of its own. Returns the number of tokens in published
  // blocks that the sequence holds now.
  int32_t Extend(KvSequence& sequence, absl::Span<const uint32_t> ids);

  // Adds blocks until there is room for `tokens`, evicting cached ones, or until no block is to be
  // had. Returns the tokens there is room for.
  int32_t Reserve(KvSequence& sequence, int32_t tokens);

  // The step that computed `ids`, the first ids of the sequence, has run: publishes the blocks they
  // fill. Where another sequence published the same block meanwhile, that one takes the place of
  // this sequence's own, whose bytes are equal.
  void Publish(KvSequence& sequence, absl::Span<const uint32_t> ids);

  // Lets go of the last block of a sequence that holds one. Returns the tokens there is still room
  // for.
  int32_t DropLast(KvSequence& sequence);

  // Lets go of everything. `comes_back`: the sequence was cut and goes on later, so that its blocks are awaited.
  void Release(KvSequence& sequence, bool comes_back = false);
  // Whoever was to come back has, or never will.
  void ForgetAwaited();

  // Published blocks, those worth most to a later engine first: what sequences hold or await, by how many do, then what
  // was let go of last. All have one size, and one is of use only behind its parent, which always comes first.
  struct Named {
    int32_t block;
    BlockHash hash;
  };
  std::vector<Named> PublishedBlocks() const;
  // Whether `block` is published under that name (still).
  bool Holds(const Named& named) const {
    return blocks_[named.block].published && blocks_[named.block].hash == named.hash;
  }

  int32_t block_tokens() const { return options_.block_tokens; }
  int32_t total() const { return options_.blocks; }
  // Of these: held by a sequence; published and held by no one. The rest is free.
  int32_t used() const { return total() - cached_ - static_cast<int32_t>(free_.size()); }
  int32_t cached() const { return cached_; }

  // For tests: how many sequences hold the block, and whether it may still be written.
  int32_t references(int32_t block) const { return blocks_[block].references; }
  bool published(int32_t block) const { return blocks_[block].published; }

  // For tests: checks everything said above, given all the sequences that hold something.
  absl::Status Verify(absl::Span<const KvSequence* const> sequences) const;

 private:
  static constexpr int32_t kNone = -1;

  struct Block {
    int32_t references = 0;
    int32_t awaited = 0;  // sequences that held it when they were cut, where published
    bool published = false;
    int32_t parent = kNone;  // the block before this one, where published
    int32_t older = kNone;   // neighbours in the order of eviction, where cached
    int32_t newer = kNone;
    BlockHash hash;
  };

  const BlockHash& LastHash(const KvSequence& sequence) const;
  void Hold(int32_t block);
  void LetGo(int32_t block);
  int32_t Allocate();
  void Unlink(int32_t block);

  const Options options_;
  std::vector<Block> blocks_;
  std::vector<int32_t> free_;
  absl::flat_hash_map<BlockHash, int32_t> index_;  // published blocks
  int32_t oldest_ = kNone;                         // the cached blocks, in the order of eviction
  int32_t newest_ = kNone;
  int32_t cached_ = 0;
  bool any_awaited_ = false;
};

}  // namespace spotinference

#endif  // ENGINE_KV_KV_CACHE_H_
