#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/sim/csv.h"
#include "fleet/sim/market.h"

namespace spotinference::fleet::sim {
namespace {

constexpr absl::string_view kHead =
    "provider,instance_type,accelerator,count,region,zone,on_demand_usd_per_hour,spot_usd_per_hour";
constexpr double kDearest = 1e6;  // dollars an hour

// An empty one is not offered.
absl::StatusOr<double> Price(absl::string_view field) {
  double price = 0;
  if (!field.empty() && (!absl::SimpleAtod(field, &price) || !(price >= 0 && price <= kDearest))) {
    return absl::InvalidArgumentError(absl::StrCat("'", absl::CHexEscape(field), "' is no price in dollars an hour"));
  }
  return price;
}

}  // namespace

absl::StatusOr<std::vector<PriceRow>> ParsePrices(absl::string_view text, absl::string_view name) {
  std::vector<PriceRow> rows;
  const absl::Status status = ForEachRow(text, name, kHead, [&](const CsvRow& fields) -> absl::Status {
    PriceRow row = {.provider = std::string(fields[0]),
                    .machine_type = std::string(fields[1]),
                    .accelerator = std::string(fields[2]),
                    .region = std::string(fields[4]),
                    .zone = std::string(fields[5])};
    if (!absl::SimpleAtoi(fields[3], &row.accelerators) || row.accelerators < 1) {
      return absl::InvalidArgumentError(absl::StrCat("'", absl::CHexEscape(fields[3]), "' is no count from 1"));
    }
    ASSIGN_OR_RETURN(row.on_demand, Price(fields[6]));
    ASSIGN_OR_RETURN(row.spot, Price(fields[7]));
    rows.push_back(std::move(row));
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return rows;
}

}  // namespace spotinference::fleet::sim
