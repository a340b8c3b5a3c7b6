// Replays a recorded spot market: ./bazelw run //fleet:simulate -- --traces DIR --requests FILE --policy all --out DIR
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
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
#include "fleet/sim/what_if.h"
#include "fleet/sim/world.h"

ABSL_FLAG(std::string, traces, "",
          "folder of recorded spot markets (JSON as skypilot-org/spot-traces has them), at any depth");
ABSL_FLAG(std::string, market, "", "only markets whose name holds this");
ABSL_FLAG(std::string, requests, "", "recorded requests: CSV, TIMESTAMP,ContextTokens,GeneratedTokens");
ABSL_FLAG(std::string, what_if, "",
          "your own requests in place of --requests: the same CSV, or the gateway's log (a name that ends "
          "with .csv is CSV), each model of it by itself; costs are also told for a month");
ABSL_FLAG(std::string, config, "",
          "the gateway's configuration (YAML): what it says of the model's machines holds for our policy, and how many "
          "it may have for all");
ABSL_FLAG(std::string, model, "", "of the log's models, or of the configuration's, this one alone");
ABSL_FLAG(std::string, prices, "", "price list, CSV; none: relative prices, on-demand 1, spot 0.3");
ABSL_FLAG(std::vector<std::string>, policy, {"all"},
          "ours, spothedge, on_demand, spot_one_zone, spot_round_robin, omniscient, several by commas, or all");
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

std::unique_ptr<Policy> MakePolicy(absl::string_view name, int zones, const Case& of) {
  if (name == "on_demand") return OnDemandPolicy();
  if (name == "spot_one_zone") return SpotOneZonePolicy();
  if (name == "spot_round_robin") return SpotRoundRobinPolicy();
  if (name == "spothedge") return SpotHedgePolicy(zones, absl::GetFlag(FLAGS_hedge_extra));
  return OurPolicy(of.profile, of.ours);
}

bool IsWanted(absl::string_view policy) {
  const std::vector<std::string> wanted = absl::GetFlag(FLAGS_policy);
  return absl::c_linear_search(wanted, policy) || absl::c_linear_search(wanted, "all");
}

// Each is one, or all, and there is one.
bool ArePolicies(const std::vector<std::string>& wanted) {
  const auto is_policy = [](absl::string_view name) { return name == "all" || absl::c_linear_search(kPolicies, name); };
  return !wanted.empty() && absl::c_all_of(wanted, is_policy);
}

constexpr double kMostCopies = 1e6;
constexpr int kMostMachines = 100'000;

bool InRange(int machines) { return machines >= 0 && machines <= kMostMachines; }

// Copies of each request for --scale.
absl::StatusOr<double> Copies(const Case& of, double scale) {
  if (scale == 0) return 1;
  double work = 0;
  for (const Request& request : of.requests) {
    work += static_cast<double>(PrefillTime(of.profile, request.prompt_tokens) +
                                DecodeTime(of.profile, request.generated_tokens));
  }
  const double span = static_cast<double>(std::max({kSecond, of.span, of.requests.back().at}));
  const double copies = scale / (work / span / of.profile.streams());
  if (!(copies <= kMostCopies)) {
    return absl::InvalidArgumentError(absl::StrCat("--scale ", scale, " would be ", copies, " copies of each request; ",
                                                   kMostCopies, " are the most"));
  }
  return copies;
}

Result RunPolicy(absl::string_view name, const RecordedMarket& market, const Case& of, double copies) {
  const uint64_t seed = absl::GetFlag(FLAGS_seed);
  Arrivals arrivals(of.requests, copies, seed, of.span);
  const absl::Time began = absl::Now();
  absl::Time shown = began;
  WorldOptions options = {.profile = of.profile, .seed = seed};
  options.progress = [&](double done) {
    if (absl::Now() - shown < absl::Seconds(2)) return;
    shown = absl::Now();
    std::cerr << absl::StreamFormat("%s, %s: %.0f %%\n", market.name, name, 100 * done);
  };
  Result result;
  if (name == "omniscient") {
    result = Omniscient(market, std::move(arrivals), of.profile);
  } else {
    const std::unique_ptr<Policy> policy = MakePolicy(name, static_cast<int>(market.zones.size()), of);
    result = Simulate(market, std::move(arrivals), *policy, options);
  }
  std::cerr << absl::StreamFormat("%s, %s: %d requests in %.1f s\n", market.name, name, result.requests,
                                  absl::ToDoubleSeconds(absl::Now() - began));
  return result;
}

