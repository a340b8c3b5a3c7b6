// How a machine becomes known, and stays so: the fleet's side and the machine's, over real connections.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "engine/api/engine.grpc.pb.h"
#include "engine/api/identity.grpc.pb.h"
#include "engine/api/mutual_tls.h"
#include "engine/base/certificate.h"
#include "engine/base/clock.h"
#include "engine/base/whole_file.h"
#include "engine/server/identity_service.h"
#include "engine/server/machine_identity.h"
#include "fleet/identity/authority.h"
#include "fleet/probe/grpc_probe.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

namespace api = engine::v1;
namespace fs = std::filesystem;

// The system's, moved: TLS itself goes by the system's.
class MovedClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now() + now_moved; }
  absl::Duration Elapsed() const override { return RealClock().Elapsed(); }
  absl::Duration now_moved;
};

class ServingEngine : public api::Engine::Service {
  grpc::Status Handshake(grpc::ServerContext*, const api::HandshakeRequest* request,
                         api::HandshakeReply* reply) override {
    reply->set_api_version(request->api_version());
    return grpc::Status::OK;
  }
  grpc::Status Health(grpc::ServerContext*, const api::HealthRequest*, api::HealthReply* reply) override {
    reply->set_state(api::HealthReply::STATE_SERVING);
    return grpc::Status::OK;
  }
};

// A machine as its boot script and its engine make it, on loopback.
class Machine {
 public:
  Machine(std::string folder, const std::string& authority, const std::string& token) : folder_(std::move(folder)) {
    fs::create_directories(folder_);
    EXPECT_TRUE(WriteWholeFile(folder_ + "/authority.pem", authority).ok());
    EXPECT_TRUE(WriteWholeFile(folder_ + "/token", token).ok());
    Start();
  }

  // Again, with the same disk and at another address.
  void Start() {
    server_.reset();
    identity_ = std::make_unique<MachineIdentity>(*MachineIdentity::Open(folder_, absl::Now()));
    identity_service_ = CreateIdentityService(*identity_, [this] { ++heard_; });
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", MachineCredentials(identity_->files()), &port);
    builder.RegisterService(&engine_);
    builder.RegisterService(identity_service_.get());
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }

  const std::string& address() const { return address_; }
  bool has_token() const { return fs::exists(folder_ + "/token"); }
  std::string certificate() const { return *ReadWholeFile(folder_ + "/certificate.pem", kMaxCertificateBytes); }
  int heard() const { return heard_; }  // calls about its identity

 private:
  const std::string folder_;
  std::string address_;
  std::atomic<int> heard_ = 0;
  std::unique_ptr<MachineIdentity> identity_;
  std::unique_ptr<grpc::Service> identity_service_;
  ServingEngine engine_;
  std::unique_ptr<grpc::Server> server_;
};

class EnrolmentTest : public testing::Test {
 protected:
  EnrolmentTest()
      : folder_(testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name()) {
    Restart();
  }

  // Of the fleet's process.
  void Restart() {
    probe_.reset();
    authority_.reset();
    authority_ = *Authority::Open(folder_ + "/fleet", clock_, /*is_new=*/true);
    probe_ = NewGrpcProbe(authority_.get());
  }

  std::unique_ptr<Machine> NewMachine(const std::string& id) {
    return std::make_unique<Machine>(absl::StrCat(folder_, "/", id), authority_->gateway().authority,
                                     *authority_->Expect(id));
  }

  absl::Status Ask(const std::string& id, const Machine& machine) {
    const Endpoint endpoint = {.machine_id = id,
                               .address = machine.address(),
                               .token = "",
                               .model_hash = "",
                               .numerics_id = "",
                               .credentials = CredentialsTo(authority_->gateway(), authority_->NameOf(id))};
    absl::Status status;
    absl::Notification answered;
    probe_->Ask(endpoint, absl::Seconds(30), [&](const absl::StatusOr<EngineIdentity>& identity) {
      status = identity.status();
      answered.Notify();
    });
    answered.WaitForNotification();
    return status;
  }
  // Until it is served; a machine takes its certificate up within a second. Else the test's own time runs out.
  void AwaitServed(const std::string& id, const Machine& machine) {
    while (!Ask(id, machine).ok()) {
    }
  }
  // It is asked who it is, twice, so that the first time has come to its end, and never passes for the machine.
  void ExpectRefused(const std::string& id, const Machine& machine) {
    const std::string before = machine.certificate();
    const int heard = machine.heard();
    while (machine.heard() < heard + 2) EXPECT_TRUE(absl::IsUnavailable(Ask(id, machine)));
    EXPECT_EQ(machine.certificate(), before);
  }

  const std::string folder_;
  MovedClock clock_;
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<Probe> probe_;
};

