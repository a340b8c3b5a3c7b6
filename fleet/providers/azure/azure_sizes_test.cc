#include "fleet/providers/azure/azure_sizes.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(AzureSizes, HaveTheAcceleratorOfTheirNameOrOfTheirFamily) {
  const std::vector<std::pair<std::string, std::string>> sizes = {
      {"Standard_NC4as_T4_v3", "T4"},
      {"Standard_NC6s_v3", "V100"},
      {"Standard_NC24rs_v3", "V100"},
      {"Standard_ND40rs_v2", "V100-32GB"},
      {"Standard_ND96asr_v4", "A100"},
      {"Standard_ND96amsr_A100_v4", "A100-80GB"},
      {"Standard_NC24ads_A100_v4", "A100-80GB"},
      {"Standard_NC40ads_H100_v5", "H100"},
      {"Standard_NC80adis_H100_v5", "H100"},
      {"Standard_NCC40ads_H100_v5", "H100"},
      {"Standard_ND96isr_H100_v5", "H100"},
      {"Standard_ND96isr_H200_v5", "H200"},
      {"Standard_ND128isr_NDR_GB200_v6", "GB200"},
      {"Standard_ND128isr_GB300_v6", "GB300"},
      {"Standard_ND96isr_MI300X_v5", "MI300X"},
      {"Standard_NC8ads_A10_v4", "A10"},
      {"Standard_NV36ads_A10_v5", "A10"},
      {"Standard_NC144lds_xl_RTXPRO6000BSE_v6", "RTX-PRO-6000"},
      {"Standard_NV12s_v3", "M60"},
      {"Standard_NV16as_v4", "MI25"},
      {"Standard_NV24ads_V710_v5", "V710"},
      {"Standard_NG32ads_V620_v1", "V620"},
      {"Standard_D4s_v3", ""},
      {"Standard_E96ads_v5", ""},
      {"Standard_NP10s", ""},
      {"Standard", ""},
      {"", ""},
  };
  for (const auto& [size, accelerator] : sizes) EXPECT_EQ(AcceleratorOfSize(size), accelerator) << size;
}

TEST(AzureSizes, TheSmallerOnesOfSomeFamiliesHaveAPartOfOne) {
  for (const char* const part :
       {"Standard_NV6ads_A10_v5", "Standard_NV12ads_A10_v5", "Standard_NV18ads_A10_v5", "Standard_NV4as_v4",
        "Standard_NV16as_v4", "Standard_NV4ads_V710_v5", "Standard_NV12ads_V710_v5", "Standard_NG8ads_V620_v1",
        "Standard_NG16ads_V620_v1", "Standard_NC24lds_xl_RTXPRO6000BSE_v6", "Standard_NC72ds_xl_RTXPRO6000BSE_v6"}) {
    EXPECT_TRUE(HasPartOfAccelerator(part)) << part;
  }
  for (const char* const whole :
       {"Standard_NV36ads_A10_v5", "Standard_NV36adms_A10_v5", "Standard_NV72ads_A10_v5", "Standard_NV32as_v4",
        "Standard_NV24ads_V710_v5", "Standard_NV28adms_V710_v5", "Standard_NG32adms_V620_v1",
        "Standard_NC144lds_xl_RTXPRO6000BSE_v6", "Standard_NC288ds_xl_RTXPRO6000BSE_v6", "Standard_NC8ads_A10_v4",
        "Standard_NV12s_v3", "Standard_NC4as_T4_v3", "Standard_NC24ads_A100_v4", "Standard_NVads_A10_v5",
        "Standard_NV99999999999ads_A10_v5", "Standard_D4s_v3", "Standard", ""}) {
    EXPECT_FALSE(HasPartOfAccelerator(whole)) << whole;
  }
}

}  // namespace
}  // namespace spotinference::fleet
