// What each kind of file makes of the services' answers, over a clock that stands still. That the services of
// fleet/providers/emulator, and google-auth, take it the same way: fleet/providers/conformance.
#include "fleet/providers/gcp/gcp_credentials.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/fake_clock.h"
#include "engine/base/fake_http_server.h"
#include "fleet/providers/cloud/http.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

constexpr char kStsAnswer[] = R"({"access_token":"federated","expires_in":3599,"token_type":"Bearer"})";
constexpr char kImpersonated[] = R"({"accessToken":"impersonated","expireTime":"2026-01-01T00:30:00Z"})";

class GcpCredentialsTest : public testing::Test {
 protected:
  GcpCredentialsTest() : directory_(testing::TempDir()) {
    setenv("GOOGLE_APPLICATION_CREDENTIALS", Path("adc.json").c_str(), 1);
    setenv("HOME", "/nowhere", 1);
    setenv("GCE_METADATA_HOST", server_.url().substr(7).c_str(), 1);
    for (const char* const name : {"CLOUDSDK_CONFIG", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"}) unsetenv(name);
    Answer("/sts", {.body = kStsAnswer});
    Answer("/sa/a@b:generateAccessToken", {.body = kImpersonated});
    Write("subject", "subject-1\n");
  }

  std::string Path(const std::string& name) const { return absl::StrCat(directory_, "/", name); }
  void Write(const std::string& name, const std::string& text) { std::ofstream(Path(name)) << text; }

  // A file of type external_account; `rest` are more fields.
  void WriteExternal(const std::string& source, const std::string& rest = "") {
    Write("adc.json", absl::StrCat(R"({"type":"external_account","audience":"//iam/p","subject_token_type":)",
                                   R"("urn:ietf:params:oauth:token-type:jwt","token_url":")", server_.url(),
                                   R"(/sts","credential_source":)", source, rest, "}"));
  }
  std::string FileSource() const { return absl::StrCat(R"({"file":")", Path("subject"), R"("})"); }
  std::string Impersonation() const {
    return absl::StrCat(R"(,"service_account_impersonation_url":")", server_.url(), R"(/sa/a@b:generateAccessToken")");
  }

  void Answer(const std::string& target, FakeHttpReply reply) {
    absl::MutexLock lock(&mutex_);
    replies_[target] = std::move(reply);
  }

  std::vector<FakeHttpRequest> Asked() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(asked_, {});
  }

  absl::StatusOr<std::string> Get() { return credentials_.Get(http_); }

  // Its message, which says where the credentials are and has the text, and that it is UNAUTHENTICATED.
  void ExpectRefused(const std::string& text) {
    GcpCredentials credentials(clock_);
    const auto got = credentials.Get(http_);
    EXPECT_TRUE(absl::IsUnauthenticated(got.status())) << got.status();
    EXPECT_TRUE(absl::StrContains(got.status().message(), text)) << got.status();
    EXPECT_TRUE(absl::StrContains(got.status().message(), "GOOGLE_APPLICATION_CREDENTIALS")) << got.status();
  }

  const std::string directory_;
  FakeClock clock_;
  absl::Mutex mutex_;
  std::map<std::string, FakeHttpReply> replies_ ABSL_GUARDED_BY(mutex_);
  std::vector<FakeHttpRequest> asked_ ABSL_GUARDED_BY(mutex_);
  FakeHttpServer server_{[this](const FakeHttpRequest& request) -> FakeHttpReply {
    absl::MutexLock lock(&mutex_);
    asked_.push_back(request);
    const auto reply = replies_.find(request.target);
    return reply == replies_.end() ? FakeHttpReply{.status = 404} : reply->second;
  }};
  CloudHttp http_;
  GcpCredentials credentials_{clock_};
};

