// One page of HTML that says what each policy would have cost and how it served; everything is in it.
#ifndef FLEET_SIM_HTML_REPORT_H_
#define FLEET_SIM_HTML_REPORT_H_

#include <string>
#include <vector>

#include "fleet/sim/result.h"

namespace spotinference::fleet::sim {

struct ReportInput {
  std::string title, command, requests_name;  // for people
  double target_share = 0.999, target_seconds = 30;
  double month_factor = 0;                   // above 0: costs are also told for a month, which is this many runs
  std::vector<std::string> prices;           // by market: where its prices are from
  std::vector<Result> totals;                // by policy; on_demand is the first
  std::vector<std::vector<Result>> markets;  // by policy, then by market
};

std::string HtmlReport(const ReportInput& input);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_HTML_REPORT_H_
