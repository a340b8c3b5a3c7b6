#include "fleet/providers/aws/aws_quotas.h"

#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

// Names as the guide for EC2 users has them.
AwsQuotas Quotas() {
  AwsQuotas quotas("us-east-1");
  quotas.Add("Running On-Demand G and VT instances", 8);
  quotas.Add("Running On-Demand P instances", 0);
  quotas.Add("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5);
  quotas.Add("All G and VT Spot Instance Requests", 0);
  quotas.Add("All P4, P3 and P2 Spot Instance Requests", 100);
  quotas.Add("All P5 Spot Instance Requests", 0);
  quotas.Add("Running Dedicated g6 Hosts", 0);
  return quotas;
}

TEST(AwsQuotas, AreOfAFamilyAndAMarket) {
  const AwsQuotas quotas = Quotas();
  EXPECT_EQ(quotas.WhyOver("g6.xlarge", Market::kOnDemand, 4), "");
  EXPECT_EQ(quotas.WhyOver("g6.xlarge", Market::kSpot, 4),
            "the quota All G and VT Spot Instance Requests in us-east-1 (limit 0, in use 0, a machine needs 4)");
  EXPECT_EQ(quotas.WhyOver("gr6.4xlarge", Market::kSpot, 16), "") << "no name has its family";
  EXPECT_NE(quotas.WhyOver("p4d.24xlarge", Market::kOnDemand, 96), "");
  EXPECT_EQ(quotas.WhyOver("p4d.24xlarge", Market::kSpot, 96), "");
  EXPECT_NE(quotas.WhyOver("p5en.48xlarge", Market::kSpot, 192), "");
  EXPECT_NE(quotas.WhyOver("m7i.2xlarge", Market::kOnDemand, 8), "");
  EXPECT_EQ(quotas.WhyOver("m7i.2xlarge", Market::kSpot, 8), "") << "nobody has told of it";
}

TEST(AwsQuotas, AreUsedByAllThatRuns) {
  AwsQuotas quotas = Quotas();
  quotas.Use("g5.xlarge", Market::kOnDemand, 4);
  quotas.Use("g6.xlarge", Market::kSpot, 4);
  EXPECT_EQ(quotas.WhyOver("g6.xlarge", Market::kOnDemand, 4), "");
  quotas.Use("vt1.3xlarge", Market::kOnDemand, 1);
  EXPECT_EQ(quotas.WhyOver("g6.xlarge", Market::kOnDemand, 4),
            "the quota Running On-Demand G and VT instances in us-east-1 (limit 8, in use 5, a machine needs 4)");
}

TEST(AwsQuotas, WhatIsNoTypeHasNone) {
  const AwsQuotas quotas = Quotas();
  for (const char* const type : {"", ".", "6", "-", "u-6tb1.metal"}) {
    EXPECT_EQ(quotas.WhyOver(type, Market::kSpot, 1e9), "") << type;
  }
}

}  // namespace
}  // namespace spotinference::fleet
