// The store as one SQLite file, held exclusively for as long as it is open.
#ifndef FLEET_STORE_SQLITE_STORE_H_
#define FLEET_STORE_SQLITE_STORE_H_

#include <memory>
#include <string>

#include "fleet/store/store.h"

namespace spotinference::fleet {

// Opens or creates `path`; its folder must exist.
//
// UNAVAILABLE: another process has it. DATA_LOSS: it is damaged. FAILED_PRECONDITION: it is another
// program's file, or of a newer version than this one. RESOURCE_EXHAUSTED: the disk is full. The
// message names the file. None of these changes the file.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path);

}  // namespace spotinference::fleet

#endif  // FLEET_STORE_SQLITE_STORE_H_
