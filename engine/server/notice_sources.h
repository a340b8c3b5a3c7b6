// The sources of notices in this build, by the names that --notice takes. Only mains link this.
#ifndef ENGINE_SERVER_NOTICE_SOURCES_H_
#define ENGINE_SERVER_NOTICE_SOURCES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/clock.h"
#include "engine/notice/notice_source.h"

namespace spotinference {

struct NoticeOptions {
  bool sigterm = false;  // SIGTERM is a notice; else it lets live sequences run on
  bool local = false;    // the call Interrupt is one
  std::vector<std::unique_ptr<NoticeSource>> metadata;  // of clouds
};

// `names`: aws, gcp, azure, sigterm and local, with commas between, or none. `metadata_url`: of the cloud's service;
// "": its own. `machine_name`: as Azure's events have it; "": the service is asked. INVALID_ARGUMENT: another name.
// `clock` outlives the sources.
absl::StatusOr<NoticeOptions> ParseNoticeOptions(absl::string_view names, const std::string& metadata_url,
                                                 const std::string& machine_name, const Clock& clock);

}  // namespace spotinference

#endif  // ENGINE_SERVER_NOTICE_SOURCES_H_
