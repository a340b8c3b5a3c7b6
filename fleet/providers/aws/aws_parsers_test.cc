#include <string>

#include "fleet/providers/aws/aws_client.h"
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
