#include "fleet/providers/cloud/names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/sha256.h"

namespace spotinference::fleet {
namespace {

constexpr size_t kReadable = 12;
constexpr size_t kZone = 4, kText = 8;  // digits of their hashes

}  // namespace

std::string CloudNames::Prefix() const { return absl::StrCat(kNamePrefix, fleet_, "-"); }

// A part to read, and a part that tells texts apart whose readable parts are the same.
std::string CloudNames::Name(absl::string_view kind, absl::string_view text) const {
  std::string readable;
  for (const char c : text.substr(0, kReadable)) {
    readable += absl::ascii_isalnum(c) ? absl::ascii_tolower(c) : '-';
  }
  return absl::StrCat(Prefix(), readable, "-", Sha256Hex(absl::StrCat(kind, ":", text)).substr(0, kText));
}

std::string CloudNames::Machine(absl::string_view id) const { return Name("machine", id); }
std::string CloudNames::Volume(absl::string_view volume) const { return Name("volume", volume); }

bool IsFleetName(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, kNamePrefix)) return false;
  const auto is_hash = [](absl::string_view part, size_t digits) {
    return part.size() == digits && std::all_of(part.begin(), part.end(), [](unsigned char c) {
             return absl::ascii_isxdigit(c) && !absl::ascii_isupper(c);
           });
  };
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '-');
  if (parts.size() < 3) return false;
  const bool zoned = parts.size() > 3 && is_hash(parts.back(), kZone) && is_hash(parts[parts.size() - 2], kText);
  return zoned || is_hash(parts.back(), kText);
}

std::string ZonedName(absl::string_view name, absl::string_view zone) {
  return absl::StrCat(name, "-", Sha256Hex(zone).substr(0, kZone));
}

std::string UnzonedName(absl::string_view zoned) {
  return std::string(zoned.substr(0, zoned.size() - std::min(zoned.size(), kZone + 1)));
}

}  // namespace spotinference::fleet
