#include "fleet/providers/aws/aws_credentials.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/fake_clock.h"
#include "engine/base/fake_http_server.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

// All of AWS's services at one address, in a home of their own, in a time that stands still.
class AwsCredentialsTest : public testing::Test {
 protected:
  AwsCredentialsTest() {
    std::vector<std::string> names;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string text = *variable;
      if (absl::StartsWith(text, "AWS_")) names.push_back(text.substr(0, text.find('=')));
    }
    for (const std::string& name : names) unsetenv(name.c_str());
    std::filesystem::remove_all(home_);
    std::filesystem::create_directories(home_ + "/.aws/sso/cache");
    Set("HOME", home_);
    Set("AWS_ENDPOINT_URL", server_.url());
    Set("AWS_EC2_METADATA_SERVICE_ENDPOINT", server_.url());
    Answer([](const FakeHttpRequest& request) {  // an EC2 instance without a role
      return request.method == "PUT" ? FakeHttpReply{.body = "t"} : FakeHttpReply{.status = 404};
    });
  }

  static void Set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }
  void Write(const std::string& name, const std::string& text) { std::ofstream(home_ + "/" + name) << text; }
  std::string Read(const std::string& name) {
    std::ifstream file(home_ + "/" + name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void Config(const std::string& text) { Write(".aws/config", text); }
  void Credentials(const std::string& text) { Write(".aws/credentials", text); }

  void Answer(FakeHttpServer::Handler handler) {
    absl::MutexLock lock(&mutex_);
    handler_ = std::move(handler);
    requests_.clear();
  }
  std::vector<FakeHttpRequest> requests() {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }

  // The key's id, or the error.
  std::string Get() { return TextOf(credentials_.Get(http_)); }
  static std::string TextOf(const absl::StatusOr<AwsKey>& key) { return key.ok() ? key->id : key.status().ToString(); }
  void ExpectUnauthenticated(const std::vector<std::string>& words) {
    const absl::Status status = credentials_.Get(http_).status();
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
    for (const std::string& word : words) EXPECT_TRUE(absl::StrContains(status.message(), word)) << status;
    EXPECT_FALSE(absl::StrContains(status.message(), "hidden")) << status;
  }
  void ExpectUnavailable() {
    const absl::Status status = credentials_.Get(http_).status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  }

  // Of the Security Token Service, good until so many minutes after the clock's beginning.
  static FakeHttpReply StsKey(const std::string& action, const std::string& id, int minutes) {
    return {.body = absl::StrCat("<", action, "Response><", action, "Result><Credentials><AccessKeyId>", id,
                                 "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>",
                                 "<Expiration>", After(minutes), "</Expiration></Credentials></", action, "Result></",
                                 action, "Response>")};
  }
  static FakeHttpReply StsError(int status, const std::string& code) {
    return {.status = status,
            .body = "<ErrorResponse><Error><Code>" + code + "</Code><Message>m</Message></Error></ErrorResponse>"};
  }
  static FakeHttpReply MachineKey(const std::string& id, int minutes) {
    return {.body = R"({"AccessKeyId":")" + id + R"(","SecretAccessKey":"s","Token":"t","Expiration":")" +
                    After(minutes) + "\"}"};
  }
  static std::string After(int minutes) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", FakeClock().Now() + absl::Minutes(minutes), absl::UTCTimeZone());
  }

  const std::string home_ = absl::StrCat(getenv("TEST_TMPDIR"), "/home");
  absl::Mutex mutex_;
  FakeHttpServer::Handler handler_ ABSL_GUARDED_BY(mutex_);
  std::vector<FakeHttpRequest> requests_ ABSL_GUARDED_BY(mutex_);
  FakeClock clock_;
  CloudHttp http_;
  AwsCredentials credentials_{clock_, {.region = "eu-west-1"}};
  FakeHttpServer server_{[this](const FakeHttpRequest& request) {
    absl::MutexLock lock(&mutex_);
    requests_.push_back(request);
    return handler_(request);
  }};
};

TEST_F(AwsCredentialsTest, NowhereNamesThePlaces) {
  ExpectUnauthenticated({"AWS_ACCESS_KEY_ID", "~/.aws/config", "web identity", "container", "EC2"});
  Set("AWS_EC2_METADATA_DISABLED", "TRUE");
  Answer([](const FakeHttpRequest&) { return FakeHttpReply{.status = 500}; });
  ExpectUnauthenticated({"anywhere"});
  EXPECT_TRUE(requests().empty());
}

