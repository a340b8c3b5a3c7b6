// EC2's Query API (version 2016-11-15) and the Price List's GetProducts, as botocore's models have them.
#ifndef FLEET_PROVIDERS_EMULATOR_EC2_SERVICE_H_
#define FLEET_PROVIDERS_EMULATOR_EC2_SERVICE_H_

#include <cstdint>
#include <string>

#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/aws_signer.h"
#include "fleet/providers/emulator/cloud_model.h"

namespace spotinference::fleet {

std::string Ec2MachineId(int64_t number);  // "i-…"

// POST to "/". Signatures are checked, and that they are not older than five minutes by the emulator's clock.
FakeHttpReply AnswerEc2(CloudModel& model, const FakeHttpRequest& request);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_EC2_SERVICE_H_