std::vector<Result> RunMarkets(absl::string_view name, const std::vector<RecordedMarket>& markets, const Case& of,
                               double copies) {
  std::vector<Result> results;
  for (const RecordedMarket& market : markets) results.push_back(RunPolicy(name, market, of, copies));
  return results;
}

// By market; `omniscient` is empty where it was not run.
std::vector<Reference> ReferencesOf(const std::vector<Result>& on_demand, const std::vector<Result>& omniscient) {
  std::vector<Reference> references;
  for (const Result& result : on_demand) references.push_back({result.cost()});
  for (size_t i = 0; i < omniscient.size(); ++i) references[i].least_dollars = omniscient[i].cost();
  return references;
}

Reference SumOf(const std::vector<Reference>& references) {
  Reference sum;
  for (const Reference& reference : references) {
    sum.on_demand_dollars += reference.on_demand_dollars;
    if (!reference.least_dollars.has_value()) continue;
    sum.least_dollars = sum.least_dollars.value_or(0) + *reference.least_dollars;
  }
  return sum;
}

struct Input {
  std::vector<RecordedMarket> markets;
  std::vector<Case> cases;
};

// Each model of a log by itself; a CSV has none.
absl::StatusOr<std::vector<Case>> ReadCases(const Profile& profile) {
  const bool own = !absl::GetFlag(FLAGS_what_if).empty();
  const std::string path = UserPath(absl::GetFlag(own ? FLAGS_what_if : FLAGS_requests));
  const std::string model = absl::GetFlag(FLAGS_model);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<Case> cases;
  if (own && !absl::EndsWith(path, ".csv")) {
    ASSIGN_OR_RETURN(AccessLog log, ParseAccessLog(text, path));
    ASSIGN_OR_RETURN(cases, CasesOf(std::move(log), model, profile));
  } else {
    cases.push_back({.profile = profile, .ours = OurDefaults(profile)});
    ASSIGN_OR_RETURN(cases[0].requests, ParseRequests(text, path));
  }
  if (const std::string config = UserPath(absl::GetFlag(FLAGS_config)); !config.empty()) {
    ASSIGN_OR_RETURN(const std::string yaml, ReadFile(config));
    ASSIGN_OR_RETURN(const std::vector<std::string> notes, Configure(yaml, config, model, cases));
    for (const std::string& note : notes) std::cerr << note << "\n";
  }
  return cases;
}

