#include "fleet/providers/gcp/gcp_prices.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

constexpr double kCore = 0.05, kGigabyte = 0.005;

// SKUs as the catalog has them; `usage`: its category's.
class GcpPricesTest : public testing::Test {
 protected:
  void Sell(const std::string& description, double dollars, const std::string& usage = "OnDemand") {
    prices_.Add(*Json::Parse(absl::StrCat(
        R"({"description":")", description, R"(","category":{"usageType":")", usage,
        R"("},"serviceRegions":["us-central1"],"pricingInfo":[{"effectiveTime":"2026-01-01T00:00:00Z",)",
        R"("pricingExpression":{"tieredRates":[{"unitPrice":{"units":"0","nanos":)", dollars * 1e9, "}}]}}]}")));
  }
  void SellFamily(const std::string& family) {
    Sell(family + " Instance Core running in Americas", kCore);
    Sell(family + " Instance Ram running in Americas", kGigabyte);
    Sell(absl::StrCat("Spot Preemptible ", family, " Instance Core running in Americas"), kCore / 2, "Preemptible");
    Sell(absl::StrCat("Spot Preemptible ", family, " Instance Ram running in Americas"), kGigabyte / 2, "Preemptible");
  }
  double PriceOf(const GcpMachineType& type, Market market) const {
    const auto price = prices_.PriceOf(type, "us-central1", market);
    return price.has_value() ? price->dollars : 0;
  }

  GcpPrices prices_;
};

TEST_F(GcpPricesTest, OfAMachineAreThoseOfItsParts) {
  SellFamily("G2");
  Sell("Nvidia L4 GPU running in Americas", 0.6);
  Sell("Nvidia L4 GPU attached to Spot Preemptible VMs running in Americas", 0.2, "Preemptible");
  Sell("Nvidia L4 GPU attached to DWS Defined Duration VMs running in Americas", 0.1);
  Sell("G2 Custom Instance Core running in Americas", 9);
  const GcpMachineType type = {"g2-standard-4", 4, 16, "nvidia-l4", 1};
  EXPECT_DOUBLE_EQ(PriceOf(type, Market::kOnDemand), 4 * kCore + 16 * kGigabyte + 0.6);
  EXPECT_DOUBLE_EQ(PriceOf(type, Market::kSpot), 2 * kCore + 8 * kGigabyte + 0.2);
  EXPECT_EQ(PriceOf({"g2-standard-4", 4, 16, "nvidia-l40", 1}, Market::kSpot), 0) << "what has no price is not sold";
}

TEST_F(GcpPricesTest, H200IsOfAFamilyOfItsOwn) {
  SellFamily("A3");
  Sell("H200 141GB GPU running in Americas", 9);
  Sell("H200 141GB GPU attached to Spot Preemptible VMs running in Americas", 4, "Preemptible");
  const GcpMachineType type = {"a3-ultragpu-8g", 224, 2952, "nvidia-h200-141gb", 8};
  EXPECT_EQ(PriceOf(type, Market::kSpot), 0) << "its cores are not A3's";
  SellFamily("A3Ultra");
  EXPECT_DOUBLE_EQ(PriceOf(type, Market::kSpot), 112 * kCore + 1476 * kGigabyte + 32);
  EXPECT_EQ(PriceOf(type, Market::kOnDemand), 0) << "it is sold as spot or reserved";
}

TEST_F(GcpPricesTest, B200IsSoldWithItsShareOfTheMachine) {
  Sell("A4 Nvidia B200 (1 gpu slice) running in Americas", 0.9);
  Sell("Spot Preemptible A4 Nvidia B200 (1 gpu slice) running in Americas", 0.3);  // OnDemand, as the catalog has it
  Sell("DWS Calendar Mode A4 Nvidia B200 (1 gpu slice) running in Americas", 0.1);
  const GcpMachineType type = {"a4-highgpu-8g", 224, 3968, "nvidia-b200", 8};
  EXPECT_DOUBLE_EQ(PriceOf(type, Market::kSpot), 2.4);
  EXPECT_EQ(PriceOf(type, Market::kOnDemand), 0) << "it is sold as spot or reserved";
}

TEST_F(GcpPricesTest, RtxPro6000HasAnotherNameAndIsNotSoldInPartsOfOne) {
  SellFamily("G4");
  Sell("RTX 6000 96GB running in Americas", 1);
  Sell("RTX 6000 96GB attached to Spot Preemptible VMs running in Americas", 0.4, "Preemptible");
  Sell("1/8 vGPU no lssd running in Americas", 0.6);
  const GcpMachineType type = {"g4-standard-48", 48, 180, "nvidia-rtx-pro-6000", 1};
  EXPECT_DOUBLE_EQ(PriceOf(type, Market::kOnDemand), 48 * kCore + 180 * kGigabyte + 1);
  EXPECT_DOUBLE_EQ(PriceOf(type, Market::kSpot), 24 * kCore + 90 * kGigabyte + 0.4);
  // The API says of an eighth that it is one.
  EXPECT_EQ(PriceOf({"g4-standard-6", 6, 22, "nvidia-rtx-pro-6000", 1}, Market::kSpot), 0);
  EXPECT_EQ(PriceOf({"g4-standard-24", 24, 90, "nvidia-rtx-pro-6000", 1}, Market::kOnDemand), 0);
  EXPECT_GT(PriceOf({"g4-standard-96", 96, 360, "nvidia-rtx-pro-6000", 2}, Market::kSpot), 0);
}

}  // namespace
}  // namespace spotinference::fleet