TEST_F(AwsCredentialsTest, OfTheEnvironment) {
  Set("AWS_ACCESS_KEY_ID", "E");
  ExpectUnauthenticated({"the environment", "AWS_SECRET_ACCESS_KEY"});
  Set("AWS_SECRET_ACCESS_KEY", "hidden");
  Set("AWS_SESSION_TOKEN", "t");
  Set("AWS_CREDENTIAL_EXPIRATION", "soon");
  ExpectUnauthenticated({"AWS_CREDENTIAL_EXPIRATION"});
  Set("AWS_CREDENTIAL_EXPIRATION", After(3));
  EXPECT_EQ(credentials_.Get(http_)->session_token, "t") << "for three minutes";
  clock_.Advance(absl::Minutes(3));
  ExpectUnauthenticated({"the environment", "expired"});
  unsetenv("AWS_CREDENTIAL_EXPIRATION");
  EXPECT_EQ(Get(), "E");
  Set("AWS_ACCESS_KEY_ID", "F");
  EXPECT_EQ(Get(), "E") << "it is known";
  credentials_.Drop();
  EXPECT_EQ(Get(), "F");
}

TEST_F(AwsCredentialsTest, KeysInTheFiles) {
  Config("[default]\naws_access_key_id=C\naws_secret_access_key=hidden\n[profile half]\naws_access_key_id=H\n");
  EXPECT_EQ(Get(), "C");
  credentials_.Drop();
  Credentials("[default]\naws_access_key_id=D\naws_secret_access_key=hidden\naws_session_token=u\n");
  EXPECT_EQ(credentials_.Get(http_)->session_token, "u");
  EXPECT_EQ(Get(), "D");
  credentials_.Drop();
  Set("AWS_PROFILE", "half");
  ExpectUnauthenticated({"profile 'half'", "config file", "aws_secret_access_key"});
  Set("AWS_DEFAULT_PROFILE", "default");
  EXPECT_EQ(Get(), "D");
  credentials_.Drop();
  Set("AWS_DEFAULT_PROFILE", "none");
  ExpectUnauthenticated({"'none'"});
  Set("AWS_ACCESS_KEY_ID", "E");
  Set("AWS_SECRET_ACCESS_KEY", "hidden");
  ExpectUnauthenticated({"'none'"});
  Credentials("hidden");
  ExpectUnauthenticated({"the credentials file, line 1"});
  Set("AWS_SHARED_CREDENTIALS_FILE", "/nowhere");
  Set("AWS_CONFIG_FILE", home_);  // a folder
  unsetenv("AWS_DEFAULT_PROFILE");
  unsetenv("AWS_PROFILE");
  EXPECT_EQ(Get(), "E");
}

// Of an instance's role, served by a metadata service that breaks.
TEST_F(AwsCredentialsTest, AKeyThatHasExpiredIsNotGiven) {
  const auto serve = [](const FakeHttpRequest& request) -> FakeHttpReply {
    if (request.method == "PUT") return {.body = "t"};
    if (absl::EndsWith(request.target, "/security-credentials/")) return {.body = "role"};
    return MachineKey("A", 60);
  };
  Answer(serve);
  ASSERT_EQ(Get(), "A");
  Answer([](const FakeHttpRequest&) { return FakeHttpReply{.status = 500}; });
  clock_.Advance(absl::Minutes(56));
  EXPECT_EQ(Get(), "A") << "it is good for four more minutes";
  clock_.Advance(absl::Minutes(4));
  ExpectUnavailable();
  ExpectUnavailable();
  Answer(serve);
  EXPECT_EQ(Get(), "A") << "asked for anew";
}

