#include "fleet/providers/gcp/gcp_prices.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace spotinference::fleet {
namespace {

// "Spot Preemptible G2 Instance Core running in Americas" → "G2 CORE"; "Nvidia L4 GPU attached to Spot Preemptible VMs
// running in Iowa" → "L4". "": none of what we buy.
std::string PartOf(const std::string& description) {
  std::string text = absl::AsciiStrToUpper(description);
  if (absl::StrContains(text, "CUSTOM") || absl::StrContains(text, "COMMITMENT") ||
      absl::StrContains(text, "SOLE TENANCY") || absl::StrContains(text, "DWS") ||
      absl::StrContains(text, "RESERVED")) {
    return "";
  }
  absl::string_view rest = text;
  absl::ConsumePrefix(&rest, "SPOT PREEMPTIBLE ");
  if (const size_t running = rest.find(" RUNNING IN "); running != rest.npos) rest = rest.substr(0, running);
  if (const size_t attached = rest.find(" ATTACHED TO "); attached != rest.npos) rest = rest.substr(0, attached);
  if (absl::ConsumeSuffix(&rest, " INSTANCE CORE")) return absl::StrCat(rest, " CORE");
  if (absl::ConsumeSuffix(&rest, " INSTANCE RAM")) return absl::StrCat(rest, " RAM");
  if (absl::ConsumePrefix(&rest, "NVIDIA ") && absl::ConsumeSuffix(&rest, " GPU")) {
    absl::ConsumePrefix(&rest, "TESLA ");
    return std::string(rest);
  }
  return "";
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
  const Market market = usage == "OnDemand" ? Market::kOnDemand : Market::kSpot;
  double dollars = 0;
  for (const Json& info : sku["pricingInfo"].Items()) {
    for (const Json& rate : info["pricingExpression"]["tieredRates"].Items()) {
      const Json price = rate["unitPrice"];
      dollars = price["units"].Number().value_or(0) + price["nanos"].Number().value_or(0) * 1e-9;
    }
  }
  if (dollars <= 0) return;
  for (const Json& region : sku["serviceRegions"].Items()) dollars_[{part, region.Text(), market}] = dollars;
}

std::optional<double> GcpPrices::PriceOf(const GcpMachineType& type, const std::string& region, Market market) const {
  const std::string family = absl::AsciiStrToUpper(type.name.substr(0, type.name.find('-')));
  double sum = 0;
  const auto add = [&](const std::string& part, double count) {
    const auto found = dollars_.find({part, region, market});
    if (count > 0 && found == dollars_.end()) return false;
    if (count > 0) sum += found->second * count;
    return true;
  };
  if (!add(family + " CORE", type.cores) || !add(family + " RAM", type.gigabytes) ||
      !add(SkuName(type.accelerator), type.accelerators) || sum <= 0) {
    return std::nullopt;
  }
  return sum;
}

}  // namespace spotinference::fleet
