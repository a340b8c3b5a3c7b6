// absl::Status over engine.proto's calls, and the notice or the progress of a download that one may carry.
#ifndef ENGINE_API_STATUS_H_
#define ENGINE_API_STATUS_H_

#include <cstdint>
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

// UNAVAILABLE since the engine boots and has so much of its weights; and how much that is.
absl::Status DownloadingError(uint64_t done_bytes, uint64_t total_bytes);
std::optional<engine::v1::Download> DownloadOf(const absl::Status& status);

// Code, message and what goes along are the same on both sides; that travels as gRPC's error details.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace spotinference

#endif  // ENGINE_API_STATUS_H_