TEST_F(AwsCredentialsTest, WebIdentityReadsItsTokenAnew) {
  Set("AWS_WEB_IDENTITY_TOKEN_FILE", home_ + "/token");
  ExpectUnauthenticated({"AWS_WEB_IDENTITY_TOKEN_FILE", "role_arn"});
  Set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
  ExpectUnauthenticated({"AWS_WEB_IDENTITY_TOKEN_FILE", "/token"});
  Answer([](const FakeHttpRequest&) { return StsKey("AssumeRoleWithWebIdentity", "W1", 60); });
  Write("token", "hidden1\n");
  EXPECT_EQ(Get(), "W1");
  ASSERT_EQ(requests().size(), 1);
  EXPECT_EQ(requests()[0].method, "POST");
  EXPECT_FALSE(FindHeader(requests()[0].headers, "authorization").has_value());
  EXPECT_EQ(requests()[0].body,
            absl::StrCat("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"
                         "&RoleSessionName=spotinference-",
                         absl::ToUnixSeconds(clock_.Now()), "&WebIdentityToken=hidden1"));
  clock_.Advance(absl::Minutes(54));
  EXPECT_EQ(Get(), "W1");
  EXPECT_EQ(requests().size(), 1);
  clock_.Advance(absl::Minutes(1));
  Write("token", "hidden2");
  Set("AWS_ROLE_SESSION_NAME", "mine");
  Answer([](const FakeHttpRequest&) { return StsKey("AssumeRoleWithWebIdentity", "W2", 120); });
  EXPECT_EQ(Get(), "W2");
  EXPECT_TRUE(absl::EndsWith(requests()[0].body, "&RoleSessionName=mine&WebIdentityToken=hidden2"));
}

TEST_F(AwsCredentialsTest, WhatTheTokenServiceSays) {
  Set("AWS_WEB_IDENTITY_TOKEN_FILE", home_ + "/token");
  Set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
  Write("token", "hidden");
  Credentials("[default]\naws_access_key_id=D\naws_secret_access_key=hidden\n");
  for (const char* code : {"ExpiredTokenException", "AccessDenied", "InvalidIdentityToken", ""}) {
    Answer([&](const FakeHttpRequest&) { return StsError(400, code); });
    ExpectUnauthenticated({"AWS_WEB_IDENTITY_TOKEN_FILE", code, "AssumeRoleWithWebIdentity"});
  }
  for (const char* code : {"Throttling", "IDPCommunicationError"}) {
    Answer([&](const FakeHttpRequest&) { return StsError(400, code); });
    ExpectUnavailable();
  }
  Answer([](const FakeHttpRequest&) {
    return FakeHttpReply{.status = 429, .headers = {{"Retry-After", "7"}}, .body = "<html>"};
  });
  EXPECT_EQ(RetryAfter(credentials_.Get(http_).status()), absl::Seconds(7));
  for (const char* body : {"", "<a/>", "{}", "<html>",
                           "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
                           "<AccessKeyId>A</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
                           "</AssumeRoleWithWebIdentityResponse>"}) {
    Answer([&](const FakeHttpRequest&) { return FakeHttpReply{.body = body}; });
    ExpectUnavailable();
  }
  Answer([](const FakeHttpRequest&) { return FakeHttpReply{.headers = {{"Content-Length", "9"}}, .cut_after = 0}; });
  ExpectUnavailable();
  Answer([](const FakeHttpRequest&) { return StsKey("AssumeRoleWithWebIdentity", "W", 0); });
  ExpectUnauthenticated({"expired"});
  http_.Cancel();
  EXPECT_TRUE(absl::IsCancelled(credentials_.Get(http_).status()));
}

TEST_F(AwsCredentialsTest, ARoleIsAssumedByItsSource) {
  Config(
      "[profile a]\nrole_arn=arn:a\nsource_profile=b\nexternal_id=x y\nrole_session_name=mine\nduration_seconds=900\n"
      "[profile b]\nrole_arn=arn:b\ncredential_source=Environment\nregion=not-this-one\n"
      "[profile c]\nrole_arn=arn:c\nsource_profile=c\nregion=ap-south-1\n");
  Credentials("[c]\naws_access_key_id=C\naws_secret_access_key=hidden\n");
  Set("AWS_PROFILE", "a");
  ExpectUnauthenticated({"the environment", "profile 'b'"});
  Answer([](const FakeHttpRequest& request) {
    const std::string signer(FindHeader(request.headers, "authorization").value_or("").substr(28));
    return StsKey("AssumeRole", absl::StrCat("by-", signer.substr(0, signer.find('/'))), 60);
  });
  unsetenv("AWS_PROFILE");
  Set("AWS_DEFAULT_PROFILE", "c");
  EXPECT_EQ(Get(), "by-C") << "by its own key";
  EXPECT_TRUE(absl::StrContains(*FindHeader(requests()[0].headers, "authorization"), "/ap-south-1/sts/aws4_request"));
  credentials_.Drop();
  Config("[default]\nrole_arn=arn:a\nsource_profile=b\nexternal_id=x y\nrole_session_name=mine\nduration_seconds=900\n"
         "[profile b]\nrole_arn=arn:b\nsource_profile=c\n");
  unsetenv("AWS_DEFAULT_PROFILE");
  EXPECT_EQ(Get(), "by-by-C");
  ASSERT_EQ(requests().size(), 3);
  EXPECT_TRUE(absl::StrContains(*FindHeader(requests()[2].headers, "authorization"), "/eu-west-1/sts/aws4_request"));
  EXPECT_EQ(FindHeader(requests()[2].headers, "x-amz-security-token"), "t");
  EXPECT_EQ(requests()[2].body,
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aa&RoleSessionName=mine&ExternalId=x%20y"
            "&DurationSeconds=900");
}

