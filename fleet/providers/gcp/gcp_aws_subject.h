// Who one is at AWS, shown to Google: a signed request for one's identity there, which Google sends.
// https://google.aip.dev/auth/4117, "Determining the subject token in AWS"
#ifndef FLEET_PROVIDERS_GCP_GCP_AWS_SUBJECT_H_
#define FLEET_PROVIDERS_GCP_GCP_AWS_SUBJECT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {

// For the audience of a file of type external_account whose credential_source is AWS's. The key is AWS_ACCESS_KEY_ID's,
// else that of the instance's role, whose metadata service the file names; the region AWS_REGION's or
// AWS_DEFAULT_REGION's, else the instance's. As google-auth has it, of AWS's other places none. UNAUTHENTICATED,
// UNAVAILABLE: as SubjectToken.
absl::StatusOr<std::string> AwsSubjectToken(const Json& file, absl::Time now, CloudHttp& http);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_GCP_GCP_AWS_SUBJECT_H_
