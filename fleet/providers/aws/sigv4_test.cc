// Cases of AWS's published test suite for Signature Version 4. //tests/clouds:boto3_test holds it to botocore's, too.
#include "fleet/providers/aws/sigv4.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

const AwsKey kKey = {.id = "AKIDEXAMPLE", .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
const AwsScope kScope = {.region = "us-east-1", .service = "service"};
constexpr char kHost[] = "example.amazonaws.com";

std::string Signed(absl::string_view method, absl::string_view query, absl::string_view body, HttpHeaders headers) {
  absl::Time now;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, "2015-08-30T12:36:00Z", &now, &error));
  SignV4(method, kHost, "/", query, body, kKey, kScope, now, headers);
  EXPECT_EQ(FindHeader(headers, "x-amz-date"), "20150830T123600Z");
  return std::string(*FindHeader(headers, "authorization"));
}

std::string Expected(absl::string_view names, absl::string_view signature) {
  return absl::StrCat("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=",
                      names, ", Signature=", signature);
}

TEST(SigV4, GetVanilla) {
  EXPECT_EQ(Signed("GET", "", "", {}),
            Expected("host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"));
}

TEST(SigV4, GetVanillaQueryOrderKeyCase) {
  EXPECT_EQ(Signed("GET", "Param2=value2&Param1=value1", "", {}),
            Expected("host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"));
}

TEST(SigV4, PostXWwwFormUrlencoded) {
  EXPECT_EQ(
      Signed("POST", "", "Param1=value1", {{"Content-Type", "application/x-www-form-urlencoded"}}),
      Expected("content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"));
}

}  // namespace
}  // namespace spotinference::fleet
