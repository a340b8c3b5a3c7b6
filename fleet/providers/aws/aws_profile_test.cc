#include "fleet/providers/aws/aws_profile.h"

#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(AwsProfiles, AreInBothFiles) {
  constexpr char kConfig[] =
      "[default]\nregion=eu-west-1\noutput = json\n[profile work]\nROLE_ARN : arn:aws:iam::1:role/r\nregion = a\n"
      "[profile \"two words\"]\nx=1\n[sso-session s]\nsso_region=us-east-1\n[work]\nnot=a profile\n"
      "[services t]\ny=2\n";
  constexpr char kCredentials[] =
      "# comment\n ; another\n[default]\naws_access_key_id = A\naws_secret_access_key=s=1\n\n[work]\nregion=b\n"
      "[empty]\n";
  const auto profiles = ParseAwsProfiles(kConfig, kCredentials);
  ASSERT_TRUE(profiles.ok()) << profiles.status();
  EXPECT_EQ(SettingOf(profiles->config.at("default"), "region"), "eu-west-1");
  EXPECT_EQ(SettingOf(profiles->config.at("default"), "aws_access_key_id"), "");
  EXPECT_EQ(SettingOf(profiles->credentials.at("default"), "aws_secret_access_key"), "s=1");
  EXPECT_EQ(SettingOf(profiles->merged.at("default"), "output"), "json");
  EXPECT_EQ(SettingOf(profiles->merged.at("default"), "aws_access_key_id"), "A");
  EXPECT_EQ(SettingOf(profiles->merged.at("work"), "role_arn"), "arn:aws:iam::1:role/r");
  EXPECT_EQ(SettingOf(profiles->merged.at("work"), "region"), "b") << "the credentials file's";
  EXPECT_EQ(SettingOf(profiles->merged.at("two words"), "x"), "1");
  EXPECT_EQ(SettingOf(profiles->sso_sessions.at("s"), "sso_region"), "us-east-1");
  EXPECT_EQ(profiles->merged.count("empty"), 1);
  EXPECT_EQ(profiles->config.size(), 3);
  EXPECT_EQ(profiles->merged.size(), 4);
}

TEST(AwsProfiles, AnIndentedLineGoesOnWithTheValue) {
  const auto profiles = ParseAwsProfiles(
      "[default]\n  s3 =\n    a = 1\n    b = 2\r\n  region = c\r\n\n[profile x]\nname = one\n\n  two\nother=d\n", "");
  ASSERT_TRUE(profiles.ok()) << profiles.status();
  EXPECT_EQ(SettingOf(profiles->config.at("default"), "s3"), "\na = 1\nb = 2");
  EXPECT_EQ(SettingOf(profiles->config.at("default"), "region"), "c");
  EXPECT_EQ(SettingOf(profiles->config.at("x"), "name"), "one\n\ntwo");
  EXPECT_EQ(SettingOf(profiles->config.at("x"), "other"), "d");
}

TEST(AwsProfiles, ASectionMayBeOfAll) {
  const auto profiles = ParseAwsProfiles("[profile x]\na=1\n[DEFAULT]\na=2\nb=3\n", "");
  ASSERT_TRUE(profiles.ok()) << profiles.status();
  EXPECT_EQ(SettingOf(profiles->config.at("x"), "a"), "1");
  EXPECT_EQ(SettingOf(profiles->config.at("x"), "b"), "3");
  EXPECT_EQ(profiles->config.count("DEFAULT"), 0);
}

TEST(AwsProfiles, WhatIsNoSuchFileIsRefusedWithoutItsText) {
  for (const char* wrong :
       {"secret", "[default]\nsecret", "[default]\n= secret", "secret=1\n[default]", "[]\n", "[default]\n[default]\n",
        "[default]\na=1\nA=2\n", "[default]\ns3 =\n  secret\n", "[default\na=1\n"}) {
    for (const bool is_config : {false, true}) {
      const auto profiles = is_config ? ParseAwsProfiles(wrong, "") : ParseAwsProfiles("", wrong);
      EXPECT_TRUE(absl::IsInvalidArgument(profiles.status())) << wrong;
      EXPECT_FALSE(absl::StrContains(profiles.status().message(), "secret")) << profiles.status();
      EXPECT_TRUE(absl::StrContains(profiles.status().message(), is_config ? "config" : "credentials"));
    }
  }
  EXPECT_TRUE(ParseAwsProfiles("", "").ok());
}

TEST(AwsProfiles, SayWhereAServiceIs) {
  const auto profiles = ParseAwsProfiles(
      "[default]\nservices=here\nendpoint_url=http://all\n[profile all]\nendpoint_url=http://all\n"
      "[profile none]\n[profile wrong]\nservices=there\n"
      "[services here]\nsts =\n  other = x\n  endpoint_url = http://sts?a=b\nsso = flat\n", "");
  ASSERT_TRUE(profiles.ok()) << profiles.status();
  const auto endpoint = [&](const std::string& profile, const std::string& service) {
    return EndpointOf(*profiles, profiles->merged.at(profile), service);
  };
  EXPECT_EQ(*endpoint("default", "sts"), "http://sts?a=b");
  EXPECT_EQ(*endpoint("default", "sso"), "http://all");
  EXPECT_EQ(*endpoint("default", "sso_oidc"), "http://all");
  EXPECT_EQ(*endpoint("all", "sts"), "http://all");
  EXPECT_EQ(*endpoint("none", "sts"), "");
  EXPECT_TRUE(absl::IsInvalidArgument(endpoint("wrong", "sts").status()));
}

}  // namespace
}  // namespace spotinference::fleet
