#include "fleet/providers/cloud/accelerator.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Names = std::vector<std::pair<std::string, std::string>>;

TEST(AcceleratorName, IsOneForAllThatCloudsCallIt) {
  const Names names = {
      // Google
      {"nvidia-l4", "L4"},
      {"nvidia-tesla-t4", "T4"},
      {"nvidia-tesla-v100", "V100"},
      {"nvidia-tesla-a100", "A100"},
      {"nvidia-a100-80gb", "A100-80GB"},
      {"nvidia-h100-80gb", "H100"},
      {"nvidia-h100-mega-80gb", "H100"},
      {"nvidia-h200-141gb", "H200"},
      {"nvidia-b200", "B200"},
      {"nvidia-rtx-pro-6000", "RTX-PRO-6000"},
      // Hyperstack
      {"L40", "L40"},
      {"A100-80G-PCIe", "A100-80GB"},
      {"A100-80G-PCIe-NVLink", "A100-80GB"},
      {"A100-80G-SXM4", "A100-80GB"},
      {"H100-80G-PCIe-spot", "H100"},
      {"H100-80G-SXM5", "H100"},
      {"H200-141G-SXM5", "H200"},
      {"B200-SXM", "B200"},
      {"RTX-A6000", "RTX-A6000"},
      {"RTX-A6000-ada", "RTX-A6000-ADA"},
      {"RTX-PRO6000-SE", "RTX-PRO-6000"},
      // AWS
      {"L40S", "L40S"},
      {"T4g", "T4G"},
      {"RTX PRO Server 6000", "RTX-PRO-6000"},
      {"RTX PRO 4500", "RTX-PRO-4500"},
      {"", ""},
  };
  for (const auto& [word, name] : names) EXPECT_EQ(AcceleratorName(word), name) << word;
}

TEST(AcceleratorName, KeepsKindsOfOneNameApartByTheirMemory) {
  EXPECT_EQ(AcceleratorName("A100", 40), "A100");
  EXPECT_EQ(AcceleratorName("A100", 80), "A100-80GB");
  EXPECT_EQ(AcceleratorName("V100", 16), "V100");
  EXPECT_EQ(AcceleratorName("V100", 32), "V100-32GB");
  EXPECT_EQ(AcceleratorName("H100", 80), "H100");
  EXPECT_EQ(AcceleratorName("L4", 22), "L4");
}

}  // namespace
}  // namespace spotinference::fleet
