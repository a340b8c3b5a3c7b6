// Who may use the gateway. Keys are known by their salted SHA-256 alone: a key is 256 random bits
// (or a secret of the operator's, at least 16 characters), so nothing slower is needed.
#ifndef GATEWAY_FILTERS_API_KEYS_H_
#define GATEWAY_FILTERS_API_KEYS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace spotinference {

using KeyDigest = std::array<uint8_t, 32>;  // SHA-256 of salt and key

// Immutable, thread-safe. The default one knows no key.
class ApiKeys {
 public:
  struct Entry {
    std::string name;
    KeyDigest digest;
  };

  ApiKeys() = default;
  ApiKeys(std::string salt, std::vector<Entry> entries)
      : salt_(std::move(salt)), entries_(std::move(entries)) {}

  bool empty() const { return entries_.empty(); }

  // The name of `key`, or none where it is no key. Takes one hash and the same time for every key
  // of a length, right or wrong. Valid as long as this.
  std::optional<absl::string_view> NameOf(absl::string_view key) const;

 private:
  std::string salt_;
  std::vector<Entry> entries_;
};

struct NamedSecret {
  std::string name;
  std::string secret;
};

// Keys that the operator gives. InvalidArgument: one that is shorter than 16 characters, or has
// others than visible ASCII (no header could carry it).
absl::StatusOr<ApiKeys> HashKeys(absl::Span<const NamedSecret> secrets);

struct StoredKeys {
  ApiKeys keys;
  std::string minted;  // the new key, to be shown once; "": there was one already
};

// The keys of `data_dir`/keys.json (0600; see stored_keys.proto). Where there is no such file,
// mints one key called "default" and writes it first. DataLoss: the file is damaged; it is left
// alone.
absl::StatusOr<StoredKeys> OpenStoredKeys(const std::string& data_dir);

// A secret where the configuration says it is. FailedPrecondition: it is not there.
absl::StatusOr<std::string> SecretFromEnvironment(const std::string& variable);
absl::StatusOr<std::string> SecretFromFile(const std::string& path);  // without the last line end

}  // namespace spotinference

#endif  // GATEWAY_FILTERS_API_KEYS_H_
