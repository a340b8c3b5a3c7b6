// The name of a full block of KV: a chain of SHA-256 over the ids up to its end. Equal names mean
// equal bytes, on this machine and on any other of the same numerics id, so the name serves the
// prefix index in memory and a volume alike.
#ifndef ENGINE_KV_BLOCK_HASH_H_
#define ENGINE_KV_BLOCK_HASH_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace spotinference {

struct BlockHash {
  std::array<uint8_t, 32> bytes{};

  friend bool operator==(const BlockHash&, const BlockHash&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const BlockHash& hash) {
    uint64_t head;  // already uniform; eight of the bytes are enough for a bucket
    std::memcpy(&head, hash.bytes.data(), sizeof(head));
    return H::combine(std::move(state), head);
  }
};

// The parent of a first block: everything but the ids that the bytes of KV depend on, and the salt
// that keeps apart those who may not learn of each other's prefixes.
BlockHash RootHash(absl::string_view model_hash, absl::string_view numerics_id,
                   int32_t block_tokens, absl::string_view cache_salt);

// SHA-256(parent, ids as little-endian uint32). `ids` is one block's worth.
BlockHash ChildHash(const BlockHash& parent, absl::Span<const uint32_t> ids);

}  // namespace spotinference

#endif  // ENGINE_KV_BLOCK_HASH_H_
