// Prompts go to the machine that is meant and to no other one.
#include "gateway/session/engine_client.h"

#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "engine/api/mutual_tls.h"
#include "engine/base/certificate.h"
#include "engine/base/whole_file.h"
#include "gateway/session/fake_engine.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using Role = CertificateTerms::Role;

class Handler : public EngineCallHandler {
 public:
  void OnEvent(const engine::v1::GenerateEvent&) override {}
  void OnEnd(const absl::Status& status) override {
    end_ = status;
    ended_.Notify();
  }
  absl::Status AwaitEnd() {
    ended_.WaitForNotification();
    return end_;
  }

 private:
  absl::Status end_;
  absl::Notification ended_;
};

CertificateTerms Terms(Role role, const std::string& name) {
  return {role, name, absl::Now() - absl::Hours(1), absl::Now() + absl::Hours(1), kMachineHost};
}

TEST(EngineClientTest, AMachineThatHasAnothersAddressHearsNothing) {
  const std::string key = NewPrivateKey(), machine_key = NewPrivateKey(), gateway_key = NewPrivateKey();
  const KeyAndCertificate authority = {key, *SelfSigned(key, Terms(Role::kAuthority, "spotinference:authority"))};
  const auto issue = [&](const std::string& to, Role role, const std::string& name) {
    return *Issue(authority, *CertificateRequest(to), Terms(role, name));
  };
  const std::string folder = testing::TempDir();
  const MachineFiles files = {folder + "/authority", folder + "/key", folder + "/certificate"};
  ASSERT_TRUE(WriteWholeFile(files.authority, authority.certificate).ok());
  ASSERT_TRUE(WriteWholeFile(files.key, machine_key).ok());
  ASSERT_TRUE(WriteWholeFile(files.certificate, issue(machine_key, Role::kServer, MachineName("m-1"))).ok());
  const GatewayIdentity gateway = {authority.certificate, gateway_key,
                                   issue(gateway_key, Role::kClient, kGatewayName)};
  FakeEngine engine(MachineCredentials(files));
  EngineClient client;
  for (const std::string id : {"m-1", "m-2", "m-1"}) {
    const auto handler = std::make_shared<Handler>();
    fleet::Endpoint endpoint;
    endpoint.machine_id = id;
    endpoint.address = engine.address();
    endpoint.credentials = CredentialsTo(gateway, id);
    const int calls = engine.calls();
    const std::shared_ptr<EngineCall> call = client.Generate(endpoint, {}, handler);
    call->Next();
    if (id == "m-1") engine.AwaitCall(0, calls + 1)->End(grpc::Status(grpc::StatusCode::ABORTED, "heard"));
    const absl::Status end = handler->AwaitEnd();
    EXPECT_EQ(end.code(), id == "m-1" ? absl::StatusCode::kAborted : absl::StatusCode::kUnavailable) << end;
  }
  EXPECT_EQ(engine.calls(), 2);
}

}  // namespace
}  // namespace spotinference
