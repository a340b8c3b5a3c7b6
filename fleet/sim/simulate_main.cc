// Replays a recorded spot market: ./bazelw run //fleet:simulate -- --traces DIR --requests FILE --policy all --out DIR
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "engine/base/flags.h"
#include "engine/base/status.h"
#include "fleet/sim/files.h"
#include "fleet/sim/html_report.h"
#include "fleet/sim/omniscient.h"
#include "fleet/sim/ours.h"
#include "fleet/sim/plots.h"
#include "fleet/sim/policy.h"
#include "fleet/sim/spothedge.h"
#include "fleet/sim/world.h"

ABSL_FLAG(std::string, traces, "",
          "folder of recorded spot markets (JSON as skypilot-org/spot-traces has them), at any depth");
ABSL_FLAG(std::string, market, "", "only markets whose name holds this");
ABSL_FLAG(std::string, requests, "", "recorded requests: CSV, TIMESTAMP,ContextTokens,GeneratedTokens");
ABSL_FLAG(std::string, what_if, "",
          "your own requests in place of --requests: the same CSV, or the gateway's log (a name that ends "
          "with .csv is CSV); costs are also told for a month");
ABSL_FLAG(std::string, prices, "", "price list, CSV; none: relative prices, on-demand 1, spot 0.3");
ABSL_FLAG(std::string, policy, "all",
          "ours, spothedge, on_demand, spot_one_zone, spot_round_robin, omniscient, or all");
ABSL_FLAG(std::string, out, "", "folder for <policy>.json, plots and report.html; made where it is missing");
ABSL_FLAG(std::string, profile, "", "what a machine does: a text file of fleet/sim/profile.proto; none: its defaults");
ABSL_FLAG(double, scale, 0, "so many machines' full work in the mean; 0: the requests as they were recorded");
ABSL_FLAG(int, zone_capacity, 4, "machines of a zone whose trace says only that there was capacity");
ABSL_FLAG(int, hedge_extra, 2, "SpotHedge's N_Extra");
ABSL_FLAG(int, resample, 0, "not 0: markets that were not recorded, days of the recorded ones drawn by this seed");
ABSL_FLAG(int, seed, 1, "of arrivals, and of which machines are taken");