absl::StatusOr<Input> ReadInput() {
  Input input;
  Profile profile;
  if (const std::string path = UserPath(absl::GetFlag(FLAGS_profile)); !path.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    ASSIGN_OR_RETURN(profile, ParseProfile(text, path));
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
  ASSIGN_OR_RETURN(input.cases, ReadCases(profile));
  return input;
}

void PrintRow(const Result& total, const Reference& reference) {
  const std::optional<double> gap = GapToLeast(total, reference.least_dollars);
  std::printf("%-18s %12.2f %8.1f%% %9s %11.4f%% %10s %8d %8.0f %8.0f\n", total.policy.c_str(), total.cost(),
              100 * total.cost() / reference.on_demand_dollars,
              gap.has_value() ? absl::StrFormat("%.1f%%", 100 * *gap).c_str() : "-",
              100 * total.served_within_target(),
              WaitText(total.WaitedPercentile(0.99)).c_str(),
              static_cast<int>(total.interruptions), total.spot_hours.sum(),
              total.hours.sum() - total.spot_hours.sum());
  std::fflush(stdout);
}

// The policies in the order of the report; on demand is what others are measured by.
std::vector<absl::string_view> PolicyNames() {
  std::vector<absl::string_view> names = {"on_demand"};
  for (const absl::string_view name : kPolicies) {
    if (name != "on_demand" && IsWanted(name)) names.push_back(name);
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

// Markets are alternatives: a month is told in the mean of them.
double MonthFactor(const std::vector<RecordedMarket>& markets) {
  Nanos horizons = 0;
  for (const RecordedMarket& market : markets) horizons += market.horizon;
  return 730.0 * kHour / static_cast<double>(horizons);
}

ReportInput ReportOf(const Case& of, const std::vector<RecordedMarket>& markets, const std::string& command) {
  const bool own = !absl::GetFlag(FLAGS_what_if).empty();
  const std::string whose = of.model.empty() ? "your requests" : absl::StrCat("your requests to ", of.model);
  ReportInput report = {
      .title = own ? absl::StrCat("What serving ", whose, " would cost") : "What recorded spot markets would have cost",
      .command = command,
      .requests_name = absl::GetFlag(own ? FLAGS_what_if : FLAGS_requests),
      .target_share = of.profile.target_share(),
      .target_seconds = of.profile.target_wait_seconds()};
  for (const RecordedMarket& market : markets) report.prices.push_back(market.price_source);
  if (own) report.month_factor = MonthFactor(markets);
  return report;
}

// Dollars by policy, in the order of PolicyNames.
absl::StatusOr<std::vector<double>> RunCase(const Case& of, const std::vector<RecordedMarket>& markets,
                                            const std::string& command, const std::string& out) {
  ASSIGN_OR_RETURN(const double copies, Copies(of, absl::GetFlag(FLAGS_scale)));
  std::error_code error;
  std::filesystem::create_directories(out, error);
  if (error) return absl::PermissionDeniedError(absl::StrCat(out, ": ", error.message()));
  ReportInput report = ReportOf(of, markets, command);
  const std::vector<absl::string_view> names = PolicyNames();
  std::vector<Result> omniscient;  // before the others, which are measured by it
  if (names.back() == "omniscient") omniscient = RunMarkets("omniscient", markets, of, copies);
  std::vector<Reference> references;
  std::vector<double> costs;
  std::printf("%-18s %12s %9s %9s %12s %10s %8s %8s %8s\n", "policy", "dollars", "of o.d.", "gap", "in target",
              "p99 wait", "taken", "spot h", "o.d. h");
  for (const absl::string_view name : names) {
    std::vector<Result> results = name == "omniscient" ? omniscient : RunMarkets(name, markets, of, copies);
    if (name == "on_demand") references = ReferencesOf(results, omniscient);
    const Result total = SumOf(results);
    const Reference reference = SumOf(references);
    if (IsWanted(name)) {
      RETURN_IF_ERROR(WriteFile(absl::StrCat(out, "/", name, ".json"), ToJson(total, reference, results, references)));
    }
    PrintRow(total, reference);
    costs.push_back(total.cost());
    report.totals.push_back(total);
    report.markets.push_back(std::move(results));
  }
  RETURN_IF_ERROR(WriteReport(out, report));
  std::printf("%s/report.html\n", out.c_str());
  return costs;
}

// A part of a path, whatever the model is called.
std::string FolderOf(size_t number, absl::string_view model) {
  std::string folder = absl::StrCat(number, "-", model.substr(0, 64));
  for (char& c : folder) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_') c = '-';
  }
  return folder;
}

absl::Status Run(const std::string& command) {
  ASSIGN_OR_RETURN(const Input input, ReadInput());
  const std::string out = UserPath(absl::GetFlag(FLAGS_out));
  const std::vector<absl::string_view> policies = PolicyNames();
  std::vector<double> sums(policies.size());
  for (size_t i = 0; i < input.cases.size(); ++i) {
    const Case& of = input.cases[i];
    const bool alone = input.cases.size() == 1;
    if (!of.model.empty()) std::printf("%s: %zu requests\n", of.model.c_str(), of.requests.size());
    const std::string folder = alone ? out : absl::StrCat(out, "/", FolderOf(i + 1, of.model));
    ASSIGN_OR_RETURN(const std::vector<double> costs, RunCase(of, input.markets, command, folder));
    for (size_t policy = 0; policy < policies.size(); ++policy) sums[policy] += costs[policy];
  }
  if (absl::GetFlag(FLAGS_what_if).empty()) return absl::OkStatus();
  std::printf("a month%s, dollars:", input.cases.size() == 1 ? "" : " of all models");
  for (size_t policy = 0; policy < policies.size(); ++policy) {
    std::printf(" %s %.2f%s", std::string(policies[policy]).c_str(), sums[policy] * MonthFactor(input.markets),
                policy + 1 < policies.size() ? "," : "\n");
  }
  return absl::OkStatus();
}

int Main(const std::string& command) {
  if (absl::GetFlag(FLAGS_traces).empty() || absl::GetFlag(FLAGS_out).empty() ||
      absl::GetFlag(FLAGS_requests).empty() == absl::GetFlag(FLAGS_what_if).empty() ||
      !ArePolicies(absl::GetFlag(FLAGS_policy)) || !(absl::GetFlag(FLAGS_scale) >= 0) ||
      !InRange(absl::GetFlag(FLAGS_zone_capacity)) || !InRange(absl::GetFlag(FLAGS_hedge_extra))) {
    std::cerr << "--traces, --out and either --requests or --what_if are needed; --policy is one of "
              << absl::StrJoin(kPolicies, ", ") << ", several by commas, or all; --scale is not negative, "
              << "--zone_capacity and --hedge_extra are from 0 to " << kMostMachines << "\n";
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