TEST_F(GcpCredentialsTest, AFileThatIsNamedHasToBeThere) {
  Answer("/computeMetadata/v1/instance/service-accounts/default/token",
         {.body = R"({"access_token":"machines","expires_in":3599})"});
  setenv("GOOGLE_APPLICATION_CREDENTIALS", Path("gone.json").c_str(), 1);
  ExpectRefused("gone.json");
  Write("adc.json", "no JSON");
  setenv("GOOGLE_APPLICATION_CREDENTIALS", Path("adc.json").c_str(), 1);
  ExpectRefused("no JSON");
  EXPECT_TRUE(Asked().empty());
  unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
  EXPECT_EQ(*Get(), "machines");
}

TEST_F(GcpCredentialsTest, TheLoginOfGcloudIsWhereItsConfigurationIs) {
  WriteExternal(FileSource());
  unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
  setenv("CLOUDSDK_CONFIG", directory_.c_str(), 1);
  Write("application_default_credentials.json", R"({"type":"x"})");
  const auto refused = Get();
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "application_default_credentials.json: credentials of "
                                                            "type 'x' are not understood")) << refused.status();
  setenv("CLOUDSDK_CONFIG", "/nowhere", 1);
  const auto nowhere = Get();
  EXPECT_TRUE(absl::StrContains(nowhere.status().message(), "no Google credentials")) << nowhere.status();
}

TEST_F(GcpCredentialsTest, WhatTheFileHasIsExchangedAndReadAnewEachTime) {
  WriteExternal(FileSource());
  EXPECT_EQ(*Get(), "federated");
  auto asked = Asked();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].method, "POST");
  EXPECT_EQ(asked[0].body,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=%2F%2Fiam%2Fp&scope="
            "https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform&requested_token_type="
            "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&subject_token=subject-1&subject_token_type="
            "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt");
  EXPECT_FALSE(FindHeader(asked[0].headers, "authorization").has_value());
  clock_.Advance(absl::Minutes(50));
  EXPECT_EQ(*Get(), "federated");
  EXPECT_TRUE(Asked().empty());
  Write("subject", "subject-2");
  clock_.Advance(absl::Minutes(6));
  EXPECT_EQ(*Get(), "federated");
  asked = Asked();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_TRUE(absl::StrContains(asked[0].body, "subject_token=subject-2&")) << asked[0].body;
}

TEST_F(GcpCredentialsTest, AClientAndAProjectOfAWorkforcePoolGoAlong) {
  WriteExternal(FileSource(), R"(,"workforce_pool_user_project":"12")");
  EXPECT_TRUE(Get().ok());
  EXPECT_TRUE(absl::EndsWith(Asked()[0].body, "&options=%257B%2522userProject%2522%253A%252212%2522%257D"));
  credentials_.Drop();
  WriteExternal(FileSource(), R"(,"workforce_pool_user_project":"12","client_id":"c","client_secret":"s")");
  EXPECT_TRUE(Get().ok());
  const auto asked = Asked();
  EXPECT_FALSE(absl::StrContains(asked[0].body, "options"));
  EXPECT_EQ(FindHeader(asked[0].headers, "authorization"), "Basic Yzpz");
}

TEST_F(GcpCredentialsTest, AServiceAccountIsImpersonatedUntilItsExpireTime) {
  WriteExternal(FileSource(), absl::StrCat(Impersonation(),
                                           R"(,"service_account_impersonation":{"token_lifetime_seconds":1800})"));
  EXPECT_EQ(*Get(), "impersonated");
  auto asked = Asked();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(FindHeader(asked[1].headers, "authorization"), "Bearer federated");
  EXPECT_EQ(asked[1].body, R"({"delegates":[],"scope":["https://www.googleapis.com/auth/cloud-platform"],)"
                           R"("lifetime":"1800s"})");
  clock_.Advance(absl::Minutes(24));
  EXPECT_TRUE(Get().ok());
  EXPECT_TRUE(Asked().empty());
  clock_.Advance(absl::Minutes(2));
  EXPECT_TRUE(Get().ok());
  EXPECT_EQ(Asked().size(), 2u);
  Answer("/sa/a@b:generateAccessToken",
         {.status = 403, .body = R"({"error":{"code":403,"message":"no right","status":"PERMISSION_DENIED"}})"});
  ExpectRefused("no right");
}

