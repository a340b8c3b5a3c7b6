// absl::Status over engine.proto's calls, and the notice that one may carry.
#ifndef ENGINE_API_STATUS_H_
#define ENGINE_API_STATUS_H_

#include <optional>

#include "absl/status/status.h"
#include "engine/api/engine.pb.h"
#include "grpcpp/support/status.h"

namespace spotinference {

// UNAVAILABLE because of `notice`, which goes along. The sequence can go on elsewhere at once.
absl::Status NoticedError(const engine::v1::Notice& notice);

// The notice of a NoticedError, also after it has crossed the wire; nullopt for any other status, such as that of an
// engine that died.
std::optional<engine::v1::Notice> NoticeOf(const absl::Status& status);

// Code, message and notice are the same on both sides; a notice travels as gRPC's error details.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace spotinference

#endif  // ENGINE_API_STATUS_H_
