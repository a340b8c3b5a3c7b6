// Google's token services: OAuth2's token endpoint, the Security Token Service and the IAM Credentials API, as their
// discovery documents and RFC 6749 and 8693 have them.
#ifndef FLEET_PROVIDERS_EMULATOR_GCP_TOKENS_H_
#define FLEET_PROVIDERS_EMULATOR_GCP_TOKENS_H_

#include "absl/strings/string_view.h"
#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/cloud_model.h"
#include "fleet/providers/emulator/trusted_keys.h"

namespace spotinference::fleet {

bool IsGcpTokens(absl::string_view target);

// POST /token, /v1/token, /v1/oauthtoken and /v1/projects/-/serviceAccounts/EMAIL:generateAccessToken. A token is
// "ya29.WHOSE.…", in base64: a service account's email, "user:CLIENT" or "workforce:CLIENT" for the refresh token
// "emulated", "subject:SUB" of a trusted issuer's JWT, "aws:KEY". The signature of a service account of
// whom no key is known is not checked.
FakeHttpReply AnswerGcpTokens(CloudModel& model, const TrustedKeys& keys, const FakeHttpRequest& request);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_GCP_TOKENS_H_
