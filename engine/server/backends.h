// The backends in this build, in the order in which --backend auto asks them. Only mains link this.
#ifndef ENGINE_SERVER_BACKENDS_H_
#define ENGINE_SERVER_BACKENDS_H_

#include <vector>

#include "engine/device/device.h"

namespace spotinference {

std::vector<Backend> AllBackends();

}  // namespace spotinference

#endif  // ENGINE_SERVER_BACKENDS_H_
