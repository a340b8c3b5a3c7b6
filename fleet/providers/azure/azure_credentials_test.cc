// Which place is asked, and how, over a clock that stands still. That the services of fleet/providers/emulator, and
// msal, take it the same way: fleet/providers/conformance.
#include "fleet/providers/azure/azure_credentials.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/fake_clock.h"
#include "engine/base/fake_http_server.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

constexpr char kMachine[] =
    "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
constexpr char kApp[] = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";

// A private key and its certificate.
std::string Pem() {
  EVP_PKEY* const key = EVP_RSA_gen(2048);
  X509* const certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_X509(bio, certificate);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, size);
  BIO_free(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return text;
}

class AzureCredentialsTest : public testing::Test {
 protected:
  AzureCredentialsTest() : directory_(testing::TempDir()) {
    for (const char* const name :
         {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH",
          "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
          "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"}) {
      unsetenv(name);
    }
    setenv("PATH", directory_.c_str(), 1);
    unlink(Path("az").c_str());
    setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", absl::StrCat(server_.url(), "/").c_str(), 1);
    Answer("/t/oauth2/v2.0/token", {.body = R"({"access_token":"entra","expires_in":3599})"});
    Answer(kMachine, {.body = R"({"access_token":"machines","expires_in":"3599"})"});
    Answer(kApp, {.body = R"({"access_token":"apps","expires_on":"1767229200","resource":"r"})"});
  }