TEST_F(AwsCredentialsTest, ARoleThatCannotBeAssumedSaysWhy) {
  const std::string key = "aws_access_key_id=K\naws_secret_access_key=hidden\n";
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"", "source_profile or credential_source"},
      {"source_profile=a\ncredential_source=Environment\n[profile a]\n" + key, "both"},
      {"source_profile=a\n", "'a'"},
      {"source_profile=a\n[profile a]\nrole_arn=r\nsource_profile=b\n[profile b]\nrole_arn=r\nsource_profile=a\n",
       "leads back"},
      {"source_profile=default\n", "leads back"},
      {"source_profile=a\n[profile a]\nregion=r\n", "there is none"},
      {"source_profile=a\n[profile a]\naws_access_key_id=K\n", "aws_secret_access_key"},
      {"credential_source=environment\n", "'environment'"},
      {"credential_source=EcsContainer\n", "there is none"},
      {"source_profile=a\nmfa_serial=m\n[profile a]\n" + key, "mfa_serial"},
  };
  for (const auto& [text, why] : wrong) {
    Config("[default]\nrole_arn=arn\n" + text);
    ExpectUnauthenticated({why});
  }
  EXPECT_TRUE(requests().empty());
  std::string chain = "[default]\nrole_arn=arn\nsource_profile=p0\n";
  for (int i = 0; i < 40; ++i) {
    absl::StrAppend(&chain, "[profile p", i, "]\nrole_arn=arn\nsource_profile=p", i + 1, "\n");
  }
  Config(chain + "[profile p40]\n" + key);
  ExpectUnauthenticated({"16 profiles"});
  const std::string nowhere = "[default]\nrole_arn=arn\nsource_profile=a\nregion=no/region\n";
  Config(nowhere + "[profile a]\n" + key);
  Set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
  ExpectUnauthenticated({"no region"});
  unsetenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
  unsetenv("AWS_ENDPOINT_URL");
  ExpectUnauthenticated({"no region"});
  Config(nowhere + "endpoint_url=http://127.0.0.1:1\nignore_configured_endpoint_urls=true\n[profile a]\n" + key);
  ExpectUnauthenticated({"no region"});
  Config(nowhere + "services=s\n[profile a]\n" + key);
  ExpectUnauthenticated({"no [services s]"});
}

TEST_F(AwsCredentialsTest, ASignatureIsOfTheServicesTime) {
  Config("[default]\nrole_arn=arn\nsource_profile=a\n[profile a]\naws_access_key_id=K\naws_secret_access_key=hidden\n");
  Answer([](const FakeHttpRequest& request) {
    const bool is_late = absl::StartsWith(*FindHeader(request.headers, "x-amz-date"), "20260101T0000");
    FakeHttpReply reply = is_late ? StsError(403, "SignatureDoesNotMatch") : StsKey("AssumeRole", "R", 180);
    reply.headers = {{"Date", "Thu, 01 Jan 2026 02:00:00 GMT"}};
    return reply;
  });
  EXPECT_EQ(Get(), "R");
  EXPECT_EQ(requests().size(), 2);
  clock_.Advance(absl::Minutes(54));
  EXPECT_EQ(Get(), "R") << "it expires in an hour, by whatever clock";
  EXPECT_EQ(requests().size(), 2);
}

