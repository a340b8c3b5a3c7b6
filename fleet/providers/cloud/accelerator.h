// One name for an accelerator, whichever cloud sells it: `machines.accelerators` is compared with it.
#ifndef FLEET_PROVIDERS_CLOUD_ACCELERATOR_H_
#define FLEET_PROVIDERS_CLOUD_ACCELERATOR_H_

#include <string>

#include "absl/strings/string_view.h"

namespace spotinference::fleet {

// "nvidia-l4" → "L4"; "A100-80G-PCIe" → "A100-80GB". Upper case, '-' between words, without its maker and its form.
// The memory is in it only where there are kinds with less: A100-80GB beside A100, V100-32GB beside V100. `gigabytes`:
// what it has, where `word` does not say it; 0: nobody knows.
std::string AcceleratorName(absl::string_view word, double gigabytes = 0);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_ACCELERATOR_H_
