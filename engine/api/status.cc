#include "engine/api/status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

constexpr char kDetails[] = "spotinference.engine.v1";  // a Notice or a Download, told apart by their fields

absl::Status Unavailable(absl::string_view message, const google::protobuf::MessageLite& details) {
  absl::Status status = absl::UnavailableError(message);
  status.SetPayload(kDetails, absl::Cord(details.SerializeAsString()));
  return status;
}

template <typename Message>
bool ReadDetails(const absl::Status& status, Message& message) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kDetails);
  return payload.has_value() && message.ParseFromString(std::string(*payload));
}

}  // namespace

absl::Status NoticedError(const engine::v1::Notice& notice) {
  return Unavailable(absl::StrCat("the engine drains: its machine goes in ", notice.left_ms(), " ms (",
                                  notice.source(), ": ", notice.reason(), ")"),
                     notice);
}

std::optional<engine::v1::Notice> NoticeOf(const absl::Status& status) {
  engine::v1::Notice notice;
  if (!ReadDetails(status, notice) || notice.kind() == notice.KIND_UNSPECIFIED) return std::nullopt;
  return notice;
}

absl::Status DownloadingError(uint64_t done_bytes, uint64_t total_bytes) {
  engine::v1::Download download;
  download.set_done_bytes(done_bytes);
  download.set_total_bytes(total_bytes);
  return Unavailable(absl::StrCat("the engine boots: ", done_bytes, " of ", total_bytes, " bytes of its weights are here"),
                     download);
}

std::optional<engine::v1::Download> DownloadOf(const absl::Status& status) {
  engine::v1::Download download;
  if (!ReadDetails(status, download) || download.done_bytes() > download.total_bytes() || download.total_bytes() == 0) {
    return std::nullopt;
  }
  return download;
}

grpc::Status ToGrpc(const absl::Status& status) {
  std::string details;
  if (const absl::optional<absl::Cord> payload = status.GetPayload(kDetails)) details = std::string(*payload);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()), details);
}

absl::Status FromGrpc(const grpc::Status& status) {
  absl::Status out(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  if (!out.ok() && !status.error_details().empty()) out.SetPayload(kDetails, absl::Cord(status.error_details()));
  return out;
}

}  // namespace spotinference
