#include "fleet/identity/authority.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "engine/base/whole_file.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

namespace fs = std::filesystem;

// The wall clock may step; the other one never does.
class SteppingClock : public FakeClock {
 public:
  absl::Time Now() const override { return FakeClock::Now() + step; }
  absl::Duration step;
};

class AuthorityTest : public testing::Test {
 protected:
  AuthorityTest()
      : folder_(testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name()) {
    Reopen();
  }
  void Reopen() {
    authority_.reset();
    auto opened = Authority::Open(folder_, clock_, /*is_new=*/true);
    ASSERT_TRUE(opened.ok()) << opened.status();
    authority_ = *std::move(opened);
  }
  std::string Expect(const std::string& id) { return *authority_->Expect(id); }
  absl::Status Certify(const std::string& id, const std::string& key, const std::string& token = "") {
    const absl::StatusOr<std::string> certificate = authority_->Certify(id, *CertificateRequest(key), token);
    if (!certificate.ok()) return certificate.status();
    return CheckIssued(*certificate, key, authority_->gateway().authority);
  }

  const std::string folder_;
  SteppingClock clock_;
  std::unique_ptr<Authority> authority_;
  const std::string key_ = NewPrivateKey(), other_key_ = NewPrivateKey();
};

TEST_F(AuthorityTest, OfAFleetThatHasMachinesIsNotMadeAnew) {
  fs::remove(folder_ + "/authority.pem");
  const auto lost = Authority::Open(folder_, clock_, /*is_new=*/false);
  EXPECT_TRUE(absl::IsFailedPrecondition(lost.status())) << lost.status();
  EXPECT_FALSE(fs::exists(folder_ + "/authority.pem"));
  const auto made = Authority::Open(folder_, clock_, /*is_new=*/true);
  ASSERT_TRUE(made.ok()) << made.status();
  const auto again = Authority::Open(folder_, clock_, /*is_new=*/false);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->gateway().authority, (*made)->gateway().authority);
}

TEST_F(AuthorityTest, ATokenIsGoodOnceAndThenTheKey) {
  const std::string token = Expect("org/m:1-1");
  EXPECT_GE(token.size(), 64);
  EXPECT_TRUE(Certify("org/m:1-1", key_, token).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Certify("org/m:1-1", other_key_, token))) << "used";
  EXPECT_TRUE(Certify("org/m:1-1", key_).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Certify("org/m:1-1", other_key_)));
}

TEST_F(AuthorityTest, ATokenIsOneMachinesAlone) {
  const std::string token = Expect("m-1"), other = Expect("m-2");
  EXPECT_NE(token, other);
  for (const std::string& wrong : {other, std::string(), token + "0", token.substr(1)}) {
    EXPECT_TRUE(absl::IsPermissionDenied(Certify("m-1", key_, wrong)));
  }
  EXPECT_TRUE(absl::IsNotFound(Certify("m-3", key_, token)));
  EXPECT_TRUE(Certify("m-1", key_, token).ok()) << "a wrong try costs nothing";
}

TEST_F(AuthorityTest, ATokenGrowsOld) {
  const std::string token = Expect("m-1");
  clock_.Advance(Authority::kTokenLife);
  EXPECT_TRUE(absl::IsPermissionDenied(Certify("m-1", key_, token)));
  EXPECT_TRUE(authority_->ExpectAgain("m-1").ok()) << "the machine starts again";
  Reopen();
  EXPECT_TRUE(Certify("m-1", key_, token).ok());
  EXPECT_TRUE(authority_->ExpectAgain("m-1").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Certify("m-1", other_key_, token))) << "used, whatever starts again";
  EXPECT_TRUE(absl::IsNotFound(authority_->ExpectAgain("m-2")));
}

TEST_F(AuthorityTest, WhatIsKnownOutlivesTheProcess) {
  const std::string authority = authority_->gateway().authority, gateway_key = authority_->gateway().key;
  const std::string token = Expect("m-1"), used = Expect("m-2");
  ASSERT_TRUE(Certify("m-2", key_, used).ok());
  authority_->Forget("m-3");
  Reopen();
  EXPECT_EQ(authority_->gateway().authority, authority);
  EXPECT_NE(authority_->gateway().key, gateway_key) << "it is nowhere written";
  EXPECT_TRUE(Certify("m-1", key_, token).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Certify("m-2", other_key_, used)));
  EXPECT_TRUE(Certify("m-2", key_).ok()) << "a restored machine, whose certificate is long over";
}

TEST_F(AuthorityTest, ABoughtMachineIsNotTheOneBeforeIt) {
  const std::string first = Expect("m-1");
  ASSERT_TRUE(Certify("m-1", key_, first).ok());
  const std::string name = authority_->NameOf("m-1");
  Reopen();
  EXPECT_EQ(authority_->NameOf("m-1"), name);
  const std::string second = Expect("m-1");
  EXPECT_TRUE(absl::IsPermissionDenied(Certify("m-1", key_, first)));
  EXPECT_NE(authority_->NameOf("m-1"), name) << "its certificate is good for a while";
  authority_->NoteInstalled("m-1", name);
  EXPECT_TRUE(authority_->IsDue("m-1")) << "that was the other one";
  EXPECT_TRUE(Certify("m-1", other_key_, second).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Certify("m-1", key_)));
}

