// Hyperstack's Infrahub API, as its documentation and SDK have it.
#ifndef FLEET_PROVIDERS_EMULATOR_HYPERSTACK_SERVICE_H_
#define FLEET_PROVIDERS_EMULATOR_HYPERSTACK_SERVICE_H_

#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/cloud_model.h"

namespace spotinference::fleet {

// Paths under /v1/core and /v1/pricebook. Any api_key but "" and "wrong" is good. A zone is an environment; one page
// has at most 100 rows, 10 where nobody says.
FakeHttpReply AnswerHyperstack(CloudModel& model, const FakeHttpRequest& request);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_HYPERSTACK_SERVICE_H_