TEST_F(EnrolmentTest, AMachineEnrolsOnceAndComesBackByItsKey) {
  const std::unique_ptr<Machine> machine = NewMachine("m-1");
  EXPECT_TRUE(absl::IsUnavailable(Ask("m-1", *machine))) << "it has no certificate yet";
  AwaitServed("m-1", *machine);
  while (machine->has_token()) {  // it goes right after the certificate has come
  }
  const std::string first = machine->certificate();

  clock_.now_moved = -Authority::kSlack / 2 - absl::Minutes(1);  // a reason to renew
  while (machine->certificate() == first) EXPECT_TRUE(Ask("m-1", *machine).ok()) << "renewed while it serves";

  Restart();
  machine->Start();
  AwaitServed("m-1", *machine);
}

TEST_F(EnrolmentTest, ARestoredMachineWithAnOldCertificateIsWantedOrNot) {
  clock_.now_moved = -absl::Hours(30);
  Restart();  // an authority of yesterday
  const std::unique_ptr<Machine> machine = NewMachine("m-1");
  while (machine->has_token()) EXPECT_FALSE(Ask("m-1", *machine).ok()) << "what it gets is over already";
  machine->Start();
  clock_.now_moved = absl::ZeroDuration();
  Restart();
  AwaitServed("m-1", *machine);

  authority_->Forget("m-1");
  Restart();
  const std::string last = machine->certificate();
  clock_.now_moved = -Authority::kSlack / 2 - absl::Minutes(1);
  const int heard = machine->heard();
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(Ask("m-1", *machine).ok()) << "it has nobody's name";
  EXPECT_EQ(machine->certificate(), last) << "and it gets no other certificate";
  EXPECT_EQ(machine->heard(), heard) << "nobody asks it for a request";
}

TEST_F(EnrolmentTest, AClockMayStepBackByMinutesOnceItHasCertified) {
  clock_.now_moved = Authority::kSlack - absl::Minutes(1);
  Restart();
  const std::unique_ptr<Machine> machine = NewMachine("m-1");
  AwaitServed("m-1", *machine);
}

TEST_F(EnrolmentTest, AnotherMachineAtTheAddressIsNotTheOne) {
  const std::unique_ptr<Machine> first = NewMachine("m-1"), second = NewMachine("m-2");
  ExpectRefused("m-2", *first);
  AwaitServed("m-1", *first);
  ExpectRefused("m-2", *first);
  AwaitServed("m-2", *second);
  EXPECT_TRUE(absl::IsUnavailable(Ask("m-1", *second)));
}

// Whoever answers at a machine's address, and shows a certificate of its own making.
class Impostor : public api::Identity::Service {
 public:
  Impostor() {
    const std::string key = NewPrivateKey();
    const std::string certificate =
        *SelfSigned(key, {CertificateTerms::Role::kServer, MachineName("m-1"), absl::Now() - absl::Hours(1),
                          absl::Now() + absl::Hours(1), kMachineHost});
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs.push_back({key, certificate});
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address = absl::StrCat("127.0.0.1:", port);
  }

  std::string address;
  absl::Notification asked;
  std::string authorization;  // that it was shown, once it is asked

 private:
  grpc::Status Prove(grpc::ServerContext* context, const api::ProveRequest*, api::ProveReply*) override {
    if (!asked.HasBeenNotified()) {
      for (const auto& [name, value] : context->client_metadata()) {
        if (name == "authorization") authorization = std::string(value.data(), value.size());
      }
      asked.Notify();
    }
    return grpc::Status::OK;
  }

  std::unique_ptr<grpc::Server> server_;
};

TEST_F(EnrolmentTest, AnImpostorIsToldNothing) {
  ASSERT_TRUE(authority_->Expect("m-1").ok());
  Impostor impostor;
  Endpoint endpoint;
  endpoint.machine_id = "m-1";
  endpoint.address = impostor.address;
  endpoint.token = "a token of the engine's";
  endpoint.credentials = CredentialsTo(authority_->gateway(), "m-1");
  absl::Notification answered;
  probe_->Ask(endpoint, absl::Seconds(30), [&](const absl::StatusOr<EngineIdentity>& identity) {
    EXPECT_TRUE(absl::IsUnavailable(identity.status())) << identity.status();
    answered.Notify();
  });
  answered.WaitForNotification();
  impostor.asked.WaitForNotification();
  EXPECT_EQ(impostor.authorization, "");
}

TEST_F(EnrolmentTest, AMachineThatIsBoughtAnewIsNotTheOneBeforeIt) {
  const std::unique_ptr<Machine> before = NewMachine("m-1");
  AwaitServed("m-1", *before);
  ASSERT_TRUE(authority_->Expect("m-1").ok());
  ExpectRefused("m-1", *before);
}

TEST_F(EnrolmentTest, AStolenTokenIsOfNoUseOnceItIsUsed) {
  const std::string token = *authority_->Expect("m-1");
  const std::string authority = authority_->gateway().authority;
  const Machine machine(folder_ + "/m-1", authority, token), thief(folder_ + "/thief", authority, token);
  AwaitServed("m-1", machine);
  Restart();  // so that it asks again who it is
  ExpectRefused("m-1", thief);
}

}  // namespace
}  // namespace spotinference::fleet