TEST_F(AwsCredentialsTest, OfAContainer) {
  Set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_.url() + "/keys?id=1");
  Answer([](const FakeHttpRequest&) { return MachineKey("C1", 60); });
  EXPECT_EQ(Get(), "C1");
  EXPECT_EQ(requests()[0].target, "/keys?id=1");
  EXPECT_FALSE(FindHeader(requests()[0].headers, "authorization").has_value());
  clock_.Advance(absl::Minutes(55));
  Set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hidden1");
  Set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", home_ + "/token");
  Write("token", "hidden2");
  Answer([](const FakeHttpRequest&) { return MachineKey("C2", 120); });
  EXPECT_EQ(Get(), "C2");
  EXPECT_EQ(FindHeader(requests()[0].headers, "authorization"), "hidden2");
  clock_.Advance(absl::Minutes(60));
  Write("token", "hidden3");
  Answer([](const FakeHttpRequest&) { return MachineKey("C3", 180); });
  EXPECT_EQ(Get(), "C3");
  EXPECT_EQ(FindHeader(requests()[0].headers, "authorization"), "hidden3");
}

TEST_F(AwsCredentialsTest, AContainerThatIsNamedEndsTheSearch) {
  Set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_.url() + "/keys");
  Answer([](const FakeHttpRequest&) {
    return FakeHttpReply{.status = 403, .body = R"({"code":"AccessDenied","message":"m"})"};
  });
  ExpectUnauthenticated({"container", "AccessDenied"});
  for (const char* body : {"", "{}", "<a/>", R"({"AccessKeyId":"A","SecretAccessKey":"s"})"}) {
    Answer([&](const FakeHttpRequest&) { return FakeHttpReply{.body = body}; });
    ExpectUnavailable();
  }
  Answer([](const FakeHttpRequest&) { return FakeHttpReply{.status = 500}; });
  ExpectUnavailable();
  Answer([](const FakeHttpRequest&) { return MachineKey("C", 0); });
  ExpectUnauthenticated({"expired"});
  Answer([](const FakeHttpRequest&) { return MachineKey("C", 60); });
  Set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hidden\nX-Other: 1");
  ExpectUnauthenticated({"more than one line"});
  Set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nowhere");
  ExpectUnauthenticated({"/nowhere"});
  unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  for (const char* url : {"http://example.org/", "ftp://127.0.0.1/", "127.0.0.1"}) {
    Set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
    ExpectUnauthenticated({"container", "TLS"});
  }
  Set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.org/");
  ExpectUnauthenticated({"container", "TLS"});
  EXPECT_TRUE(requests().empty());
}

constexpr char kSso[] =
    "[default]\nsso_session=s\nsso_account_id=1\nsso_role_name=r r\n"
    "[sso-session s]\nsso_start_url=https://start\nsso_region=eu-north-1\n";
constexpr char kSsoFile[] = ".aws/sso/cache/a0f1490a20d0211c997b44bc357e1972deab8ae3.json";  // SHA-1 of "s"

std::string SsoFile(const std::string& token, const std::string& expires, const std::string& more = "") {
  return R"({"accessToken":")" + token + R"(","expiresAt":")" + expires + "\"" + more + "}";
}

class AwsSsoTest : public AwsCredentialsTest {
 protected:
  const std::string renewal_ =
      absl::StrCat(R"(,"clientId":"c","clientSecret":"hidden","refreshToken":"hidden1","registrationExpiresAt":")",
                   After(1000), "\"");
  FakeHttpReply Role(const FakeHttpRequest& request) {
    const std::string token(FindHeader(request.headers, "x-amz-sso_bearer_token").value_or(""));
    const int64_t expires = absl::ToUnixMillis(clock_.Now() + absl::Hours(1));
    return {.body = absl::StrCat(R"({"roleCredentials":{"accessKeyId":"of-)", token,
                                 R"(","secretAccessKey":"s","sessionToken":"t","expiration":)", expires, "}}")};
  }
  // Both services: a renewal gives the token "new".
  void Serve() {
    Answer([this](const FakeHttpRequest& request) -> FakeHttpReply {
      if (request.target != "/token") return Role(request);
      return {.body = R"({"accessToken":"new","tokenType":"Bearer","expiresIn":28800,"refreshToken":"hidden2"})"};
    });
  }
};

