// EC2's Query API (version 2016-11-15) and the Price List's GetProducts, as botocore's models have them.
#ifndef FLEET_PROVIDERS_EMULATOR_EC2_SERVICE_H_
#define FLEET_PROVIDERS_EMULATOR_EC2_SERVICE_H_

#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/cloud_model.h"

namespace spotinference::fleet {

// The key that is known, with every right.
inline constexpr char kEmulatedAwsKey[] = "AKIDEMULATOR";
inline constexpr char kEmulatedAwsSecret[] = "emulated";

// POST to "/". Signatures are checked, and that they are not older than five minutes by the emulator's clock.
FakeHttpReply AnswerEc2(CloudModel& model, const FakeHttpRequest& request);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_EC2_SERVICE_H_