TEST_F(GcpCredentialsTest, OneIsImpersonatedByWhatTheFileHasInside) {
  Answer("/token", {.body = R"({"access_token":"users","expires_in":3599})"});
  Write("adc.json", absl::StrCat(R"({"type":"impersonated_service_account","delegates":["projects/-/x"])",
                                 Impersonation(), R"(,"source_credentials":{"type":"authorized_user","client_id":"c",)",
                                 R"("client_secret":"s","refresh_token":"r","token_uri":")", server_.url(),
                                 R"(/token"}})"));
  EXPECT_EQ(*Get(), "impersonated");
  const auto asked = Asked();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(FindHeader(asked[1].headers, "authorization"), "Bearer users");
  EXPECT_TRUE(absl::StartsWith(asked[1].body, R"({"delegates":["projects/-/x"],)")) << asked[1].body;
  Write("adc.json", absl::StrCat(R"({"type":"impersonated_service_account")", Impersonation(),
                                 R"(,"source_credentials":{"type":"impersonated_service_account"}})"));
  ExpectRefused("in source_credentials");
  Write("adc.json", R"({"type":"impersonated_service_account"})");
  ExpectRefused("in source_credentials");
}

TEST_F(GcpCredentialsTest, AUserOfAWorkforcePoolHasARefreshToken) {
  const std::string file =
      absl::StrCat(R"({"type":"external_account_authorized_user","audience":"//iam","refresh_token":"r",)",
                   R"("token_url":")", server_.url(), R"(/sts","client_id":"c")");
  Write("adc.json", file + R"(,"client_secret":"s"})");
  EXPECT_EQ(*Get(), "federated");
  const auto asked = Asked();
  EXPECT_EQ(asked[0].body, "grant_type=refresh_token&refresh_token=r");
  EXPECT_EQ(FindHeader(asked[0].headers, "authorization"), "Basic Yzpz");
  Write("adc.json", file + "}");
  ExpectRefused("no client_secret");
}

TEST_F(GcpCredentialsTest, ASubjectTokenOfAnAddressIsAskedForWithItsHeaders) {
  Answer("/subject", {.body = R"({"value":"of-url"})"});
  const std::string source = absl::StrCat(R"({"url":")", server_.url(), R"(/subject","headers":{"Metadata":"True"},)",
                                          R"("format":{"type":"json","subject_token_field_name":"value"}})");
  WriteExternal(source);
  EXPECT_EQ(*Get(), "federated");
  const auto asked = Asked();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(FindHeader(asked[0].headers, "metadata"), "True");
  EXPECT_TRUE(absl::StrContains(asked[1].body, "subject_token=of-url&"));
  Answer("/subject", {.status = 401});
  ExpectRefused("HTTP 401");
  for (const char* const body : {"<html>", "{}", R"({"value":{}})", ""}) {
    Answer("/subject", {.body = body});
    ExpectRefused("credential_source.url");
  }
  Answer("/subject", {.status = 503, .headers = {{"Retry-After", "3"}}});
  GcpCredentials credentials(clock_);
  const auto busy = credentials.Get(http_);
  EXPECT_TRUE(absl::IsUnavailable(busy.status())) << busy.status();
  EXPECT_EQ(RetryAfter(busy.status()), absl::Seconds(3));
}

TEST_F(GcpCredentialsTest, AnExchangeThatIsThrottledIsNoRefusal) {
  WriteExternal(FileSource(), Impersonation());
  EXPECT_EQ(*Get(), "impersonated");
  clock_.Advance(absl::Minutes(26));
  Answer("/sts", {.status = 429, .headers = {{"Retry-After", "5"}}});
  EXPECT_EQ(*Get(), "impersonated") << "it is good for four more minutes";
  clock_.Advance(absl::Minutes(5));
  const auto busy = Get();
  EXPECT_TRUE(absl::IsUnavailable(busy.status())) << busy.status();
  EXPECT_EQ(RetryAfter(busy.status()), absl::Seconds(5));
  for (const char* const body : {"", "<html>", R"({"access_token":)"}) {
    Answer("/sts", {.body = body});
    EXPECT_TRUE(absl::IsUnavailable(Get().status())) << body;
  }
  Answer("/sts", {.status = 400, .body = R"({"error":"invalid_grant","error_description":"no such pool"})"});
  ExpectRefused("invalid_grant no such pool");
}

