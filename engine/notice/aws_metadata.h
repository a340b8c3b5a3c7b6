// EC2's instance metadata service, version 2: the notice of a spot interruption, and the recommendation to rebalance.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
#ifndef ENGINE_NOTICE_AWS_METADATA_H_
#define ENGINE_NOTICE_AWS_METADATA_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/clock.h"
#include "engine/notice/metadata_notice.h"
#include "engine/notice/metadata_source.h"

namespace spotinference {

inline constexpr char kAwsMetadataUrl[] = "http://169.254.169.254";

// `clock` outlives it.
MetadataService AwsMetadata(std::string base_url, const Clock& clock);

// {"action":"terminate","time":"2017-09-18T08:22:00Z"}. An action that is not known is a stop all the same.
// INVALID_ARGUMENT: another form.
absl::StatusOr<MetadataNotice> ParseInstanceAction(absl::string_view json);

// {"noticeTime":"2020-10-27T08:22:00Z"}: the machine is at risk since then.
absl::StatusOr<MetadataNotice> ParseRebalance(absl::string_view json);

}  // namespace spotinference

#endif  // ENGINE_NOTICE_AWS_METADATA_H_
