// The machine's side of its enrolment, over real connections where they matter.
#include "engine/server/machine_identity.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/api/identity.grpc.pb.h"
#include "engine/base/certificate.h"
#include "engine/base/whole_file.h"
#include "engine/server/identity_service.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

namespace api = engine::v1;
namespace fs = std::filesystem;
using Role = CertificateTerms::Role;

class MachineIdentityTest : public testing::Test {
 protected:
  MachineIdentityTest()
      : folder_(testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name()),
        authority_{NewPrivateKey(), ""} {
    authority_.certificate = *SelfSigned(authority_.key, Terms(Role::kAuthority, "spotinference:authority"));
    fs::create_directories(folder_);
    Write("authority.pem", authority_.certificate);
    Write("token", "a token\n");
  }

  static CertificateTerms Terms(Role role, const std::string& name) {
    return {role, name, absl::Now() - absl::Hours(1), absl::Now() + absl::Hours(1)};
  }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteWholeFile(folder_ + "/" + name, text).ok());
  }
  absl::StatusOr<std::string> Read(const std::string& name) { return ReadWholeFile(folder_ + "/" + name, 10000); }
  absl::StatusOr<MachineIdentity> Open() { return MachineIdentity::Open(folder_, absl::Now()); }
  std::string Issued(const std::string& request) {
    return *Issue(authority_, request, Terms(Role::kServer, MachineName("m-1")));
  }

  const std::string folder_;
  KeyAndCertificate authority_;
};

TEST_F(MachineIdentityTest, MakesItsKeyOnceAndUsesItsTokenUp) {
  MachineIdentity first = *Open();
  const std::string key = *Read("key.pem");
  struct stat file;
  ASSERT_EQ(stat((folder_ + "/key.pem").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  MachineIdentity::Proof proof = *first.Prove();
  EXPECT_EQ(proof.token, "a token");
  EXPECT_FALSE(CheckIssued(*Read("certificate.pem"), key, authority_.certificate).ok()) << "its own for now";

  MachineIdentity second = *Open();  // it starts again before it has enrolled
  EXPECT_EQ(*Read("key.pem"), key);
  proof = *second.Prove();
  EXPECT_EQ(proof.token, "a token");
  ASSERT_TRUE(second.Install(Issued(proof.request)).ok());
  EXPECT_TRUE(CheckIssued(*Read("certificate.pem"), key, authority_.certificate).ok());
  EXPECT_FALSE(fs::exists(folder_ + "/token"));

  const std::string certificate = *Read("certificate.pem");
  const MachineIdentity third = *Open();
  EXPECT_EQ(*Read("certificate.pem"), certificate);
  proof = *third.Prove();
  EXPECT_EQ(proof.token, "");
  EXPECT_TRUE(RequestKeyHash(proof.request).ok());
}

TEST_F(MachineIdentityTest, TakesNoCertificateButItsOwn) {
  MachineIdentity identity = *Open();
  const std::string before = *Read("certificate.pem");
  const std::string request = identity.Prove()->request;
  const std::string stranger_key = NewPrivateKey();
  const KeyAndCertificate stranger = {stranger_key, *SelfSigned(stranger_key, Terms(Role::kAuthority, "x"))};
  for (const std::string& wrong :
       {Issued(*CertificateRequest(NewPrivateKey())), *Issue(stranger, request, Terms(Role::kServer, "x")),
        authority_.certificate, std::string(), std::string(100000, 'x')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(identity.Install(wrong)));
  }
  EXPECT_EQ(*Read("certificate.pem"), before);
  EXPECT_TRUE(fs::exists(folder_ + "/token"));
}

TEST_F(MachineIdentityTest, WhatIsDamagedIsMadeAnewOrAnError) {
  ASSERT_TRUE(Open().ok());
  Write("certificate.pem", "damaged");
  EXPECT_TRUE(Open().ok());
  EXPECT_NE(*Read("certificate.pem"), "damaged");
  Write("key.pem", "damaged");
  EXPECT_TRUE(absl::IsFailedPrecondition(Open().status())) << "the fleet would not know another key";
  fs::remove(folder_ + "/authority.pem");
  EXPECT_TRUE(absl::IsFailedPrecondition(Open().status()));
}

TEST_F(MachineIdentityTest, ItsGatewayBringsACertificate) {
  MachineIdentity identity = *Open();
  std::atomic<int> heard = 0;
  const std::unique_ptr<grpc::Service> service = CreateIdentityService(identity, [&] { ++heard; });
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", MachineCredentials(identity.files()), &port);
  builder.RegisterService(service.get());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);

  const std::string key = NewPrivateKey();
  const GatewayIdentity gateway = {authority_.certificate, key,
                                   *Issue(authority_, *CertificateRequest(key), Terms(Role::kClient, kGatewayName))};
  const auto stub = api::Identity::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), CredentialsToAnyone(gateway)));
  api::ProveReply proof;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->Prove(&context, {}, &proof).ok());
  }
  EXPECT_EQ(proof.token(), "a token");
  for (const bool good : {false, true}) {
    grpc::ClientContext context;
    api::InstallRequest request;
    request.set_certificate(good ? Issued(proof.request()) : "none");
    api::InstallReply reply;
    EXPECT_EQ(stub->Install(&context, request, &reply).error_code(),
              good ? grpc::StatusCode::OK : grpc::StatusCode::INVALID_ARGUMENT);
  }
  EXPECT_EQ(heard, 3);
  EXPECT_FALSE(fs::exists(folder_ + "/token"));
}

}  // namespace
}  // namespace spotinference
