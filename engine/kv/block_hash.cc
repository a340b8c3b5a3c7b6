#include "engine/kv/block_hash.h"

#include <glog/logging.h>
#include <openssl/evp.h>

#include "absl/container/inlined_vector.h"

namespace spotinference {
namespace {

using Bytes = absl::InlinedVector<uint8_t, 256>;

void AppendUint32(uint32_t value, Bytes& out) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

// With its length in front, so that no two lists of fields make the same bytes.
void AppendField(absl::string_view field, Bytes& out) {
  AppendUint32(static_cast<uint32_t>(field.size()), out);
  out.insert(out.end(), field.begin(), field.end());
}

BlockHash Sha256(const Bytes& bytes) {
  // Fetched once: OpenSSL 3 takes longer to look up an algorithm than to hash a block.
  static const EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  BlockHash hash;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), hash.bytes.data(), nullptr, kSha256, nullptr));
  return hash;
}

}  // namespace

BlockHash RootHash(absl::string_view model_hash, absl::string_view numerics_id,
                   int32_t block_tokens, absl::string_view cache_salt) {
  Bytes bytes;
  AppendField("spotinference kv 1", bytes);
  AppendField(model_hash, bytes);
  AppendField(numerics_id, bytes);
  AppendUint32(static_cast<uint32_t>(block_tokens), bytes);
  AppendField(cache_salt, bytes);
  return Sha256(bytes);
}

BlockHash ChildHash(const BlockHash& parent, absl::Span<const uint32_t> ids) {
  Bytes bytes(parent.bytes.begin(), parent.bytes.end());
  for (const uint32_t id : ids) AppendUint32(id, bytes);
  return Sha256(bytes);
}

}  // namespace spotinference
