// Microsoft Entra ID's token endpoint for clients (v2.0), and App Service's managed identity, as msal and Microsoft's
// documentation have them.
#ifndef FLEET_PROVIDERS_EMULATOR_AZURE_TOKENS_H_
#define FLEET_PROVIDERS_EMULATOR_AZURE_TOKENS_H_

#include "absl/strings/string_view.h"
#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/cloud_model.h"
#include "fleet/providers/emulator/trusted_keys.h"

namespace spotinference::fleet {

bool IsAzureTokens(absl::string_view target);

// POST /TENANT/oauth2/v2.0/token for the client secret "emulated", for an assertion of the client's certificate, which
// is trusted as the client's, or for a JWT of another trusted issuer (a federated credential). GET /msi/token for the
// header "emulated". A token is "eyJ.WHOSE.…", in base64: "CLIENT@TENANT", or "identity:CLIENT".
FakeHttpReply AnswerAzureTokens(CloudModel& model, const TrustedKeys& keys, const FakeHttpRequest& request);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_AZURE_TOKENS_H_
