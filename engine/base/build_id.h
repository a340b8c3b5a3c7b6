// Which build this is.
#ifndef ENGINE_BASE_BUILD_ID_H_
#define ENGINE_BASE_BUILD_ID_H_

#include <string>

namespace spotinference {

// The first 16 hex digits of the linker's build id of the running program: equal programs, equal ids. "unknown" where the
// linker wrote none.
std::string BuildId();

}  // namespace spotinference

#endif  // ENGINE_BASE_BUILD_ID_H_
