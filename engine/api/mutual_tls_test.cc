// Real connections: who gets through to whom.
#include "engine/api/mutual_tls.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/base/certificate.h"
#include "engine/base/whole_file.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

namespace api = engine::v1;
using Role = CertificateTerms::Role;

// By the system's clock, since TLS goes by it.
CertificateTerms Terms(Role role, std::string name, absl::Duration until = absl::Hours(24)) {
  const absl::Time now = absl::Now();
  return {role, std::move(name), now - absl::Hours(48), now + until, kMachineHost};
}

struct Fleet {
  Fleet() : authority{NewPrivateKey(), ""} {
    authority.certificate = *SelfSigned(authority.key, Terms(Role::kAuthority, "spotinference:authority"));
    gateway = Client(kGatewayName);
  }

  GatewayIdentity Client(const std::string& name, Role role = Role::kClient) const {
    const std::string key = NewPrivateKey();
    return {authority.certificate, key, *Issue(authority, *CertificateRequest(key), Terms(role, name))};
  }
  std::string Machine(const std::string& key, const CertificateTerms& terms) const {
    return *Issue(authority, *CertificateRequest(key), terms);
  }

  KeyAndCertificate authority;
  GatewayIdentity gateway;
};

class HealthyEngine : public api::Engine::Service {
  grpc::Status Health(grpc::ServerContext*, const api::HealthRequest*, api::HealthReply*) override {
    return grpc::Status::OK;
  }
};

class MutualTlsTest : public testing::Test {
 protected:
  void Begin(const CertificateTerms& terms) {
    const std::string folder = testing::TempDir();
    const MachineFiles files = {folder + "/authority", folder + "/key", folder + "/certificate"};
    ASSERT_TRUE(WriteWholeFile(files.authority, fleet_.authority.certificate).ok());
    ASSERT_TRUE(WriteWholeFile(files.key, machine_key_).ok());
    certificate_file_ = files.certificate;
    Install(fleet_.Machine(machine_key_, terms));
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", MachineCredentials(files), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  void Install(const std::string& certificate) { ASSERT_TRUE(WriteWholeFile(certificate_file_, certificate).ok()); }

  grpc::Status Call(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetSslTargetNameOverride(kMachineHost);
    const auto stub = api::Engine::NewStub(grpc::CreateCustomChannel(address_, credentials, arguments));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    api::HealthReply reply;
    return stub->Health(&context, {}, &reply);
  }
  // A refused handshake, and not a deadline.
  bool IsRefused(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    return Call(credentials).error_code() == grpc::StatusCode::UNAVAILABLE;
  }

  const Fleet fleet_;
  const std::string machine_key_ = NewPrivateKey();
  std::string certificate_file_, address_;
  HealthyEngine service_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(MutualTlsTest, TheGatewayAndItsMachineSpeak) {
  Begin(Terms(Role::kServer, MachineName("org/m:1-2")));
  const grpc::Status status = Call(CredentialsTo(fleet_.gateway, "org/m:1-2"));
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(MutualTlsTest, NobodyElseDialsAMachine) {
  Begin(Terms(Role::kServer, MachineName("m-1")));
  const Fleet stranger;
  GatewayIdentity impostor = stranger.gateway;
  impostor.authority = fleet_.authority.certificate;
  EXPECT_TRUE(IsRefused(CredentialsTo(impostor, "m-1"))) << "of another fleet";
  EXPECT_TRUE(IsRefused(CredentialsTo(fleet_.Client(MachineName("m-2"), Role::kServer), "m-1"))) << "a machine";
  EXPECT_TRUE(IsRefused(CredentialsTo(fleet_.Client(kGatewayName, Role::kServer), "m-1"))) << "no client's";
  EXPECT_TRUE(IsRefused(CredentialsTo(fleet_.Client("spotinference:gateway2"), "m-1"))) << "another name";
  grpc::SslCredentialsOptions nameless;
  nameless.pem_root_certs = fleet_.authority.certificate;
  EXPECT_TRUE(IsRefused(grpc::SslCredentials(nameless)));
  EXPECT_TRUE(IsRefused(grpc::InsecureChannelCredentials()));
  EXPECT_TRUE(Call(CredentialsTo(fleet_.gateway, "m-1")).ok());
}

TEST_F(MutualTlsTest, NobodyElsePassesForAMachine) {
  Begin(Terms(Role::kServer, MachineName("m-1")));
  EXPECT_TRUE(IsRefused(CredentialsTo(fleet_.gateway, "m-2"))) << "it is at another one's address";
  EXPECT_TRUE(IsRefused(CredentialsTo(fleet_.gateway, "m-")));
  const Fleet stranger;
  GatewayIdentity believer = fleet_.gateway;
  believer.authority = stranger.authority.certificate;
  EXPECT_TRUE(IsRefused(CredentialsTo(believer, "m-1"))) << "of another fleet";
}

TEST_F(MutualTlsTest, AGatewaysCertificateIsNoMachines) {
  Begin(Terms(Role::kClient, MachineName("m-1")));
  EXPECT_TRUE(IsRefused(CredentialsTo(fleet_.gateway, "m-1")));
}

TEST_F(MutualTlsTest, AnExpiredCertificateIsReplacedWhileTheServerRuns) {
  Begin(Terms(Role::kServer, MachineName("m-1"), -absl::Hours(1)));
  EXPECT_TRUE(IsRefused(CredentialsTo(fleet_.gateway, "m-1")));
  EXPECT_TRUE(Call(CredentialsToAnyone(fleet_.gateway)).ok()) << "to be renewed";
  const Fleet stranger;
  EXPECT_TRUE(IsRefused(CredentialsToAnyone(stranger.gateway)));
  Install(fleet_.Machine(machine_key_, Terms(Role::kServer, MachineName("m-1"))));
  while (!Call(CredentialsTo(fleet_.gateway, "m-1")).ok()) {  // within a second; else the test's own time runs out
  }
}

}  // namespace
}  // namespace spotinference
