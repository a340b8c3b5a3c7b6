// Compute Engine's metadata server: preempted, by a GET that hangs until it changes.
// https://cloud.google.com/compute/docs/instances/create-use-preemptible#detecting_if_a_vm_was_preempted,
// https://cloud.google.com/compute/docs/metadata/querying-metadata (wait_for_change, last_etag)
#ifndef ENGINE_NOTICE_GCP_METADATA_H_
#define ENGINE_NOTICE_GCP_METADATA_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/notice/metadata_notice.h"
#include "engine/notice/metadata_source.h"

namespace spotinference {

inline constexpr char kGcpMetadataUrl[] = "http://metadata.google.internal";

MetadataService GcpMetadata(std::string base_url);

// "TRUE" or "FALSE". INVALID_ARGUMENT: anything else.
absl::StatusOr<bool> ParsePreempted(absl::string_view body);

}  // namespace spotinference

#endif  // ENGINE_NOTICE_GCP_METADATA_H_
