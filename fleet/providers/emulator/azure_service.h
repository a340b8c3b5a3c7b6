// Azure's Resource Manager for virtual machines, disks and network interfaces, and the Retail Prices API, as
// azure-mgmt-compute and Microsoft's documentation have them.
#ifndef FLEET_PROVIDERS_EMULATOR_AZURE_SERVICE_H_
#define FLEET_PROVIDERS_EMULATOR_AZURE_SERVICE_H_

#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/cloud_model.h"

namespace spotinference::fleet {

// How access tokens begin.
inline constexpr char kEmulatedAzureToken[] = "eyJ";

// Want of capacity is told by the operation, which is done when it is first looked at.
FakeHttpReply AnswerAzure(CloudModel& model, const FakeHttpRequest& request);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_AZURE_SERVICE_H_
