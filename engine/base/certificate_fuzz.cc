// What a machine sends and is sent: a request for a certificate, and the certificate.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "engine/base/certificate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference;
  static const std::string* const key = new std::string(NewPrivateKey());
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (RequestKeyHash(bytes).ok() && RequestKeyHash(bytes)->size() != 64) __builtin_trap();
  // Nobody here has signed anything with that key.
  if (CheckIssued(bytes, *key, bytes).ok()) __builtin_trap();
  return 0;
}
