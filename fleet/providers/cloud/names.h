// What things are called in a cloud: so that they are found again by name, told from those of another fleet in the same
// account, and fit the strictest of the clouds (lower-case letters, digits and '-', at most 50, a letter first).
#ifndef FLEET_PROVIDERS_CLOUD_NAMES_H_
#define FLEET_PROVIDERS_CLOUD_NAMES_H_

#include <string>

#include "absl/strings/string_view.h"

namespace spotinference::fleet {

// All that any fleet ever made begins with it.
inline constexpr char kNamePrefix[] = "spotinference-";

class CloudNames {
 public:
  explicit CloudNames(std::string fleet) : fleet_(std::move(fleet)) {}  // lower-case letters and digits, at most 8

  const std::string& fleet() const { return fleet_; }
  std::string Prefix() const;  // of all names of this fleet
  std::string Machine(absl::string_view id) const;
  std::string Volume(absl::string_view volume) const;

 private:
  std::string Name(absl::string_view kind, absl::string_view text) const;

  std::string fleet_;
};

// Has the shape of a machine's or a volume's name of any fleet: a person's "spotinference-gateway" has not.
bool IsFleetName(absl::string_view name);

// Where the cloud has one thing of a name and not one in each zone, a volume's is made of name and zone.
std::string ZonedName(absl::string_view name, absl::string_view zone);
std::string UnzonedName(absl::string_view zoned);  // its name again

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_NAMES_H_
