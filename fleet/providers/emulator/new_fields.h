// Answers as they are once a cloud has added to its API, which it may at any time: every object has members that nobody
// was told of.
#ifndef FLEET_PROVIDERS_EMULATOR_NEW_FIELDS_H_
#define FLEET_PROVIDERS_EMULATOR_NEW_FIELDS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace spotinference::fleet {

// Of JSON, also of documents in its strings, and of such XML as the emulated services write: a text, a number, null, an
// empty and a full list, an object, and the object itself once more, in one. All else, and what is no object, as it is.
std::string WithNewFields(absl::string_view body);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_NEW_FIELDS_H_
