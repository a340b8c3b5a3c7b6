// What Azure's sizes of machines have in them, as far as only their names tell.
#ifndef FLEET_PROVIDERS_AZURE_AZURE_SIZES_H_
#define FLEET_PROVIDERS_AZURE_AZURE_SIZES_H_

#include <string>

#include "absl/strings/string_view.h"

namespace spotinference::fleet {

// The accelerator of a size, by AcceleratorName's names; "": it has none, or one that we do not know. Of what is sold:
// https://learn.microsoft.com/azure/virtual-machines/sizes/overview#gpu-accelerated
std::string AcceleratorOfSize(absl::string_view size);

// Of that one it has a part, which Azure counts as one.
bool HasPartOfAccelerator(absl::string_view size);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AZURE_AZURE_SIZES_H_
