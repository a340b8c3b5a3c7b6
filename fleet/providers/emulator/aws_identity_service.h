// Who gives keys at the emulated AWS: the Security Token Service (version 2011-06-15), IAM Identity Center's portal and
// its OIDC service, the services of ECS's and EKS's containers; as botocore's models have them.
#ifndef FLEET_PROVIDERS_EMULATOR_AWS_IDENTITY_SERVICE_H_
#define FLEET_PROVIDERS_EMULATOR_AWS_IDENTITY_SERVICE_H_

#include "engine/base/fake_http_server.h"
#include "fleet/providers/emulator/cloud_model.h"

namespace spotinference::fleet {

// What callers show: a web identity's token, SSO's access token and what renews it (the client's id and secret, too),
// the authorization of a pod of EKS.
inline constexpr char kEmulatedWebIdentity[] = "emulated-web-identity";
inline constexpr char kEmulatedSsoToken[] = "emulated-sso";
inline constexpr char kEmulatedSsoRefresh[] = "emulated-refresh";
inline constexpr char kEmulatedPodToken[] = "emulated-pod";

bool IsAwsIdentityRequest(const FakeHttpRequest& request);

// A key is kEmulatedAwsRoleKey, how it came about, and the role's name: ROLE…BY… with the end of the caller's key,
// WEB…, SSO…, TASK, POD. The role "refused" is given to nobody, "partner" with the external id "emulated" alone.
FakeHttpReply AnswerAwsIdentity(CloudModel& model, const FakeHttpRequest& request);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_AWS_IDENTITY_SERVICE_H_
