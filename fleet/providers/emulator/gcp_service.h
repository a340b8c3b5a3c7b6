// Compute Engine's REST API v1 and the Cloud Billing Catalog, as Google's discovery documents have them.
#ifndef FLEET_PROVIDERS_EMULATOR_GCP_SERVICE_H_
#define FLEET_PROVIDERS_EMULATOR_GCP_SERVICE_H_

#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/cloud_model.h"

namespace spotinference::fleet {

// How access tokens begin.
inline constexpr char kEmulatedGcpToken[] = "ya29";

// Paths under /compute/v1/projects/PROJECT and /v1/services/…/skus, with a token that is good. An operation is
// done when it is first looked at; want of stock is told there.
FakeHttpReply AnswerGcp(CloudModel& model, const FakeHttpRequest& request);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_GCP_SERVICE_H_
