#include "gateway/filters/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"
#include "engine/base/whole_file.h"
#include "gateway/filters/stored_keys.pb.h"
#include "google/protobuf/util/json_util.h"

namespace spotinference {
namespace {

constexpr size_t kSaltBytes = 16;
constexpr size_t kKeyBytes = 32;
constexpr size_t kMinSecretLength = 16;

KeyDigest Digest(absl::string_view salt, absl::string_view key) {
  const std::string salted = absl::StrCat(salt, key);
  KeyDigest digest;
  SHA256(reinterpret_cast<const uint8_t*>(salted.data()), salted.size(), digest.data());
  return digest;
}

absl::StatusOr<std::string> RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  if (RAND_bytes(reinterpret_cast<uint8_t*>(bytes.data()), size) != 1) {
    return absl::InternalError("the system gives no random bytes");
  }
  return bytes;
}

absl::StatusOr<StoredKeys> Mint(const std::string& data_dir, const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(data_dir, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot create the folder ", data_dir, ": ", error.message()));
  }
  ASSIGN_OR_RETURN(const std::string random, RandomBytes(kKeyBytes));
  ASSIGN_OR_RETURN(const std::string salt, RandomBytes(kSaltBytes));
  const std::string key = absl::StrCat("sk-spot-", absl::WebSafeBase64Escape(random));
  const KeyDigest digest = Digest(salt, key);

  StoredKeyFile file;
  file.set_salt(salt);
  StoredKeyFile::Key& stored = *file.add_keys();
  stored.set_name("default");
  stored.set_sha256(digest.data(), digest.size());
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  if (!google::protobuf::util::MessageToJsonString(file, &json, options).ok()) {
    return absl::InternalError("keys.json does not print");
  }
  RETURN_IF_ERROR(WriteWholeFile(path, json));
  return StoredKeys{ApiKeys(salt, {{"default", digest}}), key};
}

absl::StatusOr<ApiKeys> ParseStored(const std::string& path, const std::string& json) {
  StoredKeyFile file;
  const auto parsed = google::protobuf::util::JsonStringToMessage(json, &file);
  bool sound = parsed.ok() && file.salt().size() == kSaltBytes && file.keys_size() > 0;
  std::vector<ApiKeys::Entry> entries;
  for (const StoredKeyFile::Key& key : file.keys()) {
    ApiKeys::Entry& entry = entries.emplace_back();
    entry.name = key.name();
    sound = sound && !key.name().empty() && key.sha256().size() == entry.digest.size();
    std::copy_n(key.sha256().begin(), std::min(key.sha256().size(), entry.digest.size()),
                entry.digest.begin());
  }
  if (!sound) {
    return absl::DataLossError(absl::StrCat(path,
                                            " is damaged; repair it, or move it away to have "
                                            "a new key minted"));
  }
  return ApiKeys(file.salt(), std::move(entries));
}

}  // namespace

std::optional<absl::string_view> ApiKeys::NameOf(absl::string_view key) const {
  const KeyDigest digest = Digest(salt_, key);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry;
  }
  if (found == nullptr) return std::nullopt;
  return found->name;
}

absl::StatusOr<ApiKeys> HashKeys(absl::Span<const NamedSecret> secrets) {
  ASSIGN_OR_RETURN(std::string salt, RandomBytes(kSaltBytes));
  std::vector<ApiKeys::Entry> entries;
  for (const NamedSecret& key : secrets) {
    if (key.secret.size() < kMinSecretLength ||
        !std::all_of(key.secret.begin(), key.secret.end(), absl::ascii_isgraph)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the key '", key.name, "' must have ", kMinSecretLength,
                       " characters or more, all of them visible ASCII; 'openssl rand -hex 32' "
                       "makes a good one"));
    }
    entries.push_back({key.name, Digest(salt, key.secret)});
  }
  return ApiKeys(std::move(salt), std::move(entries));
}

absl::StatusOr<StoredKeys> OpenStoredKeys(const std::string& data_dir) {
  const std::string path = absl::StrCat(data_dir, "/keys.json");
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return Mint(data_dir, path);
    return absl::UnavailableError(absl::StrCat("cannot read ", path, ": ", strerror(errno)));
  }
  ASSIGN_OR_RETURN(const std::string json, SecretFromFile(path));
  ASSIGN_OR_RETURN(ApiKeys keys, ParseStored(path, json));
  return StoredKeys{std::move(keys), ""};
}

absl::StatusOr<std::string> SecretFromEnvironment(const std::string& variable) {
  const char* const value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    return absl::FailedPreconditionError(
        absl::StrCat("the environment variable ", variable, " is not set"));
  }
  return std::string(value);
}

absl::StatusOr<std::string> SecretFromFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::FailedPreconditionError(absl::StrCat("cannot read the file ", path));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  absl::StripTrailingAsciiWhitespace(&text);
  return text;
}

}  // namespace spotinference