TEST_F(GcpCredentialsTest, SourcesThatAreNoneAreSaidToBe) {
  for (const auto& [source, text] : std::vector<std::pair<std::string, std::string>>{
           {"{}", "neither a file nor a url"},
           {R"({"certificate":{"use_default_certificate_config":true}})", "a certificate"},
           {R"({"file":"x","url":"https://x"})", "or several"},
           {R"({"file":"/nowhere"})", "cannot open /nowhere"},
           {absl::StrCat(R"({"file":")", Path("subject"), R"(","format":{"type":"json"}})"),
            "subject_token_field_name"},
           {absl::StrCat(R"({"file":")", Path("subject"),
                         R"(","format":{"type":"json","subject_token_field_name":"a"}})"),
            "is no JSON"},
           {R"({"executable":{"command":"true"}})", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"}}) {
    WriteExternal(source);
    ExpectRefused(text);
  }
  Write("subject", " \n");
  WriteExternal(FileSource());
  ExpectRefused("has no token");
  EXPECT_TRUE(Asked().empty());
}

TEST_F(GcpCredentialsTest, NothingIsSentWhereOthersCouldReadIt) {
  for (const char* const url : {"http://sts.example.org/v1/token", "http://127.0.0.1:1@example.org/", "ftp://x", "x",
                                "https://a@example.org/x", "http://169.254.169.254/token"}) {
    for (const char* const field : {"token_url", "service_account_impersonation_url"}) {
      const std::string sts = absl::string_view(field) == "token_url" ? url : absl::StrCat(server_.url(), "/sts");
      Write("adc.json",
            absl::StrCat(R"({"type":"external_account","audience":"a","subject_token_type":"t","token_url":")", sts,
                         R"(","service_account_impersonation_url":")", url, R"(","credential_source":)", FileSource(),
                         "}"));
      ExpectRefused(absl::StrCat(field, " is no https://"));
    }
    Write("adc.json", absl::StrCat(R"({"type":"authorized_user","refresh_token":"r","token_uri":")", url, R"("})"));
    ExpectRefused("token_uri is no https://");
    Write("adc.json", absl::StrCat(R"({"type":"external_account_authorized_user","refresh_token":"r","client_id":"c",)",
                                   R"("client_secret":"s","token_url":")", url, R"("})"));
    ExpectRefused("token_url is no https://");
  }
  WriteExternal(R"({"url":"http://example.org/subject"})");
  ExpectRefused("without TLS");
}