namespace spotinference::fleet::sim {
namespace {

constexpr absl::string_view kPolicies[] = {"on_demand", "spot_one_zone", "spot_round_robin",
                                           "spothedge", "ours",          "omniscient"};

std::unique_ptr<Policy> MakePolicy(absl::string_view name, int zones, const Profile& profile) {
  if (name == "on_demand") return OnDemandPolicy();
  if (name == "spot_one_zone") return SpotOneZonePolicy();
  if (name == "spot_round_robin") return SpotRoundRobinPolicy();
  if (name == "spothedge") return SpotHedgePolicy(zones, absl::GetFlag(FLAGS_hedge_extra));
  return OurPolicy(profile);
}

constexpr double kMostCopies = 1e6;
constexpr int kMostMachines = 100'000;

bool InRange(int machines) { return machines >= 0 && machines <= kMostMachines; }

// Copies of each request for --scale.
absl::StatusOr<double> Copies(const std::vector<Request>& requests, const Profile& profile, double scale) {
  if (scale == 0) return 1;
  double work = 0;
  for (const Request& request : requests) {
    work += static_cast<double>(PrefillTime(profile, request.prompt_tokens) +
                                DecodeTime(profile, request.generated_tokens));
  }
  const double span = std::max<double>(kSecond, requests.back().at);
  const double copies = scale / (work / span / profile.streams());
  if (!(copies <= kMostCopies)) {
    return absl::InvalidArgumentError(absl::StrCat("--scale ", scale, " would be ", copies, " copies of each request; ",
                                                   kMostCopies, " are the most"));
  }
  return copies;
}

Result RunPolicy(absl::string_view name, const RecordedMarket& market, const std::vector<Request>& requests,
                 double copies, const Profile& profile) {
  const uint64_t seed = absl::GetFlag(FLAGS_seed);
  Arrivals arrivals(requests, copies, seed);
  const absl::Time began = absl::Now();
  absl::Time shown = began;
  WorldOptions options = {.profile = profile, .seed = seed};
  options.progress = [&](double done) {
    if (absl::Now() - shown < absl::Seconds(2)) return;
    shown = absl::Now();
    std::cerr << absl::StreamFormat("%s, %s: %.0f %%\n", market.name, name, 100 * done);
  };
  Result result;
  if (name == "omniscient") {
    result = Omniscient(market, std::move(arrivals), profile);
  } else {
    const std::unique_ptr<Policy> policy = MakePolicy(name, static_cast<int>(market.zones.size()), profile);
    result = Simulate(market, std::move(arrivals), *policy, options);
  }
  std::cerr << absl::StreamFormat("%s, %s: %d requests in %.1f s\n", market.name, name, result.requests,
                                  absl::ToDoubleSeconds(absl::Now() - began));
  return result;
}

struct Input {
  Profile profile;
  std::vector<RecordedMarket> markets;
  std::vector<Request> requests;
};

absl::StatusOr<Input> ReadInput() {
  Input input;
  if (const std::string path = UserPath(absl::GetFlag(FLAGS_profile)); !path.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    ASSIGN_OR_RETURN(input.profile, ParseProfile(text, path));
  }
  std::vector<PriceRow> prices;
  if (const std::string path = UserPath(absl::GetFlag(FLAGS_prices)); !path.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    ASSIGN_OR_RETURN(prices, ParsePrices(text, path));
  }
  ASSIGN_OR_RETURN(std::vector<RecordedMarket> markets,
                   ReadMarkets(UserPath(absl::GetFlag(FLAGS_traces)), prices,
                               {.zone_capacity = absl::GetFlag(FLAGS_zone_capacity)}));
  for (RecordedMarket& market : markets) {
    if (!absl::StrContains(market.name, absl::GetFlag(FLAGS_market))) continue;
    const int draw = absl::GetFlag(FLAGS_resample);
    input.markets.push_back(draw == 0 ? std::move(market) : Resampled(market, draw));
  }
  if (input.markets.empty())
    return absl::NotFoundError(absl::StrCat("no market's name holds '", absl::GetFlag(FLAGS_market), "'"));
  const bool own = !absl::GetFlag(FLAGS_what_if).empty();
  const std::string path = UserPath(absl::GetFlag(own ? FLAGS_what_if : FLAGS_requests));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(input.requests, own && !absl::EndsWith(path, ".csv")
                                       ? ParseAccessLog(text, path, input.profile.decode_tokens_per_s())
                                       : ParseRequests(text, path));
  return input;
}

void PrintRow(const Result& total, double on_demand_dollars) {
  std::printf("%-18s %12.2f %8.1f%% %11.4f%% %9.2fs %8d %8.0f %8.0f\n", total.policy.c_str(), total.cost(),
              100 * total.cost() / on_demand_dollars, 100 * total.served_within_target(), total.waits.Percentile(0.99),
              static_cast<int>(total.interruptions), total.spot_hours.sum(),
              total.hours.sum() - total.spot_hours.sum());
  std::fflush(stdout);
}

// The policies in the order of the report; on demand is what others are measured by.
std::vector<absl::string_view> PolicyNames(absl::string_view wanted) {
  std::vector<absl::string_view> names = {"on_demand"};
  for (const absl::string_view name : kPolicies) {
    if (name != "on_demand" && (wanted == "all" || wanted == name)) names.push_back(name);
  }
  return names;
}

absl::Status WriteReport(const std::string& out, const ReportInput& report) {
  RETURN_IF_ERROR(WriteFile(out + "/report.html", HtmlReport(report)));
  RETURN_IF_ERROR(WriteFile(out + "/cost.svg", CostPlot(report.totals, report.target_share)));
  RETURN_IF_ERROR(WriteFile(out + "/waits.svg", WaitPlot(report.totals, report.target_seconds)));
  for (const std::vector<Result>& policy : report.markets) {
    for (size_t market = 0; market < policy.size(); ++market) {
      const std::string path = absl::StrCat(out, "/machines-", policy[market].policy,
                                            market > 0 ? absl::StrCat("-", market + 1) : "", ".svg");
      RETURN_IF_ERROR(WriteFile(path, MachinesPlot(policy[market])));
    }
  }
  return absl::OkStatus();
}

absl::Status Run(const std::string& command) {
  ASSIGN_OR_RETURN(const Input input, ReadInput());
  ASSIGN_OR_RETURN(const double copies, Copies(input.requests, input.profile, absl::GetFlag(FLAGS_scale)));
  const std::string wanted = absl::GetFlag(FLAGS_policy);
  const std::string out = UserPath(absl::GetFlag(FLAGS_out));
  std::error_code error;
  std::filesystem::create_directories(out, error);
  if (error) return absl::PermissionDeniedError(absl::StrCat(out, ": ", error.message()));

  const bool own = !absl::GetFlag(FLAGS_what_if).empty();
  ReportInput report = {
      .title = own ? "What serving your requests would cost" : "What recorded spot markets would have cost",
      .command = command,
      .requests_name = absl::GetFlag(own ? FLAGS_what_if : FLAGS_requests),
      .target_share = input.profile.target_share(),
      .target_seconds = input.profile.target_wait_seconds()};
  Nanos horizons = 0;
  for (const RecordedMarket& market : input.markets) {
    report.prices.push_back(market.price_source);
    horizons += market.horizon;
  }
  // Markets are alternatives: a month in the mean of them.
  if (own) report.month_factor = 730.0 * kHour / static_cast<double>(horizons);
  std::vector<double> on_demand;
  std::printf("%-18s %12s %9s %12s %10s %8s %8s %8s\n", "policy", "dollars", "of o.d.", "in target", "p99 wait",
              "taken", "spot h", "o.d. h");
  for (const absl::string_view name : PolicyNames(wanted)) {
    std::vector<Result> results;
    for (const RecordedMarket& market : input.markets) {
      results.push_back(RunPolicy(name, market, input.requests, copies, input.profile));
      if (name == "on_demand") on_demand.push_back(results.back().cost());
    }
    const Result total = SumOf(results);
    double on_demand_sum = 0;
    for (const double dollars : on_demand) on_demand_sum += dollars;
    if (name == wanted || wanted == "all") {
      RETURN_IF_ERROR(
          WriteFile(absl::StrCat(out, "/", name, ".json"), ToJson(total, on_demand_sum, results, on_demand)));
    }
    PrintRow(total, on_demand_sum);
    report.totals.push_back(total);
    report.markets.push_back(std::move(results));
  }
  RETURN_IF_ERROR(WriteReport(out, report));
  std::printf("%s/report.html\n", out.c_str());
  return absl::OkStatus();
}

int Main(const std::string& command) {
  const std::string wanted = absl::GetFlag(FLAGS_policy);
  if (absl::GetFlag(FLAGS_traces).empty() || absl::GetFlag(FLAGS_out).empty() ||
      absl::GetFlag(FLAGS_requests).empty() == absl::GetFlag(FLAGS_what_if).empty() ||
      (wanted != "all" && std::find(std::begin(kPolicies), std::end(kPolicies), wanted) == std::end(kPolicies)) ||
      !(absl::GetFlag(FLAGS_scale) >= 0) || !InRange(absl::GetFlag(FLAGS_zone_capacity)) ||
      !InRange(absl::GetFlag(FLAGS_hedge_extra))) {
    std::cerr << "--traces, --out and either --requests or --what_if are needed; --policy is one of "
              << absl::StrJoin(kPolicies, ", ") << ", all; --scale is not negative, --zone_capacity and --hedge_extra "
              << "are from 0 to " << kMostMachines << "\n";
    return 2;
  }
  if (const absl::Status status = Run(command); !status.ok()) {
    std::cerr << status.message() << "\n";
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace spotinference::fleet::sim

int main(int argc, char** argv) {
  const std::string command = absl::StrJoin(std::vector<std::string>(argv + 1, argv + argc), " ");
  spotinference::ParseFlags(argc, argv, "What recorded spot markets would have cost, policy by policy.");
  return spotinference::fleet::sim::Main("./bazelw run //fleet:simulate -- " + command);
}
