// SHA-256 (FIPS 180-4), as 64 lower-case hex digits.
#ifndef ENGINE_BASE_SHA256_H_
#define ENGINE_BASE_SHA256_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

struct evp_md_ctx_st;

namespace spotinference {

// Of bytes that come piece by piece. One thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(const void* data, size_t bytes);
  std::string Hex();  // once, at the end

 private:
  evp_md_ctx_st* const context_;
};

std::string Sha256Hex(absl::string_view bytes);

// Whether a text is a hash of so many hex digits, in either case: 64 of SHA-256, 40 of the SHA-1 that Git names by.
bool IsHexHash(absl::string_view text, size_t digits);

// HMAC (RFC 2104) with it: 32 bytes, and the same as hex.
std::string HmacSha256(absl::string_view key, absl::string_view message);
std::string HmacSha256Hex(absl::string_view key, absl::string_view message);

}  // namespace spotinference

#endif  // ENGINE_BASE_SHA256_H_