TEST_F(GcpCredentialsTest, AProgramIsAskedWhereItMayBe) {
  setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1", 1);
  const auto say = [&](const std::string& answer) {
    Write("say",
          absl::StrCat("#!/bin/sh\necho \"$GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE $GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE ",
                       "$GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL $*\" > ", Path("heard"), "\ncat <<EOF\n", answer,
                       "\nEOF\n"));
  };
  const std::string source = absl::StrCat(R"({"executable":{"command":"sh ')", Path("say"), R"(' 'a b'"}})");
  WriteExternal(source, Impersonation());
  const std::string answer =
      R"({"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:id_token","id_token":"of-program")";
  say(answer + R"(,"expiration_time":1767229200})");
  EXPECT_EQ(*Get(), "impersonated");
  EXPECT_TRUE(absl::StrContains(Asked()[0].body, "subject_token=of-program&"));
  std::ifstream heard(Path("heard"));
  std::string line;
  std::getline(heard, line);
  EXPECT_EQ(line, "//iam/p urn:ietf:params:oauth:token-type:jwt a@b a b");
  for (const auto& [said, text] : std::vector<std::pair<std::string, std::string>>{
           {R"({"version":1,"success":false,"code":"401","message":"who are you"})", "401: who are you"},
           {R"({"version":1,"success":false})", "no code or no message"},
           {R"({"version":2,"success":true})", "version that is not known"},
           {R"({"success":true})", "no version"},
           {"", "no JSON"},
           {answer + R"(,"expiration_time":1767225599})", "is over"},
           {R"({"version":1,"success":true})", "no token_type"},
           {R"({"version":1,"success":true,"token_type":"x"})", "type is not known"},
           {R"({"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:saml2"})", "no token"}}) {
    say(said);
    ExpectRefused(text);
  }
  Write("say", "echo secret; echo it broke >&2; exit 3");
  ExpectRefused("it broke");
  WriteExternal(R"({"executable":{"command":"true","timeout_millis":4999}})");
  ExpectRefused("timeout_millis");
  WriteExternal(R"({"executable":{"command":"'"}})");
  ExpectRefused("no command");
}

TEST_F(GcpCredentialsTest, AProgramThatHasNoneIsNotRunForEachCall) {
  setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1", 1);
  WriteExternal(absl::StrCat(R"({"executable":{"command":"sh ')", Path("say"), R"('"}})"));
  const auto runs = [&] {
    std::ifstream file(Path("runs"));
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  };
  Write("runs", "");
  for (const char* const refuses :
       {"exit 3", R"(echo '{"version":1,"success":false,"code":"401","message":"who are you"}')"}) {
    const auto before = runs();
    Write("say", absl::StrCat("echo run >> ", Path("runs"), "\n", refuses, "\n"));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(absl::IsUnauthenticated(Get().status()));
    EXPECT_EQ(runs(), before + 1);
    clock_.Advance(absl::Seconds(10));
  }
}

TEST_F(GcpCredentialsTest, WhatAProgramKeepsIsGoodUntilItIsOver) {
  setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1", 1);
  WriteExternal(absl::StrCat(R"({"executable":{"command":"false","output_file":")", Path("kept"), R"("}})"));
  const std::string answer =
      R"({"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:saml2","saml_response":"kept")";
  Write("kept", answer + R"(,"expiration_time":1767229200})");
  EXPECT_EQ(*Get(), "federated");
  EXPECT_TRUE(absl::StrContains(Asked()[0].body, "subject_token=kept&"));
  clock_.Advance(absl::Hours(2));
  ExpectRefused("credential_source.executable");
  Write("kept", R"({"version":1})");
  ExpectRefused("kept: its answer has no success");
  WriteExternal(absl::StrCat(R"({"executable":{"command":"true","output_file":")", Path("kept"), R"("}})"));
  Write("kept", answer + "}");
  credentials_.Drop();
  EXPECT_EQ(*Get(), "federated") << "one without a time is read after the program alone";
}

// That the signature is a good one: the emulator's word, in fleet/providers/conformance.
class GcpByAwsTest : public GcpCredentialsTest {
 protected:
  GcpByAwsTest() {
    for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
                             "AWS_DEFAULT_REGION"}) {
      unsetenv(name);
    }
    Answer("/zone", {.body = "us-east-2b"});
    Answer("/token", {.body = "session"});
    Answer("/keys", {.body = "role\n"});
    Answer("/keys/role", {.body = R"({"AccessKeyId":"ASIA","SecretAccessKey":"hush","Token":"temporary"})"});
  }

  void WriteSource(const std::string& rest) {
    Write("adc.json", absl::StrCat(R"({"type":"external_account","audience":"//iam/p","subject_token_type":)",
                                   R"("urn:ietf:params:aws:token-type:aws4_request","token_url":")", server_.url(),
                                   R"(/sts","credential_source":{"environment_id":"aws1")", rest, "}}"));
  }
  std::string Metadata() const {
    return absl::StrCat(kVerification, R"(,"region_url":")", server_.url(), R"(/zone","url":")", server_.url(),
                        R"(/keys","imdsv2_session_token_url":")", server_.url(), R"(/token")");
  }
  static std::string SubjectOf(const FakeHttpRequest& request) {
    const size_t begin = request.body.find("subject_token=") + 14;
    return request.body.substr(begin, request.body.find('&', begin) - begin);
  }

  static constexpr char kVerification[] =
      R"(,"regional_cred_verification_url":)"
      R"("https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15")";
};

