// What shows who one is, to be exchanged for Google's token: the credential_source of a file of type external_account.
// https://google.aip.dev/auth/4117
#ifndef FLEET_PROVIDERS_GCP_GCP_SUBJECT_TOKEN_H_
#define FLEET_PROVIDERS_GCP_GCP_SUBJECT_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "fleet/providers/cloud/command.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {

// Of a file, an address, a program (only where GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES is 1) or AWS; never kept, as
// files and programs renew theirs. UNAUTHENTICATED: it has none, or is none of these. UNAVAILABLE: it does not answer.
absl::StatusOr<std::string> SubjectToken(const Json& file, const Clock& clock, Commands& commands, CloudHttp& http);

// In the text of a file or an answer, by `format` of the credential_source. UNAUTHENTICATED: there is none.
absl::StatusOr<std::string> SubjectTokenIn(absl::string_view text, const Json& format);

// In what a program wrote, or in its output_file. INVALID_ARGUMENT: it is no answer of one. UNAUTHENTICATED: it says
// that it has none, or that one is over by `now`.
// https://google.aip.dev/auth/4117, "Determining the subject token in executable-sourced credentials"
absl::StatusOr<std::string> ExecutableTokenIn(absl::string_view text, absl::Time now);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_GCP_GCP_SUBJECT_TOKEN_H_
