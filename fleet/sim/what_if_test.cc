// A configuration holds in a simulated market as far as it means something there.
#include "fleet/sim/what_if.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/sim/world.h"

namespace spotinference::fleet::sim {
namespace {

AccessLog LogOf(const std::vector<std::string>& models) {
  AccessLog log = {.span = 120 * kSecond};
  for (const std::string& model : models) log.models[model] = {{0, 100, 50}, {60 * kSecond, 100, 50}};
  return log;
}

Profile TestProfile() {
  Profile profile;
  profile.set_weights_gb(1);
  profile.set_disk_gb_per_s(1.0 / 18);
  profile.set_volume_gb(0);
  return profile;
}

std::string Yaml(const std::string& machines, const std::string& more = "", const std::string& spend = "") {
  return absl::StrCat("models:\n  - {name: m, weights: \"hf://o/r/m.gguf\", machines: {", machines, "}", more, "}\n",
                      spend);
}

Case Configured(const std::string& yaml) {
  std::vector<Case> cases = *CasesOf(LogOf({"m"}), "", TestProfile());
  const auto notes = Configure(yaml, "f.yaml", "", cases);
  EXPECT_TRUE(notes.ok()) << notes.status();
  return cases[0];
}

// Two days, two zones of two regions: spot at 0.25 and 0.3 dollars an hour, on demand at 1 and 1.1.
RecordedMarket Market2() {
  RecordedMarket market = {.name = "m", .accelerator = "A", .accelerators = 1, .horizon = 48 * kHour};
  for (const int zone : {0, 1}) {
    market.zones.push_back({.provider = "test",
                            .region = absl::StrCat("r", zone),
                            .name = absl::StrCat("z", zone),
                            .on_demand = 1 + 0.1 * zone,
                            .spot = {0.25 + 0.05 * zone},
                            .step = kHour,
                            .capacity = std::vector<int>(48, 4)});
  }
  return market;
}

Result RunOurs(const Case& of, const std::vector<Request>& requests, Nanos span = 0) {
  const auto policy = OurPolicy(of.profile, of.ours);
  return Simulate(Market2(), Arrivals(requests, 1, 1, span), *policy, {.profile = of.profile});
}
Result RunOurs(const Case& of) { return RunOurs(of, of.requests, of.span); }

// Of the machines of that offer, in hours.
double HoursOf(const Result& result, const std::string& offer) {
  double bins = 0;
  for (size_t i = 0; i < result.offer_names.size(); ++i) {
    if (result.offer_names[i] != offer) continue;
    for (const float machines : result.machines[i]) bins += machines;
  }
  return bins * 48 / Result::kBins;
}

TEST(CasesOf, AModelByItself) {
  EXPECT_EQ(CasesOf(LogOf({"a", "b"}), "", TestProfile())->size(), 2);
  const auto b = CasesOf(LogOf({"a", "b"}), "b", TestProfile());
  ASSERT_EQ(b->size(), 1);
  EXPECT_EQ((*b)[0].model, "b");
  EXPECT_EQ((*b)[0].span, 120 * kSecond);
  EXPECT_TRUE(absl::StrContains(CasesOf(LogOf({"a", "b"}), "c", TestProfile()).status().message(), "it has a, b"));
}

TEST(Configure, EachModelHasItsOwn) {
  std::vector<Case> cases = *CasesOf(LogOf({"a", "b", "c"}), "", TestProfile());
  const auto notes = Configure(
      "models:\n"
      "  - {name: a, weights: \"hf://o/r/m.gguf\", machines: {min: 1, max: 3, max_price: 0.9, markets: [spot],\n"
      "     regions: [us-east-1], accelerators: [L4]}, idle_timeout: 5m, wake_cap: 7m,\n"
      "     park: {requests: 9, max_wait: 100s}, service: {first_token: 20s, share: 0.99}}\n"
      "  - {name: b, weights: \"hf://o/r/m.gguf\"}\n"
      "spend: {max_dollars_per_day: 20}\n",
      "f.yaml", "", cases);
  ASSERT_TRUE(notes.ok()) << notes.status();
  EXPECT_EQ(*notes, std::vector<std::string>{"c is not in f.yaml: left out"});
  ASSERT_EQ(cases.size(), 2);
  const OurOptions& a = cases[0].ours;
  EXPECT_EQ(a.wish.min_machines, 1);
  EXPECT_EQ(a.wish.max_machines, 3);
  EXPECT_EQ(a.wish.max_price, 0.9);
  EXPECT_EQ(a.wish.markets, std::vector<Market>{Market::kSpot});
  EXPECT_EQ(a.wish.regions, std::vector<std::string>{"us-east-1"});
  EXPECT_EQ(a.wish.accelerators, std::vector<std::string>{"L4"});
  EXPECT_EQ(a.wish.streams, TestProfile().streams());
  EXPECT_EQ(a.idle_timeout, absl::Minutes(5));
  EXPECT_EQ(a.wake_cap, absl::Minutes(7));
  EXPECT_EQ(a.max_dollars_per_day, 20);
  EXPECT_EQ(cases[0].profile.max_machines(), 3);
  EXPECT_EQ(cases[0].profile.park_requests(), 9);
  EXPECT_EQ(cases[0].profile.max_wait_seconds(), 100);
  EXPECT_EQ(a.wish.target.wait, absl::Seconds(20));
  EXPECT_NEAR(a.wish.target.missed, 0.01, 1e-12);
  EXPECT_EQ(cases[1].ours.wish.max_machines, 1) << "the gateway's default";
  EXPECT_FALSE(cases[1].ours.idle_timeout.has_value());
}

TEST(Configure, SaysWhatIsWrong) {
  std::vector<Case> cases = *CasesOf(LogOf({"a"}), "", TestProfile());
  EXPECT_TRUE(absl::StrContains(Configure(Yaml("max: 1"), "f.yaml", "", cases).status().message(), "it has m"));
  EXPECT_TRUE(absl::StartsWith(Configure("modles: []\n", "f.yaml", "", cases).status().message(), "f.yaml:1"));
  const std::string two = Yaml("max: 1") + "  - {name: n, weights: \"hf://o/r/m.gguf\"}\n";
  std::vector<Case> csv = {{.requests = {{0, 1, 1}}, .profile = TestProfile()}};
  EXPECT_TRUE(absl::StrContains(Configure(two, "f.yaml", "", csv).status().message(), "--model"));
  EXPECT_TRUE(Configure(two, "f.yaml", "n", csv).ok());
  EXPECT_EQ(csv[0].model, "n");
}

TEST(Configured, NothingIsBoughtBeyondItsPriceMarketOrRegion) {
  const Result any = RunOurs(Configured(Yaml("max: 2")));
  EXPECT_GT(any.hours.sum(), 40);
  const Result cheap = RunOurs(Configured(Yaml("max: 2, max_price: 0.26")));
  EXPECT_GT(HoursOf(cheap, "spot z0"), 40);
  EXPECT_NEAR(HoursOf(cheap, "spot z0"), cheap.hours.sum(), 0.01);
  const Result demand = RunOurs(Configured(Yaml("max: 2, markets: [on_demand]")));
  EXPECT_EQ(demand.spot_hours.sum(), 0);
  EXPECT_GT(demand.hours.sum(), 40);
  const Result elsewhere = RunOurs(Configured(Yaml("max: 2, markets: [spot], regions: [r1]")));
  EXPECT_GT(HoursOf(elsewhere, "spot z1"), 40);
  EXPECT_NEAR(HoursOf(elsewhere, "spot z1"), elsewhere.hours.sum(), 0.01);
  const Result none = RunOurs(Configured(Yaml("max: 2, max_price: 0.1")));
  EXPECT_EQ(none.cost(), 0);
}

TEST(Configured, MinimumMaximumAndIdleTimeout) {
  const std::vector<Request> seldom = {{0, 100, 50}};
  const Result always = RunOurs(Configured(Yaml("min: 1, max: 1")), seldom, 24 * kHour);
  EXPECT_GT(always.hours.sum(), 47);
  const double soon = RunOurs(Configured(Yaml("max: 1", ", idle_timeout: 1m")), seldom, 24 * kHour).hours.sum();
  const double late = RunOurs(Configured(Yaml("max: 1", ", idle_timeout: 3h")), seldom, 24 * kHour).hours.sum();
  EXPECT_LT(soon, 0.5) << "two wakes of some minutes";
  EXPECT_NEAR(late - soon, 2 * (3 - 1 / 60.0), 0.1);
  // A second's work a request, sixty a second: far too much for one.
  std::vector<Request> many;
  for (int i = 0; i < 600; ++i) many.push_back({i * kSecond / 60, 100, 25});
  const Case two = Configured(Yaml("max: 2, markets: [on_demand]"));
  EXPECT_LE(RunOurs(two, many).hours.sum(), 2 * 48);
  EXPECT_GT(RunOurs(two, many).hours.sum(), 1.9 * 48);
}

// A day is 24 hours of machines at 0.25 dollars.
TEST(Configured, TheDaysMoneyIsTheDaysMoney) {
  const std::string machines = "max: 1, markets: [spot], regions: [r0]";
  const Result all = RunOurs(Configured(Yaml(machines, "", "spend: {max_dollars_per_day: 100}\n")));
  EXPECT_NEAR(all.cost(), 12, 0.1);
  const Result some = RunOurs(Configured(Yaml(machines, "", "spend: {max_dollars_per_day: 2}\n")));
  EXPECT_NEAR(some.cost(), 4, 0.1);
  EXPECT_GT(some.cost(), 3.5);
  std::vector<Case> cases = *CasesOf(LogOf({"m"}), "", TestProfile());
  const auto notes = Configure(Yaml(machines), "f.yaml", "", cases);
  ASSERT_EQ(notes->size(), 1);
  EXPECT_TRUE(absl::StrContains((*notes)[0], "max_dollars_per_day is 0"));
  EXPECT_NEAR(RunOurs(cases[0]).cost(), 12, 0.1) << "without a limit";
}

// The smaller of both. A model's own 0 is left out as all models' is: the gateway's --dry_run does so, too.
TEST(Configured, AModelsOwnMoneyIsTheDaysMoney) {
  const std::string machines = "max: 1, markets: [spot], regions: [r0], max_dollars_per_day: ";
  const auto limit = [&](const std::string& own, const std::string& spend) {
    return Configured(Yaml(machines + own, "", spend)).ours.max_dollars_per_day;
  };
  EXPECT_EQ(limit("2", "spend: {max_dollars_per_day: 100}\n"), 2);
  EXPECT_EQ(limit("2", ""), 2) << "all models' limit is 0, and left out";
  EXPECT_EQ(limit("100", "spend: {max_dollars_per_day: 3}\n"), 3);
  EXPECT_EQ(limit("0", "spend: {max_dollars_per_day: 3}\n"), 3);
  EXPECT_EQ(limit("0", ""), std::numeric_limits<double>::infinity());
  const Result some = RunOurs(Configured(Yaml(machines + "2", "", "spend: {max_dollars_per_day: 100}\n")));
  EXPECT_NEAR(some.cost(), 4, 0.1);
  EXPECT_GT(some.cost(), 3.5);
  std::vector<Case> cases = *CasesOf(LogOf({"m"}), "", TestProfile());
  const auto notes = Configure(Yaml(machines + "0", "", "spend: {max_dollars_per_day: 3}\n"), "f.yaml", "", cases);
  ASSERT_EQ(notes->size(), 1);
  EXPECT_TRUE(absl::StrContains((*notes)[0], "m: machines.max_dollars_per_day is 0")) << (*notes)[0];
}

}  // namespace
}  // namespace spotinference::fleet::sim
