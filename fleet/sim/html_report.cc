#include "fleet/sim/html_report.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "fleet/sim/plots.h"

namespace spotinference::fleet::sim {
namespace {

constexpr absl::string_view kStyle =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 "
    "1rem;color:#222;background:#fff}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:1rem 0}td{white-space:nowrap}th,td{padding:.3rem "
    ".6rem;text-align:right;vertical-align:bottom;"
    "border-bottom:1px solid "
    "#ddd}th:first-child,td:first-child{text-align:left}.big{font-size:1.3rem}svg{max-width:100%;height:auto}"
    "code{font-size:.85rem;word-break:break-all}.ours td{font-weight:600;background:#eef7f3}small{color:#666}"
    "details td{text-align:left;font-size:.85rem;white-space:normal}";

const Result* Find(const std::vector<Result>& totals, absl::string_view policy) {
  for (const Result& r : totals) {
    if (r.policy == policy) return &r;
  }
  return nullptr;
}

void Headline(const ReportInput& in, std::string& html) {
  const Result* const ours = Find(in.totals, "ours");
  const Result& on_demand = in.totals[0];
  if (ours == nullptr || on_demand.cost() <= 0) return;
  absl::StrAppendFormat(
      &html,
      "<p class=\"big\">Spot capacity, bought by spotinference's planner, would have cost <b>%s</b> instead of "
      "<b>%s</b> on demand: <b>%.0f %% less</b>. %.3f %% of requests had their first token within %g s.</p>\n",
      Dollars(ours->cost()), Dollars(on_demand.cost()), 100 * (1 - ours->cost() / on_demand.cost()),
      100 * ours->served_within_target(), in.target_seconds);
  if (in.month_factor > 0) {
    absl::StrAppendFormat(&html, "<p class=\"big\">A month: <b>%s</b> instead of %s.</p>\n",
                          Dollars(ours->cost() * in.month_factor), Dollars(on_demand.cost() * in.month_factor));
  }
}

void PolicyTable(const ReportInput& in, const std::vector<Result>& results, std::string& html) {
  const Result* const least = Find(results, "omniscient");
  absl::StrAppend(
      &html, "<table><tr><th>policy</th><th>cost</th>", in.month_factor > 0 ? "<th>a month</th>" : "",
      "<th>of on demand</th>", least == nullptr ? "" : "<th>above omniscient</th>",
      "<th>in time</th><th>waited p99</th><th>taken</th><th>spot h</th><th>on-demand h</th>"
      "<th>idle</th></tr>\n");
  for (const Result& r : results) {
    absl::StrAppendFormat(&html, "<tr%s><td>%s</td><td>%s</td>", r.policy == "ours" ? " class=\"ours\"" : "",
                          Escaped(r.policy), Dollars(r.cost()));
    if (in.month_factor > 0) absl::StrAppendFormat(&html, "<td>%s</td>", Dollars(r.cost() * in.month_factor));
    absl::StrAppendFormat(&html, "<td>%.1f %%</td>", 100 * r.cost() / std::max(1e-9, results[0].cost()));
    if (least != nullptr) {
      const std::optional<double> gap = GapToLeast(r, least->cost());
      absl::StrAppend(&html, "<td>", gap.has_value() ? absl::StrFormat("%.1f %%", 100 * *gap) : "", "</td>");
    }
    absl::StrAppendFormat(
        &html, "<td>%.3f %%</td><td>%s</td><td>%d</td><td>%.0f</td><td>%.0f</td><td>%.0f %%</td></tr>\n",
        100 * r.served_within_target(), WaitText(r.WaitedPercentile(0.99)), r.interruptions, r.spot_hours.sum(),
        r.hours.sum() - r.spot_hours.sum(), 100 * r.hours.idle / std::max(1e-9, r.hours.sum()));
  }
  absl::StrAppend(&html, "</table>\n");
}

void Markets(const ReportInput& in, std::string& html) {
  for (size_t market = 0; market < in.markets[0].size(); ++market) {
    std::vector<Result> results;
    for (const std::vector<Result>& policy : in.markets) results.push_back(policy[market]);
    absl::StrAppendFormat(&html, "<h2>%s</h2>\n<p>%.0f hours, %s requests; prices: %s.</p>\n",
                          Escaped(results[0].market), static_cast<double>(results[0].horizon) / kHour,
                          Grouped(results[0].requests), Escaped(in.prices[market]));
    if (in.markets[0].size() > 1) PolicyTable(in, results, html);
    for (const Result& r : results) {
      if (r.policy != "ours" && r.policy != "spothedge") continue;
      absl::StrAppend(&html, "<h3>Machines of ", Escaped(r.policy), "</h3>\n", MachinesPlot(r));
      if (r.policy != "ours") continue;
      absl::StrAppendFormat(&html, "<details><summary>Its first %d decisions, and why</summary><table>\n",
                            r.decisions.size());
      for (const Decision& d : r.decisions) {
        absl::StrAppendFormat(&html, "<tr><td>%.3f h</td><td>%s</td><td>%s</td></tr>\n",
                              static_cast<double>(d.at) / kHour, Escaped(d.what), Escaped(d.why));
      }
      absl::StrAppend(&html, "</table></details>\n");
    }
  }
}

}  // namespace

std::string HtmlReport(const ReportInput& in) {
  std::string html = absl::StrCat(
      "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>",
      Escaped(in.title), "</title><style>", kStyle, "</style>\n<h1>", Escaped(in.title), "</h1>\n");
  Headline(in, html);
  PolicyTable(in, in.totals, html);
  absl::StrAppend(&html, CostPlot(in.totals, in.target_share), WaitPlot(in.totals, in.target_seconds));
  Markets(in, html);
  absl::StrAppendFormat(
      &html,
      "<h2>How to read this</h2>\n<p>Recorded spot markets, replayed, and requests (%s), told again and again for as "
      "long as a market was recorded. In time: the first token within %g s; the target is %.4g %%. Requests of the "
      "first quarter of an hour are not counted. <b>ours</b> is the fleet's planner; <b>spothedge</b> is the policy of "
      "SkyServe (EuroSys 2025); <b>omniscient</b> buys, each instant, the cheapest fraction of a machine that existed, "
      "and is a bound that nobody reaches; above omniscient: what a policy costs beyond that, as a share of it. "
      "On-demand machines are always to be had. A simulation: no cloud was asked.</p>\n<p><code>%s</code></p>\n</html>\n",
      Escaped(in.requests_name), in.target_seconds, 100 * in.target_share, Escaped(in.command));
  return html;
}

}  // namespace spotinference::fleet::sim
