// The clouds that the suite runs over.
#ifndef FLEET_PROVIDERS_CONFORMANCE_CLOUDS_H_
#define FLEET_PROVIDERS_CONFORMANCE_CLOUDS_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "fleet/providers/cloud/cloud_api.h"

namespace spotinference::fleet {

struct CloudUnderTest {
  std::string name;
  std::vector<std::string> catalogue;  // commands of the emulator: two zones, the first one cheaper
  std::string zone, other_zone, type;
  // What only the requests that do this have in them.
  std::string create, create_volume;
  std::string list, prices;  // of machines; asked for at the first poll, and as a rule at each
  std::string remove;        // of a machine; DELETE, of whatever
  std::string stop, start;  // of a machine that is kept; "": the cloud keeps none
  std::string account;      // CloudApi::Account of the emulator's first account
  bool has_places = false;    // a region or zone can be out of reach while the others are not
  std::string run;              // what only a question about a run has in it; "": it is told in lists
  bool begins_are_own = false;  // of a machine that an earlier gateway has begun it does not say when
  bool tells_reclaims = false;  // that it took a machine back
  bool names_types = true;      // what it may buy is in its configuration by name
  double boot_gigabytes = 0;    // of the disk of a machine whose image, or type, says how large
  bool asks_account = false;  // it is the credentials', and in no configuration
  // Commands of the emulator that sell one of these accelerators in the cloud's own words, and the fleet's name for it.
  std::vector<std::pair<std::string, std::string>> accelerators;
  std::string part;  // sells a type with a part of one; "": the cloud has none
  // On the emulator at `url`, for what begins with `name_prefix`; with no rights where `is_stranger`.
  std::function<std::unique_ptr<CloudApi>(const std::string& url, const std::string& name_prefix, const Clock& clock,
                                          bool is_stranger, bool public_address)>
      api;
  // From now on what `api` makes finds no credentials but those of the machine with this metadata service; nullptr: the
  // cloud gives machines none.
  std::function<void(const std::string& metadata_url)> move_to_machine;

  friend std::ostream& operator<<(std::ostream& out, const CloudUnderTest& cloud) { return out << cloud.name; }
};

std::vector<CloudUnderTest> AllClouds();

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CONFORMANCE_CLOUDS_H_
