// SIGTERM as a notice: Kubernetes and systemd send it, and SIGKILL when the grace period is over.
#ifndef ENGINE_NOTICE_SIGNAL_SOURCE_H_
#define ENGINE_NOTICE_SIGNAL_SOURCE_H_

#include <memory>

#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/base/stop_signal.h"
#include "engine/notice/notice_source.h"

namespace spotinference {

// `signals` is made before any thread starts. A notice of source "sigterm" comes with each SIGTERM or SIGINT, `grace`
// before the end; none is ever withdrawn. The others outlive it.
std::unique_ptr<NoticeSource> NewSignalSource(const StopSignal& signals, absl::Duration grace, const Clock& clock);

}  // namespace spotinference

#endif  // ENGINE_NOTICE_SIGNAL_SOURCE_H_
