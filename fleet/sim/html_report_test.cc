#include "fleet/sim/html_report.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "fleet/sim/plots.h"

namespace spotinference::fleet::sim {
namespace {

Result ResultOf(std::string policy, double dollars, int64_t within) {
  Result r = {.policy = std::move(policy),
              .market = "<m>",
              .machine_dollars = dollars,
              .requests = 1000,
              .within_target = within,
              .horizon = 24 * kHour};
  r.waits.Add(kSecond / 2, within);
  r.waits.Add(100 * kSecond, 1000 - within);
  r.offer_names = {"spot z", "on-demand z"};
  r.machines = {std::vector<float>(Result::kBins, 2), std::vector<float>(Result::kBins, 0)};
  r.decisions = {{kHour, "launch spot z", "2 < 3 & more"}};
  return r;
}

TEST(HtmlReport, SaysWhatWasSavedAndFetchesNothing) {
  const std::vector<Result> results = {ResultOf("on_demand", 100, 1000), ResultOf("ours", 30, 999)};
  const std::string html = HtmlReport({.title = "T",
                                       .command = "simulate --x",
                                       .requests_name = "r.csv",
                                       .month_factor = 30,
                                       .prices = {"a list"},
                                       .totals = results,
                                       .markets = {{results[0]}, {results[1]}}});
  EXPECT_TRUE(absl::StrContains(html, "70 % less")) << html.substr(0, 2000);
  EXPECT_TRUE(absl::StrContains(html, "99.900 %"));
  EXPECT_TRUE(absl::StrContains(html, "$900</b> instead of $3,000")) << "a month of thirty such days";
  EXPECT_TRUE(absl::StrContains(html, "2 &lt; 3 &amp; more"));
  EXPECT_FALSE(absl::StrContains(html, "<m>"));
  for (const char* outside : {"src=", "href=", "url(", "<script", "@import"})
    EXPECT_FALSE(absl::StrContains(html, outside));
}

TEST(HtmlReport, SaysHowFarFromOmniscientWhereThatWasRun) {
  const Result on_demand = ResultOf("on_demand", 100, 1000), omniscient = ResultOf("omniscient", 40, 1000);
  const auto report = [](std::vector<Result> results) {
    ReportInput in = {.prices = {"a list"}, .totals = results};
    for (const Result& result : results) in.markets.push_back({result});
    return HtmlReport(in);
  };
  const std::string html = report({on_demand, omniscient});
  EXPECT_TRUE(absl::StrContains(html, "<td>on_demand</td><td>$100</td><td>100.0 %</td><td>150.0 %</td>")) << html;
  EXPECT_TRUE(absl::StrContains(html, "<td>omniscient</td><td>$40.00</td><td>40.0 %</td><td>0.0 %</td>"));
  EXPECT_FALSE(absl::StrContains(report({on_demand}), "<th>above omniscient</th>"));
}

TEST(Plots, PutCheapAndGoodAtTheLowerLeft) {
  const std::vector<Result> results = {ResultOf("on_demand", 100, 999), ResultOf("ours", 30, 900)};
  const std::string plot = CostPlot(results, 0.999);
  // 120 dollars wide: 100 is five sixths of the way from 70 to 720; 0.1 % three fifths of the way down from 20 to 330.
  EXPECT_TRUE(absl::StrContains(plot, "cx=\"611.7\" cy=\"206.0\"")) << plot;
  EXPECT_TRUE(absl::StrContains(plot, "cx=\"232.5\" cy=\"82.0\"")) << plot;
  EXPECT_TRUE(absl::StrContains(plot, ">$120<"));
  EXPECT_TRUE(absl::StrContains(MachinesPlot(results[0]), "spot z"));
  EXPECT_FALSE(absl::StrContains(MachinesPlot(results[0]), "on-demand z")) << "there were none";
  EXPECT_TRUE(absl::StrContains(WaitPlot(results, 30), "polyline"));
}

TEST(Plots, WriteNumbersAsPeopleDo) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(7334703), "7,334,703");
  EXPECT_EQ(Dollars(0.5), "$0.50");
  EXPECT_EQ(Dollars(99.99), "$99.99");
  EXPECT_EQ(Dollars(7867.6), "$7,868");
}

TEST(WaitHistogram, KnowsItsPercentiles) {
  WaitHistogram waits;
  EXPECT_EQ(waits.Percentile(0.5, 0), 0);
  for (int i = 1; i <= 1000; ++i) waits.Add(i * (kSecond / 100));
  EXPECT_EQ(waits.Percentile(0.5, 1000), 5);
  EXPECT_EQ(waits.Percentile(0.99, 1000), 9.9);
  EXPECT_EQ(waits.Percentile(0.99, 1010), 10) << "ten were never served";
  EXPECT_EQ(WaitText(waits.Percentile(0.999, 1010)), "never");
  EXPECT_EQ(WaitText(0.024), "0.02 s");
  EXPECT_EQ(waits.Within(2 * kSecond), 200);
}

}  // namespace
}  // namespace spotinference::fleet::sim