  std::string Path(const std::string& name) const { return absl::StrCat(directory_, "/", name); }
  void Write(const std::string& name, const std::string& text) { std::ofstream(Path(name)) << text; }
  // An `az` that does this, having written its arguments down.
  void WriteAz(const std::string& script) {
    Write("az", absl::StrCat("#!/bin/sh\necho \"$@\" > ", Path("heard"), "\n", script, "\n"));
    chmod(Path("az").c_str(), 0700);
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(Path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string Heard() const {
    std::ifstream file(Path("heard"));
    std::string line;
    std::getline(file, line);
    return line;
  }

  void Answer(const std::string& target, FakeHttpReply reply) {
    absl::MutexLock lock(&mutex_);
    replies_[target] = std::move(reply);
  }
  std::vector<FakeHttpRequest> Asked() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(asked_, {});
  }

  void BeClient() {
    setenv("AZURE_TENANT_ID", "t", 1);
    setenv("AZURE_CLIENT_ID", "c", 1);
  }
  absl::StatusOr<std::string> Get() { return credentials_.Get(http_); }
  void ExpectRefused(const std::string& text) {
    AzureCredentials credentials(clock_, server_.url());
    const auto got = credentials.Get(http_);
    EXPECT_TRUE(absl::IsUnauthenticated(got.status())) << got.status();
    EXPECT_TRUE(absl::StrContains(got.status().message(), text)) << got.status();
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
  AzureCredentials credentials_{clock_, server_.url()};
};

TEST_F(AzureCredentialsTest, PlacesAreAskedInTheirOrder) {
  WriteAz(R"(echo '{"accessToken":"logins","expires_on":1767229200}')");
  BeClient();
  Write("token", "federated");
  Write("both.pem", Pem());
  setenv("AZURE_CLIENT_SECRET", "hush", 1);
  setenv("AZURE_CLIENT_CERTIFICATE_PATH", Path("both.pem").c_str(), 1);
  setenv("AZURE_FEDERATED_TOKEN_FILE", Path("token").c_str(), 1);
  setenv("IDENTITY_ENDPOINT", absl::StrCat(server_.url(), "/msi/token").c_str(), 1);
  setenv("IDENTITY_HEADER", "h", 1);
  const auto proof = [&] {
    credentials_.Drop();
    EXPECT_EQ(*Get(), "entra");
    const auto asked = Asked();
    return asked.size() == 1 ? asked[0].body : "";
  };
  EXPECT_EQ(proof(), "grant_type=client_credentials&client_id=c&client_secret=hush&scope="
                     "https%3A%2F%2Fmanagement.azure.com%2F.default");
  unsetenv("AZURE_CLIENT_SECRET");
  EXPECT_TRUE(absl::StrContains(proof(), "&client_assertion=eyJ"));
  unsetenv("AZURE_CLIENT_CERTIFICATE_PATH");
  EXPECT_TRUE(absl::StrContains(proof(), "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3A"
                                         "jwt-bearer&client_assertion=federated&"));
  unsetenv("AZURE_TENANT_ID");
  Answer(absl::StrCat(kApp, "&client_id=c"), {.body = R"({"access_token":"apps","expires_on":"1767229200"})"});
  credentials_.Drop();
  EXPECT_EQ(*Get(), "apps");
  EXPECT_EQ(FindHeader(Asked()[0].headers, "x-identity-header"), "h");
  unsetenv("IDENTITY_ENDPOINT");
  unsetenv("AZURE_CLIENT_ID");
  credentials_.Drop();
  EXPECT_EQ(*Get(), "machines");
  EXPECT_EQ(FindHeader(Asked()[0].headers, "metadata"), "true");
  Answer(kMachine, {.status = 400, .body = R"({"error":"invalid_request","error_description":"Identity not found"})"});
  credentials_.Drop();
  EXPECT_EQ(*Get(), "logins");
  EXPECT_EQ(Heard(), "account get-access-token --output json --resource https://management.azure.com/");
  unlink(Path("az").c_str());
  ExpectRefused("Identity not found");
  setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1", 1);
  ExpectRefused("no Azure credentials");
}

TEST_F(AzureCredentialsTest, AnAssertionIsTheClientsForItsEndpointForTenMinutes) {
  BeClient();
  Write("both.pem", Pem());
  setenv("AZURE_CLIENT_CERTIFICATE_PATH", Path("both.pem").c_str(), 1);
  EXPECT_EQ(*Get(), "entra");
  const std::string body = Asked()[0].body;
  const size_t begin = body.find("client_assertion=") + 17;
  const std::vector<std::string> parts = absl::StrSplit(body.substr(begin, body.find('&', begin) - begin), '.');
  ASSERT_EQ(parts.size(), 3u);
  std::string header, text;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(parts[0], &header) && absl::WebSafeBase64Unescape(parts[1], &text));
  const auto claims = Json::Parse(text);
  ASSERT_TRUE(claims.ok());
  EXPECT_EQ((*claims)["aud"].Text(), absl::StrCat(server_.url(), "/t/oauth2/v2.0/token"));
  EXPECT_EQ((*claims)["iss"].Text() + (*claims)["sub"].Text(), "cc");
  EXPECT_EQ((*claims)["nbf"].Number(), 1767225600);
  EXPECT_EQ((*claims)["exp"].Number(), 1767226200);
  EXPECT_EQ((*claims)["jti"].Text().size(), 32u);
  EXPECT_TRUE(absl::StartsWith(header, R"({"alg":"RS256","typ":"JWT","x5t":")")) << header;
}

TEST_F(AzureCredentialsTest, CertificatesThatAreNoneAreRefused) {
  BeClient();
  const std::string pem = Pem();
  setenv("AZURE_CLIENT_CERTIFICATE_PATH", Path("gone.pem").c_str(), 1);
  ExpectRefused("AZURE_CLIENT_CERTIFICATE_PATH: cannot open");
  setenv("AZURE_CLIENT_CERTIFICATE_PATH", Path("half.pem").c_str(), 1);
  const size_t certificate = pem.find("-----BEGIN CERTIFICATE");
  for (const auto& [text, error] :
       std::vector<std::pair<std::string, std::string>>{{"", "no certificate"},
                                                        {pem.substr(0, certificate), "no certificate"},
                                                        {pem.substr(certificate), "no RSA key"}}) {
    Write("half.pem", text);
    ExpectRefused(error);
  }
  EXPECT_TRUE(Asked().empty());
}

TEST_F(AzureCredentialsTest, ATokenFileIsReadAtEachRenewal) {
  BeClient();
  setenv("AZURE_FEDERATED_TOKEN_FILE", Path("token").c_str(), 1);
  unlink(Path("token").c_str());
  ExpectRefused("AZURE_FEDERATED_TOKEN_FILE: cannot open");
  Write("token", "\n");
  ExpectRefused("has no token");
  Write("token", "first\n");
  EXPECT_EQ(*Get(), "entra");
  EXPECT_TRUE(absl::StrContains(Asked()[0].body, "client_assertion=first&"));
  Write("token", "second");
  clock_.Advance(absl::Minutes(50));
  EXPECT_EQ(*Get(), "entra");
  EXPECT_TRUE(Asked().empty());
  clock_.Advance(absl::Minutes(6));
  EXPECT_EQ(*Get(), "entra");
  EXPECT_TRUE(absl::StrContains(Asked()[0].body, "client_assertion=second&"));
  unlink(Path("token").c_str());
  clock_.Advance(absl::Minutes(56));
  EXPECT_EQ(*Get(), "entra") << "it is good for some more minutes";
  clock_.Advance(absl::Minutes(5));
  EXPECT_TRUE(absl::IsUnauthenticated(Get().status()));
}

TEST_F(AzureCredentialsTest, TheAuthorityHostIsWhereTheLoginIsNotSaid) {
  BeClient();
  setenv("AZURE_CLIENT_SECRET", "hush", 1);
  for (const std::string& host : {server_.url(), absl::StrCat(server_.url(), "/")}) {
    setenv("AZURE_AUTHORITY_HOST", host.c_str(), 1);
    AzureCredentials credentials(clock_, kAzureLogin);
    EXPECT_EQ(*credentials.Get(http_), "entra");
  }
  EXPECT_EQ(Asked().size(), 2u);
  setenv("AZURE_AUTHORITY_HOST", "http://login.example.org", 1);
  EXPECT_EQ(*Get(), "entra") << "the configuration says another";
  AzureCredentials credentials(clock_, kAzureLogin);
  const auto refused = credentials.Get(http_);
  EXPECT_TRUE(absl::IsUnauthenticated(refused.status())) << refused.status();
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "AZURE_AUTHORITY_HOST")) << refused.status();
  EXPECT_FALSE(absl::StrContains(refused.status().message(), "hush")) << refused.status();
  setenv("AZURE_AUTHORITY_HOST", "127.0.0.1:1", 1);  // https:// is meant; nobody is there
  EXPECT_TRUE(absl::IsUnavailable(credentials.Get(http_).status()));
}