TEST_F(GcpByAwsTest, TheInstancesRoleSigns) {
  WriteSource(Metadata());
  EXPECT_EQ(*Get(), "federated");
  const auto asked = Asked();
  ASSERT_EQ(asked.size(), 5u);
  EXPECT_EQ(asked[0].method, "PUT");
  for (int i = 1; i < 4; ++i) EXPECT_EQ(FindHeader(asked[i].headers, "x-aws-ec2-metadata-token"), "session");
  const std::string subject = SubjectOf(asked[4]);
  EXPECT_TRUE(absl::StartsWith(
      subject,
      "%257B%2522url%2522%253A%2522https%253A%252F%252Fsts.us-east-2.amazonaws.com%253FAction%253DGetCallerIdentity"
      "%2526Version%253D2011-06-15%2522%252C%2522method%2522%253A%2522POST%2522%252C%2522headers%2522%253A%255B"
      "%257B%2522key%2522%253A%2522x-goog-cloud-target-resource%2522%252C%2522value%2522%253A%2522%252F%252Fiam%252Fp"))
      << subject;
  EXPECT_TRUE(absl::StrContains(subject, "x-amz-security-token%2522%252C%2522value%2522%253A%2522temporary"));
  EXPECT_FALSE(absl::StrContains(subject, "hush"));
}

TEST_F(GcpByAwsTest, TheEnvironmentsKeyComesFirst) {
  setenv("AWS_ACCESS_KEY_ID", "AKIA", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
  setenv("AWS_DEFAULT_REGION", "eu-west-1", 1);
  WriteSource(Metadata());
  EXPECT_EQ(*Get(), "federated");
  const auto asked = Asked();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_TRUE(absl::StrContains(SubjectOf(asked[0]), "AKIA%252F20260101%252Feu-west-1%252Fsts"));
}

TEST_F(GcpByAwsTest, WhatIsNotThereIsSaidToBe) {
  setenv("AWS_REGION", "eu-west-1", 1);
  for (const auto& [rest, text] : std::vector<std::pair<std::string, std::string>>{
           {"", "regional_cred_verification_url"},
           {R"(,"regional_cred_verification_url":"http://sts.{region}.x?Action=GetCallerIdentity")", "by https"},
           {R"(,"regional_cred_verification_url":"https://sts.{region}.x?Action=AssumeRole")", "no identity"},
           {kVerification, "has no url"}}) {
    WriteSource(rest);
    ExpectRefused(text);
  }
  WriteSource(Metadata());
  for (const char* const body : {"", "<html>", "{}"}) {
    Answer("/keys/role", {.body = body});
    ExpectRefused("credential_source: url");
  }
  Answer("/token", {.status = 403});
  ExpectRefused("imdsv2_session_token_url: HTTP 403");
  Answer("/token", {.status = 503});
  GcpCredentials credentials(clock_);
  EXPECT_TRUE(absl::IsUnavailable(credentials.Get(http_).status()));
  setenv("AWS_REGION", "eu@west", 1);
  ExpectRefused("region is none");
}

TEST_F(GcpCredentialsTest, NoErrorHasASecret) {
  const std::string secrets = R"("refresh_token":"hush","client_id":"c","client_secret":"hush","private_key":"hush")";
  for (const char* const type : {"service_account", "authorized_user", "external_account",
                                 "external_account_authorized_user", "impersonated_service_account"}) {
    Write("adc.json",
          absl::StrCat(R"({"type":")", type, R"(","token_uri":")", server_.url(), R"(/none",)", secrets, "}"));
    const auto got = Get();
    EXPECT_FALSE(got.ok());
    EXPECT_FALSE(absl::StrContains(got.status().message(), "hush")) << got.status();
  }
}

}  // namespace
}  // namespace spotinference::fleet
