#include "engine/server/notice_sources.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/notice/aws_metadata.h"
#include "engine/notice/azure_metadata.h"
#include "engine/notice/gcp_metadata.h"
#include "engine/notice/metadata_source.h"

namespace spotinference {

absl::StatusOr<NoticeOptions> ParseNoticeOptions(absl::string_view names, const std::string& metadata_url,
                                                 const std::string& machine_name, const Clock& clock) {
  NoticeOptions options;
  const auto url = [&](const char* own) { return metadata_url.empty() ? std::string(own) : metadata_url; };
  const auto watch = [&](MetadataService service) {
    options.metadata.push_back(NewMetadataSource(std::move(service), clock));
  };
  for (const absl::string_view name : absl::StrSplit(names, ',')) {
    if (name == "aws") {
      watch(AwsMetadata(url(kAwsMetadataUrl), clock));
    } else if (name == "gcp") {
      watch(GcpMetadata(url(kGcpMetadataUrl)));
    } else if (name == "azure") {
      watch(AzureMetadata(url(kAzureMetadataUrl), machine_name));
    } else if (name == "sigterm") {
      options.sigterm = true;
    } else if (name == "local") {
      options.local = true;
    } else if (names != "none") {
      return absl::InvalidArgumentError(absl::StrCat(
          "--notice '", name, "': it takes aws, gcp, azure, sigterm and local, with commas between, or none"));
    }
  }
  return options;
}

}  // namespace spotinference