TEST_F(AuthorityTest, AForgottenMachineGetsNothing) {
  const std::string token = Expect("m-1");
  ASSERT_TRUE(Certify("m-1", key_, token).ok());
  authority_->Forget("m-1");
  for (int process = 0; process < 2; ++process) {
    EXPECT_TRUE(absl::IsNotFound(Certify("m-1", key_, token)));
    EXPECT_FALSE(authority_->IsDue("m-1"));
    Reopen();
  }
}

TEST_F(AuthorityTest, ACertificateIsDueAtHalfItsLife) {
  EXPECT_FALSE(authority_->IsDue("m-1"));
  const std::string token = Expect("m-1");
  EXPECT_TRUE(authority_->IsDue("m-1"));
  ASSERT_TRUE(Certify("m-1", key_, token).ok());
  EXPECT_TRUE(authority_->IsDue("m-1")) << "the machine may not have got it";
  authority_->NoteInstalled("m-1", authority_->NameOf("m-1"));
  clock_.Advance(Authority::kCertificateLife / 2 - absl::Seconds(1));
  EXPECT_FALSE(authority_->IsDue("m-1"));
  ASSERT_TRUE(authority_->ExpectAgain("m-1").ok());
  EXPECT_TRUE(authority_->IsDue("m-1")) << "it starts again";
  authority_->NoteInstalled("m-1", authority_->NameOf("m-1"));
  clock_.Advance(Authority::kCertificateLife / 2);
  EXPECT_TRUE(authority_->IsDue("m-1"));
  authority_->NoteInstalled("m-1", authority_->NameOf("m-1"));
  Reopen();
  EXPECT_TRUE(authority_->IsDue("m-1")) << "when it ends is not known any more";
}

TEST_F(AuthorityTest, ACertificateIsDueWhenTheClockHasStepped) {
  const std::string token = Expect("m-1");
  for (const absl::Duration step : {Authority::kCertificateLife, -absl::Hours(24 * 365), -Authority::kSlack}) {
    clock_.step = absl::ZeroDuration();
    authority_->NoteInstalled("m-1", authority_->NameOf("m-1"));
    EXPECT_FALSE(authority_->IsDue("m-1"));
    clock_.step = step;
    EXPECT_TRUE(authority_->IsDue("m-1")) << step;
  }
  clock_.step = absl::ZeroDuration();
  authority_->NoteInstalled("m-1", authority_->NameOf("m-1"));
  clock_.step = -absl::Minutes(1);
  EXPECT_FALSE(authority_->IsDue("m-1"));
}

TEST_F(AuthorityTest, WhatCannotBeReadIsNotForgotten) {
  const std::string token = Expect("m-1");
  fs::create_directory(folder_ + "/machines/unreadable");
  EXPECT_TRUE(absl::IsFailedPrecondition(Authority::Open(folder_, clock_, /*is_new=*/true).status()));
  fs::remove(folder_ + "/machines/unreadable");
  WriteWholeFile(folder_ + "/machines/half.1.tmp", "m-2").IgnoreError();
  Reopen();
  EXPECT_TRUE(Certify("m-1", key_, token).ok());
}

TEST_F(AuthorityTest, FilesAreNobodyElses) {
  const std::string token = Expect("m-1");
  struct stat file;
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    if (!entry.is_regular_file()) continue;
    ASSERT_EQ(stat(entry.path().c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777, 0600u) << entry.path();
    EXPECT_EQ(ReadWholeFile(entry.path(), 16 << 10)->find(token), std::string::npos) << "only its hash";
  }
  ASSERT_EQ(stat(folder_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0700u);
}

TEST_F(AuthorityTest, ADamagedMachineIsUnknownAndADamagedAuthorityAnError) {
  const std::string token = Expect("m-1");
  for (const auto& entry : fs::directory_iterator(folder_ + "/machines")) {
    const std::string text = *ReadWholeFile(entry.path(), 1000);
    for (const std::string& damaged : {text.substr(0, text.size() - 2), std::string(), "m-2" + text.substr(3),
                                       text + "more\n", text.substr(0, 10)}) {
      ASSERT_TRUE(WriteWholeFile(entry.path(), damaged).ok());
      Reopen();
      EXPECT_TRUE(absl::IsNotFound(Certify("m-1", key_, token)));
      EXPECT_TRUE(absl::IsNotFound(Certify("m-2", key_, token)));
    }
  }
  ASSERT_TRUE(WriteWholeFile(folder_ + "/authority.pem", key_).ok());
  const absl::Status status = Authority::Open(folder_, clock_, /*is_new=*/true).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(std::string(status.message()).find("BEGIN"), std::string::npos);
}

TEST_F(AuthorityTest, NoOtherTextIsAnId) {
  for (const std::string& id : {std::string(), std::string("m-1\nkey"), std::string("m,URI:x"), std::string("m 1"),
                                std::string(513, 'm'), std::string("m\0", 2)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(authority_->Expect(id).status())) << id;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(authority_->Certify("m-1", "no request", "").status()));
}

}  // namespace
}  // namespace spotinference::fleet
