#include <atomic>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "engine/base/fake_clock.h"
#include "engine/base/fake_http_server.h"
#include "fleet/providers/aws/aws_client.h"
#include "fleet/providers/aws/aws_credentials.h"
#include "fleet/providers/aws/xml.h"
#include "fleet/providers/cloud/http.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(Xml, IsReadByNames) {
  const auto xml = Xml::Parse("<?xml version='1.0'?><a x='1'><b>one &amp; two</b><s><item>1</item><item/></s></a>");
  ASSERT_TRUE(xml.ok()) << xml.status();
  EXPECT_EQ(xml->name, "a");
  EXPECT_EQ((*xml)["b"].text, "one & two");
  ASSERT_EQ((*xml)["s"].Items().size(), 2);
  EXPECT_EQ((*xml)["s"].Items()[0]->text, "1");
  EXPECT_EQ((*xml)["none"]["there"].text, "");
}

TEST(Xml, RefusesWhatIsCutDeepOrHasADocumentType) {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep = "<a>" + deep + "</a>";
  for (const std::string& wrong : {std::string(), std::string("<a>"), std::string("text"), deep,
                                   std::string("<!DOCTYPE a [<!ENTITY b 'b'>]><a>&b;</a>")}) {
    EXPECT_TRUE(absl::IsUnavailable(Xml::Parse(wrong).status())) << wrong;
  }
}

TEST(AwsProfile, IsFoundByItsName) {
  constexpr char kFile[] =
      "# comment\n[default]\naws_access_key_id = A\naws_secret_access_key=s=1\n\n[work]\naws_access_key_id=B\n"
      "aws_secret_access_key=t\naws_session_token=u\n[half]\naws_access_key_id=C\n";
  const auto first = ParseAwsProfile(kFile, "default");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->id, "A");
  EXPECT_EQ(first->secret, "s=1");
  EXPECT_EQ(first->session_token, "");
  EXPECT_EQ(ParseAwsProfile(kFile, "work")->session_token, "u");
  EXPECT_TRUE(absl::IsNotFound(ParseAwsProfile(kFile, "half").status()));
  EXPECT_TRUE(absl::IsNotFound(ParseAwsProfile("", "default").status()));
}

// Of an instance's role, served by a metadata service that breaks.
TEST(AwsCredentials, AKeyThatHasExpiredIsNotGiven) {
  for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}) unsetenv(name);
  setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere", 1);
  std::atomic<bool> broken = false;
  FakeHttpServer metadata([&](const FakeHttpRequest& request) -> FakeHttpReply {
    if (broken) return {.status = 500};
    if (request.method == "PUT") return {.body = "t"};
    if (absl::EndsWith(request.target, "/security-credentials/")) return {.body = "role"};
    return {.body = R"({"AccessKeyId":"A","SecretAccessKey":"s","Token":"t","Expiration":"2026-01-01T01:00:00Z"})"};
  });
  FakeClock clock;  // begins an hour before that
  setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url().c_str(), 1);
  AwsCredentials credentials(clock);
  CloudHttp http;
  ASSERT_EQ(credentials.Get(http)->id, "A");
  broken = true;
  clock.Advance(absl::Minutes(56));
  EXPECT_EQ(credentials.Get(http)->id, "A") << "it is good for four more minutes";
  clock.Advance(absl::Minutes(4));
  EXPECT_FALSE(credentials.Get(http).ok());
  EXPECT_FALSE(credentials.Get(http).ok());
  broken = false;
  EXPECT_EQ(credentials.Get(http)->id, "A") << "asked for anew";
}

TEST(AwsError, SaysWhatToDoNext) {
  const HttpResponse refused = {.status = 400}, busy = {.status = 503, .headers = {{"Retry-After", "7"}}};
  EXPECT_TRUE(absl::IsResourceExhausted(AwsError({.status = 500}, "InsufficientInstanceCapacity", "")));
  EXPECT_TRUE(absl::IsResourceExhausted(AwsError(refused, "MaxSpotInstanceCountExceeded", "")));
  EXPECT_TRUE(absl::IsResourceExhausted(AwsError(refused, "InsufficientVolumeCapacity", "")));
  EXPECT_TRUE(absl::IsUnavailable(AwsError(refused, "ThrottlingException", "")));
  EXPECT_TRUE(absl::IsUnavailable(AwsError(refused, "ExpiredTokenException", ""))) << "the next key is good";
  EXPECT_EQ(RetryAfter(AwsError(busy, "RequestLimitExceeded", "")), absl::Seconds(7));
  EXPECT_TRUE(absl::IsNotFound(AwsError(refused, "InvalidInstanceID.NotFound", "")));
  EXPECT_TRUE(absl::IsFailedPrecondition(AwsError(refused, "IncorrectState", "")));
  EXPECT_TRUE(absl::IsPermissionDenied(AwsError({.status = 403}, "UnauthorizedOperation", "")));
  EXPECT_TRUE(absl::IsInvalidArgument(AwsError(refused, "InvalidParameterValue", "")));
  EXPECT_TRUE(absl::IsUnavailable(AwsError({.status = 500}, "SomethingNew", "")));
}

}  // namespace
}  // namespace spotinference::fleet