TEST_F(AwsSsoTest, GivesTheRolesKeyForTheTokenOfItsFile) {
  Config(kSso);
  ExpectUnauthenticated({"profile 'default', SSO", "aws sso login", ".aws/sso/cache"});
  Serve();
  Write(kSsoFile, SsoFile("old", After(60)));
  EXPECT_EQ(Get(), "of-old");
  EXPECT_EQ(requests()[0].target, "/federation/credentials?role_name=r%20r&account_id=1");
  clock_.Advance(absl::Minutes(58));
  EXPECT_EQ(Get(), "of-old") << "nothing renews it, but it is good for two more minutes";
  clock_.Advance(absl::Minutes(58));
  EXPECT_EQ(Get(), "of-old") << "so is the key that it gave last";
  clock_.Advance(absl::Minutes(2));
  ExpectUnauthenticated({"expired", "nothing that renews it", "aws sso login"});
  for (const char* text : {"", "{}", "hidden", R"({"accessToken":"hidden","expiresAt":"soon"})"}) {
    Write(kSsoFile, text);
    ExpectUnauthenticated({"aws sso login", "no token"});
  }
}

TEST_F(AwsSsoTest, ATokenIsRenewedAndKept) {
  Config(kSso);
  Serve();
  Write(kSsoFile, SsoFile("old", After(4), renewal_));
  EXPECT_EQ(Get(), "of-new");
  ASSERT_EQ(requests().size(), 2);
  EXPECT_EQ(requests()[0].body,
            R"({"clientId":"c","clientSecret":"hidden","grantType":"refresh_token","refreshToken":"hidden1"})");
  EXPECT_EQ(Read(kSsoFile),
            absl::StrCat(R"({"startUrl":"https://start","region":"eu-north-1","accessToken":"new","expiresAt":")",
                         After(480), R"(","clientId":"c","clientSecret":"hidden","registrationExpiresAt":")",
                         After(1000), R"(","refreshToken":"hidden2"})"));
  struct stat file;
  ASSERT_EQ(stat((home_ + "/" + kSsoFile).c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600);
  credentials_.Drop();
  EXPECT_EQ(Get(), "of-new");
  EXPECT_EQ(requests().size(), 3) << "it is good for hours";
}

TEST_F(AwsSsoTest, ATokenThatCannotBeRenewedIsUsedToItsEnd) {
  Config(kSso);
  Write(kSsoFile, SsoFile("old", After(4), renewal_));
  Answer([this](const FakeHttpRequest& request) -> FakeHttpReply {
    if (request.target != "/token") return Role(request);
    return {.status = 400, .body = R"({"error":"invalid_grant","error_description":"d"})"};
  });
  EXPECT_EQ(Get(), "of-old");
  credentials_.Drop();
  clock_.Advance(absl::Minutes(4));
  ExpectUnauthenticated({"invalid_grant", "aws sso login"});
  Answer([](const FakeHttpRequest&) { return FakeHttpReply{.status = 500}; });
  ExpectUnavailable();
  Answer([](const FakeHttpRequest&) { return FakeHttpReply{.body = "<html>"}; });
  ExpectUnavailable();
  clock_.Advance(absl::Minutes(996));
  ExpectUnauthenticated({"registration", "aws sso login"});
}

TEST_F(AwsSsoTest, WhatThePortalSays) {
  Config(kSso);
  Write(kSsoFile, SsoFile("old", After(60)));
  Answer([](const FakeHttpRequest&) { return FakeHttpReply{.status = 401, .body = R"({"message":"m"})"}; });
  ExpectUnauthenticated({"refused", "aws sso login"});
  Answer([](const FakeHttpRequest&) {
    return FakeHttpReply{.status = 403, .headers = {{"x-amzn-ErrorType", "ForbiddenException"}}, .body = "{}"};
  });
  ExpectUnauthenticated({"ForbiddenException"});
  Answer([](const FakeHttpRequest&) { return FakeHttpReply{.status = 429}; });
  ExpectUnavailable();
  for (const char* body : {"", "{}", R"({"roleCredentials":{"accessKeyId":"A","secretAccessKey":"s"}})",
                           R"({"roleCredentials":{"accessKeyId":"A","secretAccessKey":"s","expiration":1e300}})"}) {
    Answer([&](const FakeHttpRequest&) { return FakeHttpReply{.body = body}; });
    ExpectUnavailable();
  }
}

TEST_F(AwsSsoTest, SettingsThatAreMissingOrAtOddsAreNamed) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"[default]\nsso_account_id=1\n", "sso_start_url"},
           {"[default]\nsso_account_id=1\nsso_start_url=u\nsso_region=r\n", "sso_role_name"},
           {"[default]\nsso_account_id=1\nsso_session=t\n", "[sso-session t]"},
           {"[default]\nsso_session=s\nsso_role_name=r\nsso_region=r\n[sso-session s]\nsso_start_url=u\n",
            "sso_region"},
           {"[default]\nsso_session=s\nsso_role_name=r\nsso_region=r\n[sso-session s]\nsso_region=q\n",
            "another one"}}) {
    Config(text);
    ExpectUnauthenticated({"SSO", why});
  }
  // Without a session, and without renewal.
  Serve();
  Config("[default]\nsso_start_url=s\nsso_region=r\nsso_account_id=1\nsso_role_name=r\n");
  Write(kSsoFile, SsoFile("old", "2026-01-01T00:04:00UTC", renewal_));
  EXPECT_EQ(Get(), "of-old");
  credentials_.Drop();
  clock_.Advance(absl::Minutes(4));
  ExpectUnauthenticated({"without an sso_session", "aws sso login"});
}

