#include "fleet/providers/gcp/gcp_prices.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {
namespace {

// SKUs of accelerators that are called otherwise, as services.skus.list has them.
struct Called {
  absl::string_view sku, part;
};
constexpr Called kCalled[] = {{"H200 141GB GPU", "H200 141GB"},
                              {"RTX 6000 96GB", "RTX PRO 6000"},
                              {"A4 NVIDIA B200 (1 GPU SLICE)", "B200"}};  // with its cores and memory

// "Spot Preemptible G2 Instance Core running in Americas" → "G2 CORE"; "Nvidia L4 GPU attached to Spot Preemptible VMs
// running in Iowa" → "L4". "": none of what we buy.
std::string PartOf(const std::string& description) {
  std::string text = absl::AsciiStrToUpper(description);
  if (absl::StrContains(text, "CUSTOM") || absl::StrContains(text, "COMMITMENT") ||
      absl::StrContains(text, "SOLE TENANCY") || absl::StrContains(text, "DWS") ||
      absl::StrContains(text, "CALENDAR MODE") || absl::StrContains(text, "RESERVED")) {
    return "";
  }
  absl::string_view rest = text;
  absl::ConsumePrefix(&rest, "SPOT PREEMPTIBLE ");
  if (const size_t running = rest.find(" RUNNING IN "); running != rest.npos) rest = rest.substr(0, running);
  if (const size_t attached = rest.find(" ATTACHED TO "); attached != rest.npos) rest = rest.substr(0, attached);
  if (absl::ConsumeSuffix(&rest, " INSTANCE CORE")) return absl::StrCat(rest, " CORE");
  if (absl::ConsumeSuffix(&rest, " INSTANCE RAM")) return absl::StrCat(rest, " RAM");
  for (const Called& called : kCalled) {
    if (rest == called.sku) return std::string(called.part);
  }
  if (absl::ConsumePrefix(&rest, "NVIDIA ") && absl::ConsumeSuffix(&rest, " GPU")) {
    absl::ConsumePrefix(&rest, "TESLA ");
    return std::string(rest);
  }
  return "";
}

// Of its cores and memory, "A3" of "a3-highgpu-8g"; "": they have no SKUs.
std::string FamilyOf(absl::string_view type) {
  if (absl::StartsWith(type, "a3-ultragpu-")) return "A3ULTRA";
  if (absl::StartsWith(type, "a4-")) return "";
  return absl::AsciiStrToUpper(type.substr(0, type.find('-')));
}

// What has a price on demand and yet is sold only as spot or reserved, and parts of one accelerator, of which the API
// says that they are one: https://cloud.google.com/compute/docs/accelerator-optimized-machines, "Consumption option
// availability by machine type" and "G4 machine series".
bool IsNotSold(const GcpMachineType& type, Market market) {
  if (absl::StartsWith(type.name, "g4-") && type.cores < 48 * type.accelerators) return true;
  const bool is_reserved = absl::StartsWith(type.name, "a3-ultragpu-") || absl::StartsWith(type.name, "a4-");
  return is_reserved && market == Market::kOnDemand;
}

// "nvidia-tesla-a100" → "A100"
std::string SkuName(const std::string& accelerator) {
  const std::string text = absl::AsciiStrToUpper(absl::StrReplaceAll(accelerator, {{"-", " "}}));
  absl::string_view rest = text;
  absl::ConsumePrefix(&rest, "NVIDIA ");
  absl::ConsumePrefix(&rest, "TESLA ");
  return std::string(rest);
}

}  // namespace

void GcpPrices::Add(const Json& sku) {
  const std::string usage = sku["category"]["usageType"].Text();
  const std::string part = PartOf(sku["description"].Text());
  if (part.empty() || (usage != "OnDemand" && usage != "Preemptible")) return;
  // Some are called spot and are in the category of what is sold on demand.
  const bool is_spot = usage == "Preemptible" || absl::StrContains(sku["description"].Text(), "Spot Preemptible");
  const Market market = is_spot ? Market::kSpot : Market::kOnDemand;
  Price price;
  for (const Json& info : sku["pricingInfo"].Items()) {
    price.since = TimeIn(info["effectiveTime"].Text());
    for (const Json& rate : info["pricingExpression"]["tieredRates"].Items()) {
      const Json unit = rate["unitPrice"];
      price.dollars = unit["units"].Number().value_or(0) + unit["nanos"].Number().value_or(0) * 1e-9;
    }
  }
  if (price.dollars <= 0) return;
  for (const Json& region : sku["serviceRegions"].Items()) prices_[{part, region.Text(), market}] = price;
}

// All of it has been what it is now since the last of its parts changed.
std::optional<GcpPrices::Price> GcpPrices::PriceOf(const GcpMachineType& type, const std::string& region,
                                                   Market market) const {
  if (IsNotSold(type, market)) return std::nullopt;
  const std::string family = FamilyOf(type.name);
  const double has_family = family.empty() ? 0 : 1;
  Price sum;
  const auto add = [&](const std::string& part, double count) {
    const auto found = prices_.find({part, region, market});
    if (count > 0 && found == prices_.end()) return false;
    if (count <= 0) return true;
    sum.dollars += found->second.dollars * count;
    sum.since = std::max(sum.since, found->second.since);
    return true;
  };
  if (!add(family + " CORE", type.cores * has_family) || !add(family + " RAM", type.gigabytes * has_family) ||
      !add(SkuName(type.accelerator), type.accelerators) || sum.dollars <= 0) {
    return std::nullopt;
  }
  return sum;
}

}  // namespace spotinference::fleet
