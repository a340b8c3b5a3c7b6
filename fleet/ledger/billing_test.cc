// Bills worked out by hand: a dozen histories for each cloud, at 3.6 dollars an hour, a tenth of a cent a second.
#include "fleet/ledger/billing.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

namespace spotinference::fleet {
namespace {

using enum BilledState;

constexpr double kSecond = 0.001;  // dollars

struct Part {
  BilledState state;
  int seconds;
};

struct Case {
  const char* name;
  std::vector<Part> parts;
  double dollars;
  Market market = Market::kSpot;
  bool reclaimed = false;
};

void Check(absl::string_view provider, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    MachineHistory history = {.market = c.market, .prices = {{absl::ZeroDuration(), 3.6}}, .reclaimed = c.reclaimed};
    absl::Duration at = absl::Hours(5);
    for (const Part& part : c.parts) {
      history.spans.push_back({part.state, at, at + absl::Seconds(part.seconds)});
      at += absl::Seconds(part.seconds);
    }
    EXPECT_NEAR(BillOf(BillingRulesOf(provider), history).total(), c.dollars, 1e-9) << provider << ": " << c.name;
  }
}

TEST(BillOf, Aws) {
  Check("aws", {
                   {"never came to be", {{kStarting, 30}}, 0},
                   {"pending is free", {{kStarting, 40}, {kRunning, 100}}, 100 * kSecond},
                   {"a minute at least", {{kRunning, 10}}, 60 * kSecond},
                   {"by the second beyond", {{kRunning, 61}}, 61 * kSecond},
                   {"shutting down is free", {{kRunning, 100}, {kStopping, 50}}, 100 * kSecond},
                   {"stopped is free", {{kRunning, 100}, {kStopping, 5}, {kStopped, 9999}}, 100 * kSecond},
                   {"each start has its own minute",
                    {{kRunning, 10}, {kStopping, 5}, {kStopped, 100}, {kStarting, 9}, {kRunning, 20}},
                    120 * kSecond},
                   {"getting ready to hibernate bills", {{kRunning, 100}, {kHibernating, 50}}, 150 * kSecond},
                   {"hibernated is free", {{kRunning, 100}, {kHibernating, 20}, {kHibernated, 5000}}, 120 * kSecond},
                   {"reclaimed within the hour: free", {{kRunning, 3599}}, 0, Market::kSpot, true},
                   {"reclaimed after an hour", {{kRunning, 3600}}, 3600 * kSecond, Market::kSpot, true},
                   {"ended by us within the hour", {{kRunning, 1800}}, 1800 * kSecond},
                   {"on demand nothing is free", {{kRunning, 1800}}, 1800 * kSecond, Market::kOnDemand, true},
                   {"only the reclaimed run is free",
                    {{kRunning, 100}, {kStopping, 5}, {kStopped, 60}, {kRunning, 500}},
                    100 * kSecond,
                    Market::kSpot,
                    true},
               });
}

TEST(BillOf, Gcp) {
  Check("gcp", {
                   {"provisioning and staging are free", {{kStarting, 90}}, 0},
                   {"a minute at least", {{kStarting, 20}, {kRunning, 1}}, 60 * kSecond},
                   {"by the second beyond", {{kRunning, 75}}, 75 * kSecond},
                   {"stopping still runs", {{kRunning, 100}, {kStopping, 30}}, 130 * kSecond},
                   {"terminated is free", {{kRunning, 100}, {kStopping, 30}, {kStopped, 9999}}, 130 * kSecond},
                   {"suspending still runs", {{kRunning, 100}, {kHibernating, 40}}, 140 * kSecond},
                   {"suspended is free", {{kRunning, 100}, {kHibernating, 40}, {kHibernated, 9999}}, 140 * kSecond},
                   {"each start has its own minute", {{kRunning, 10}, {kStopped, 100}, {kRunning, 10}}, 120 * kSecond},
                   {"preempted in its first minute: free", {{kRunning, 59}}, 0, Market::kSpot, true},
                   {"preempted after it", {{kRunning, 60}}, 60 * kSecond, Market::kSpot, true},
                   {"ended by us in its first minute", {{kRunning, 59}}, 60 * kSecond},
                   {"an hour that ends in a preemption",
                    {{kRunning, 3570}, {kStopping, 30}},
                    3600 * kSecond,
                    Market::kSpot,
                    true},
               });
}

TEST(BillOf, Azure) {
  Check("azure",
        {
            {"creating bills once it is allocated", {{kStarting, 30}, {kRunning, 100}}, 130 * kSecond},
            {"there is no minimum", {{kRunning, 7}}, 7 * kSecond},
            {"stopping bills", {{kRunning, 100}, {kStopping, 30}}, 130 * kSecond},
            {"stopped but allocated bills in full", {{kRunning, 100}, {kStopped, 5000}}, 5100 * kSecond},
            {"deallocated is free", {{kRunning, 100}, {kHibernated, 5000}}, 100 * kSecond},
            {"deallocating is free", {{kRunning, 100}, {kHibernating, 60}, {kHibernated, 1}}, 100 * kSecond},
            {"stopped, then deallocated", {{kRunning, 100}, {kStopped, 50}, {kHibernated, 5000}}, 150 * kSecond},
            {"started again", {{kRunning, 10}, {kHibernated, 50}, {kStarting, 5}, {kRunning, 20}}, 35 * kSecond},
            {"evicted early is paid for", {{kRunning, 20}}, 20 * kSecond, Market::kSpot, true},
            {"evicted late too", {{kRunning, 7200}}, 7200 * kSecond, Market::kSpot, true},
            {"failed keeps its hardware", {{kRunning, 10}, {kError, 90}}, 100 * kSecond},
            {"on demand is the same", {{kRunning, 20}}, 20 * kSecond, Market::kOnDemand},
        });
}

TEST(BillOf, Hyperstack) {
  Check("hyperstack",
        {
            {"creating is free", {{kStarting, 200}}, 0},
            {"by the minute", {{kRunning, 1}}, 60 * kSecond},
            {"a minute and a second are two", {{kRunning, 61}}, 120 * kSecond},
            {"an hour", {{kRunning, 3600}}, 3600 * kSecond},
            {"shut off bills in full", {{kRunning, 60}, {kStopped, 3540}}, 3600 * kSecond},
            {"on its way there is free", {{kRunning, 60}, {kStopping, 90}, {kStopped, 120}}, 180 * kSecond},
            {"hibernating is free", {{kRunning, 120}, {kHibernating, 300}}, 120 * kSecond},
            {"hibernated is free", {{kRunning, 120}, {kHibernating, 30}, {kHibernated, 99999}}, 120 * kSecond},
            {"restoring is free", {{kRunning, 60}, {kHibernated, 600}, {kStarting, 90}, {kRunning, 60}}, 120 * kSecond},
            {"each run is rounded by itself", {{kRunning, 61}, {kHibernated, 600}, {kRunning, 61}}, 240 * kSecond},
            {"an error is free", {{kRunning, 60}, {kError, 6000}}, 60 * kSecond},
            {"a machine that is lost early is paid for", {{kRunning, 30}}, 60 * kSecond, Market::kSpot, true},
            {"shut off and started goes on", {{kRunning, 30}, {kStopped, 60}, {kRunning, 30}}, 120 * kSecond},
        });
}

// 3.6 dollars an hour, 7.2 from 200 s, 1.8 from 350 s, 10.8 from an hour on.
double Moving(absl::string_view provider, Market market, std::vector<StateSpan> spans) {
  const MachineHistory history = {.market = market,
                                  .spans = std::move(spans),
                                  .prices = {{absl::ZeroDuration(), 3.6},
                                             {absl::Seconds(200), 7.2},
                                             {absl::Seconds(350), 1.8},
                                             {absl::Hours(1), 10.8}}};
  return BillOf(BillingRulesOf(provider), history).machine;
}

// Its first instance-hour, from 100 s to 3700 s, at the price of 100 s; ten seconds of the second at that of 3700 s.
TEST(BillOf, AwsChargesEachHourOfASpotMachineAtThePriceOfItsBegin) {
  EXPECT_NEAR(Moving("aws", Market::kSpot, {{kRunning, absl::Seconds(100), absl::Seconds(3710)}}),
              3600 * 0.001 + 10 * 0.003, 1e-9);
  EXPECT_NEAR(Moving("aws", Market::kSpot,
                     {{kRunning, absl::Seconds(100), absl::Seconds(190)},
                      {kRunning, absl::Seconds(300), absl::Seconds(400)}}),
              90 * 0.001 + 100 * 0.002, 1e-9) << "each run has hours of its own";
  EXPECT_NEAR(Moving("aws", Market::kOnDemand, {{kRunning, absl::Seconds(100), absl::Seconds(400)}}),
              100 * 0.001 + 150 * 0.002 + 50 * 0.0005, 1e-9) << "on demand at each moment's";
}

TEST(BillOf, GcpChargesAMovingPriceFromItsMoment) {
  EXPECT_NEAR(Moving("gcp", Market::kSpot, {{kRunning, absl::Seconds(100), absl::Seconds(390)},
                                            {kStopping, absl::Seconds(390), absl::Seconds(400)}}),
              100 * 0.001 + 150 * 0.002 + 50 * 0.0005, 1e-9);
  EXPECT_NEAR(Moving("gcp", Market::kSpot, {{kRunning, absl::Seconds(170), absl::Seconds(180)}}),
              30 * 0.001 + 30 * 0.002, 1e-9) << "its minute goes on over the change";
}

TEST(BillOf, AzureChargesAMovingPriceFromItsMoment) {
  EXPECT_NEAR(Moving("azure", Market::kSpot, {{kStarting, absl::Seconds(100), absl::Seconds(150)},
                                              {kRunning, absl::Seconds(150), absl::Seconds(360)}}),
              100 * 0.001 + 150 * 0.002 + 10 * 0.0005, 1e-9);
}

TEST(BillOf, HyperstackChargesAMovingPriceFromItsMoment) {
  EXPECT_NEAR(Moving("hyperstack", Market::kOnDemand, {{kRunning, absl::Seconds(100), absl::Seconds(395)}}),
              100 * 0.001 + 150 * 0.002 + 50 * 0.0005, 1e-9) << "five minutes";
}

TEST(BillOf, VolumeAndAddressGoOnBesideTheMachine) {
  // 100 GB for a month of 730 h; an address for ten hours; an hour of running between them.
  const MachineHistory history = {
      .market = Market::kOnDemand,
      .spans = {{kRunning, absl::ZeroDuration(), absl::Hours(1)}, {kHibernated, absl::Hours(1), absl::Hours(10)}},
      .prices = {{absl::ZeroDuration(), 3.6}},
      .volume_gb = 100,
      .volume_from = absl::ZeroDuration(),
      .volume_to = absl::Hours(730),
      .address = true};
  // Dollars: EBS gp3 at 8 cents a GB, a balanced disk at 10, a standard SSD at 7.5, Hyperstack's at 7; an IPv4 address at
  // half a cent an hour, Hyperstack's at 0.672 cents.
  const std::tuple<const char*, double, double> expected[] = {
      {"aws", 8, 0.05}, {"gcp", 10, 0.05}, {"azure", 7.5, 0.05}, {"hyperstack", 7, 0.0672}};
  for (const auto& [provider, volume, address] : expected) {
    const BillingRules& rules = BillingRulesOf(provider);
    const Bill bill = BillOf(rules, history);
    EXPECT_NEAR(bill.machine, 3.6, 1e-9) << provider;
    EXPECT_NEAR(bill.volume, volume, 1e-9) << provider;
    EXPECT_NEAR(bill.address, address, 1e-9) << provider;
    EXPECT_FALSE(rules.source.empty());
  }
}

}  // namespace
}  // namespace spotinference::fleet
