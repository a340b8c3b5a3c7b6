// Who signs a request to the emulated AWS.
#ifndef FLEET_PROVIDERS_EMULATOR_AWS_SIGNER_H_
#define FLEET_PROVIDERS_EMULATOR_AWS_SIGNER_H_

#include <string>

#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/cloud_model.h"

namespace spotinference::fleet {

// How the keys that are known begin, with every right: a person's, and a role's, which comes with a session token. What
// a key has beside it says who it is.
inline constexpr char kEmulatedAwsKey[] = "AKIDEMULATOR";
inline constexpr char kEmulatedAwsRoleKey[] = "ASIAEMULATOR";
inline constexpr char kEmulatedAwsSecret[] = "emulated";
inline constexpr char kEmulatedAwsToken[] = "IQoJ";  // how session tokens begin; what the key's end is follows

struct AwsSigner {
  std::string region;  // of the signature's scope; "": the signature is none of ours
  std::string key;
  bool is_late = false;
  bool has_expired = false;  // its session token, which may also be another key's
};

// By the emulator's clock. Of a POST to "/".
AwsSigner AwsSignerOf(CloudModel& model, const FakeHttpRequest& request);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_AWS_SIGNER_H_
