#include "engine/api/status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace spotinference {
namespace {

constexpr char kNoticeType[] = "type.googleapis.com/spotinference.engine.v1.Notice";

}  // namespace

absl::Status NoticedError(const engine::v1::Notice& notice) {
  absl::Status status = absl::UnavailableError(
      absl::StrCat("the engine drains: its machine goes in ", notice.left_ms(), " ms (", notice.source(), ": ",
                   notice.reason(), ")"));
  status.SetPayload(kNoticeType, absl::Cord(notice.SerializeAsString()));
  return status;
}

std::optional<engine::v1::Notice> NoticeOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kNoticeType);
  engine::v1::Notice notice;
  if (!payload.has_value() || !notice.ParseFromString(std::string(*payload)) || notice.kind() == notice.KIND_UNSPECIFIED) {
    return std::nullopt;
  }
  return notice;
}

grpc::Status ToGrpc(const absl::Status& status) {
  std::string details;
  if (const absl::optional<absl::Cord> notice = status.GetPayload(kNoticeType)) details = std::string(*notice);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()), details);
}

absl::Status FromGrpc(const grpc::Status& status) {
  absl::Status out(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  if (!out.ok() && !status.error_details().empty()) out.SetPayload(kNoticeType, absl::Cord(status.error_details()));
  return out;
}

}  // namespace spotinference