TEST_F(AzureCredentialsTest, AnAppsIdentityIsNotPassedOver) {
  WriteAz("exit 1");
  setenv("IDENTITY_ENDPOINT", absl::StrCat(server_.url(), "/msi/token").c_str(), 1);
  ExpectRefused("IDENTITY_HEADER");
  setenv("IDENTITY_HEADER", "h", 1);
  EXPECT_EQ(*Get(), "apps");
  clock_.Advance(absl::Minutes(54));
  EXPECT_EQ(*Get(), "apps");
  EXPECT_EQ(Asked().size(), 1u);
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(*Get(), "apps");
  EXPECT_EQ(Asked().size(), 1u);
  Answer(kApp, {.status = 400, .body = R"({"statusCode":400,"message":"No identity"})"});
  ExpectRefused("No identity");
  Answer(kApp, {.status = 503});
  AzureCredentials credentials(clock_, server_.url());
  EXPECT_TRUE(absl::IsUnavailable(credentials.Get(http_).status()));
  setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token", 1);
  EXPECT_TRUE(absl::IsUnavailable(credentials.Get(http_).status()));
  setenv("IDENTITY_ENDPOINT", "http://example.org/msi/token", 1);
  ExpectRefused("without TLS");
  setenv("IDENTITY_SERVER_THUMBPRINT", "x", 1);
  ExpectRefused("Service Fabric");
}

