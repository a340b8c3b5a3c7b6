// Which ids a sequence holds, for the penalties. Memory is in proportion to the number of distinct
// ids. Made of the ids alone, so a resumed sequence rebuilds it. One thread at a time.
#ifndef ENGINE_SAMPLE_TOKEN_COUNTS_H_
#define ENGINE_SAMPLE_TOKEN_COUNTS_H_

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

namespace spotinference {

class TokenCounts {
 public:
  TokenCounts() = default;
  TokenCounts(absl::Span<const uint32_t> prompt_ids, absl::Span<const uint32_t> generated_ids) {
    for (const uint32_t id : prompt_ids) generated_.try_emplace(id, 0);
    for (const uint32_t id : generated_ids) AddGenerated(id);
  }

  void AddGenerated(uint32_t id) { ++generated_[id]; }

  // Every id of prompt or answer, with how often it was generated.
  const absl::flat_hash_map<uint32_t, uint32_t>& generated() const { return generated_; }

 private:
  absl::flat_hash_map<uint32_t, uint32_t> generated_;
};

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_TOKEN_COUNTS_H_