TEST_F(AwsCredentialsTest, OfAProcess) {
  Write("process", absl::StrCat("#!/bin/sh\n[ \"$1\" = 'a b' ] || exit 9\ncat ", home_, "/answer\n"));
  chmod((home_ + "/process").c_str(), 0700);
  Config(absl::StrCat("[default]\ncredential_process = ", home_, "/process 'a b'\naws_access_key_id = C\n"));
  const auto answer = [&](const std::string& fields) {
    Write("answer", R"({"Version":1,"AccessKeyId":"P","SecretAccessKey":"hidden")" + fields + "}");
  };
  answer("");
  EXPECT_EQ(Get(), "P");
  credentials_.Drop();
  answer(absl::StrCat(R"(,"SessionToken":"t","Expiration":")", After(60), "\""));
  EXPECT_EQ(credentials_.Get(http_)->session_token, "t");
  clock_.Advance(absl::Minutes(60));
  ExpectUnauthenticated({"credential_process", "expired"});
  answer(R"(,"Expiration":"soon")");
  ExpectUnauthenticated({"credential_process", "no time"});
  Write("answer", R"({"Version":2,"AccessKeyId":"P","SecretAccessKey":"hidden"})");
  ExpectUnauthenticated({"version 1"});
  Write("answer", R"({"Version":1,"AccessKeyId":"P"})");
  ExpectUnauthenticated({"SecretAccessKey"});
  Write("answer", "hidden");
  ExpectUnauthenticated({"no JSON"});
  Config("[default]\ncredential_process=/bin/sh -c 'echo \"not signed in\" >&2; exit 3' hidden\n");
  ExpectUnauthenticated({"profile 'default', credential_process", "/bin/sh", "exit 3", "not signed in"});
  Config("[default]\ncredential_process=/nowhere/secrets-helper\n");
  EXPECT_TRUE(absl::IsUnauthenticated(credentials_.Get(http_).status()));
  Config("[default]\ncredential_process='open\n");
  ExpectUnauthenticated({"quote"});
  Credentials("[default]\naws_access_key_id=D\naws_secret_access_key=hidden\n");
  EXPECT_EQ(Get(), "D") << "its place comes before";
}

TEST_F(AwsCredentialsTest, AProcessThatFailsIsNotRunForEachCall) {
  const std::string runs = absl::StrCat(home_, "/runs");
  const auto count = [&] {
    std::ifstream file(runs);
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  };
  Write("process", absl::StrCat("#!/bin/sh\necho run >> ", runs, "\nexit 3\n"));
  chmod((home_ + "/process").c_str(), 0700);
  Config(absl::StrCat("[default]\ncredential_process = ", home_, "/process\n"));
  for (int i = 0; i < 3; ++i) ExpectUnauthenticated({"credential_process", "exit 3"});
  EXPECT_EQ(count(), 1);
  setenv("AWS_PROFILE", "other", 1);
  Config(absl::StrCat("[profile other]\ncredential_process = ", home_, "/process of-another\n"));
  ExpectUnauthenticated({"credential_process", "exit 3"});
  EXPECT_EQ(count(), 2);
  Write("process", R"(#!/bin/sh
echo '{"Version":1,"AccessKeyId":"P","SecretAccessKey":"hidden"}'
)");
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Get(), "P");
  credentials_.Drop();
  EXPECT_EQ(Get(), "P");
}

TEST_F(AwsCredentialsTest, TheLoginOfAwsLoginIsNotPassedOver) {
  Config("[default]\nlogin_session=arn:aws:iam::1:user/u\ncredential_process=/bin/false\n");
  ExpectUnauthenticated({"aws login"});
}

}  // namespace
}  // namespace spotinference::fleet
