#include "fleet/providers/cloud/names.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/sha256.h"

namespace spotinference::fleet {
namespace {

constexpr size_t kReadable = 12;
constexpr size_t kZone = 4;  // digits of its hash

}  // namespace

std::string CloudNames::Prefix() const { return absl::StrCat(kNamePrefix, fleet_, "-"); }

// A part to read, and a part that tells texts apart whose readable parts are the same.
std::string CloudNames::Name(absl::string_view kind, absl::string_view text) const {
  std::string readable;
  for (const char c : text.substr(0, kReadable)) {
    readable += absl::ascii_isalnum(c) ? absl::ascii_tolower(c) : '-';
  }
  return absl::StrCat(Prefix(), readable, "-", Sha256Hex(absl::StrCat(kind, ":", text)).substr(0, 8));
}

std::string CloudNames::Machine(absl::string_view id) const { return Name("machine", id); }
std::string CloudNames::Volume(absl::string_view volume) const { return Name("volume", volume); }

std::string ZonedName(absl::string_view name, absl::string_view zone) {
  return absl::StrCat(name, "-", Sha256Hex(zone).substr(0, kZone));
}

std::string UnzonedName(absl::string_view zoned) {
  return std::string(zoned.substr(0, zoned.size() - std::min(zoned.size(), kZone + 1)));
}

}  // namespace spotinference::fleet