TEST_F(AzureCredentialsTest, WhatTheCliHasIsGoodUntilItSays) {
  setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1", 1);
  setenv("AZURE_TENANT_ID", "t", 1);
  WriteAz(R"(echo '{"accessToken":"logins","expiresOn":"2026-01-01 01:00:00.000000","expires_on":1767229200}')");
  EXPECT_EQ(*Get(), "logins");
  EXPECT_EQ(Heard(), "account get-access-token --output json --resource https://management.azure.com/ --tenant t");
  WriteAz("exit 1");
  clock_.Advance(absl::Minutes(56));
  EXPECT_EQ(*Get(), "logins") << "it is good for four more minutes";
  clock_.Advance(absl::Minutes(5));
  EXPECT_TRUE(absl::IsUnauthenticated(Get().status()));
  WriteAz("echo hush; echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1");
  ExpectRefused("Please run 'az login'");
  for (const char* const script : {"true", "echo '<html>'", "echo '{}'"}) {
    WriteAz(script);
    ExpectRefused("it wrote no access token; expected `az login`");
  }
}

TEST_F(AzureCredentialsTest, TheCliIsNotRunForEachCallThatItRefuses) {
  setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1", 1);
  for (const char* const refuses : {"echo 'no login' >&2; exit 1", "echo '{}'"}) {
    Write("runs", "");
    WriteAz(absl::StrCat("echo run >> ", Path("runs"), "; ", refuses));
    AzureCredentials credentials(clock_, server_.url());
    const auto refused = credentials.Get(http_).status();
    EXPECT_TRUE(absl::IsUnauthenticated(refused)) << refused;
    clock_.Advance(absl::Seconds(9));
    EXPECT_EQ(credentials.Get(http_).status(), refused);
    EXPECT_EQ(Read("runs"), "run\n");
    BeClient();
    setenv("AZURE_CLIENT_SECRET", "hush", 1);
    EXPECT_EQ(*credentials.Get(http_), "entra") << "another place has one";
    unsetenv("AZURE_CLIENT_SECRET");
    unsetenv("AZURE_CLIENT_ID");
    credentials.Drop();
    EXPECT_TRUE(absl::IsUnauthenticated(credentials.Get(http_).status()));
    EXPECT_EQ(Read("runs"), "run\nrun\n") << "of another tenant";
    unsetenv("AZURE_TENANT_ID");
    clock_.Advance(absl::Seconds(1));
    EXPECT_TRUE(absl::IsUnauthenticated(credentials.Get(http_).status()));
    EXPECT_EQ(Read("runs"), "run\nrun\nrun\n");
    WriteAz(R"(echo '{"accessToken":"logins","expires_on":1767229200}')");
    clock_.Advance(absl::Seconds(10));
    EXPECT_EQ(*credentials.Get(http_), "logins");
    credentials.Drop();
    EXPECT_EQ(*credentials.Get(http_), "logins");
  }
}

TEST_F(AzureCredentialsTest, AnEndpointThatIsThrottledIsNoRefusal) {
  BeClient();
  setenv("AZURE_CLIENT_SECRET", "hush", 1);
  Answer("/t/oauth2/v2.0/token", {.status = 429, .headers = {{"Retry-After", "9"}}});
  const auto busy = Get();
  EXPECT_TRUE(absl::IsUnavailable(busy.status())) << busy.status();
  EXPECT_EQ(RetryAfter(busy.status()), absl::Seconds(9));
  Answer("/t/oauth2/v2.0/token", {.body = "<html>"});
  EXPECT_TRUE(absl::IsUnavailable(Get().status()));
  Answer("/t/oauth2/v2.0/token",
         {.status = 401, .body = R"({"error":"invalid_client","error_description":"AADSTS7"})"});
  ExpectRefused("AZURE_CLIENT_SECRET: no access token: invalid_client AADSTS7");
}

}  // namespace
}  // namespace spotinference::fleet
