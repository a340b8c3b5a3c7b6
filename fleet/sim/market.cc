#include "fleet/sim/market.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "fleet/sim/files.h"

namespace spotinference::fleet::sim {
namespace {

namespace fs = std::filesystem;

// What a trace's path says.
struct TraceName {
  std::string folder;  // of the trace, its last part
  std::string provider, zone, accelerator;
  int accelerators = 1;
  std::optional<int> nodes;  // of the probe
};

TraceName NameOf(const fs::path& path) {
  TraceName name;
  name.folder = path.parent_path().filename().string();
  for (const fs::path& part : path) {
    int nodes;
    if (absl::EndsWith(part.string(), "-node") &&
        absl::SimpleAtoi(part.string().substr(0, part.string().size() - 5), &nodes)) {
      name.nodes = nodes;
    }
  }
  name.provider = std::vector<std::string>(absl::StrSplit(name.folder, '-'))[0];
  std::vector<std::string> parts = absl::StrSplit(path.stem().string(), '_');
  name.zone = parts[0];
  if (parts.size() > 2 && absl::SimpleAtoi(parts.back(), &name.accelerators)) parts.pop_back();
  parts.erase(parts.begin());
  name.accelerator = absl::AsciiStrToUpper(absl::StrJoin(parts, "_"));
  return name;
}

// us-west-2a of AWS lies in us-west-2, us-east1-b of Google Cloud in us-east1.
std::string RegionOf(absl::string_view zone) {
  if (zone.size() < 2) return std::string(zone);
  const bool dashed = zone[zone.size() - 2] == '-';
  return std::string(zone.substr(0, zone.size() - (dashed ? 2 : 1)));
}

// Prices of one kind of machine at a place, whatever it is called there.
class PriceList {
 public:
  PriceList(const std::vector<PriceRow>& rows, const TraceName& kind) : kind_(kind) {
    for (const bool same_count : {true, false}) {
      for (const PriceRow& row : rows) {
        if (!absl::EqualsIgnoreCase(row.accelerator, kind.accelerator) || row.provider != kind.provider ||
            (same_count && row.accelerators != kind.accelerators)) {
          continue;
        }
        PriceRow scaled = row;
        scaled.on_demand *= static_cast<double>(kind.accelerators) / row.accelerators;
        scaled.spot *= static_cast<double>(kind.accelerators) / row.accelerators;
        if (!same_count) scaled.machine_type = absl::StrCat(kind.accelerator, "_", kind.accelerators);
        rows_.push_back(std::move(scaled));
      }
      if (!rows_.empty()) {
        source_ = same_count ? "the price list" : "the price list, by the accelerator";
        break;
      }
    }
    std::stable_sort(rows_.begin(), rows_.end(), [](const PriceRow& a, const PriceRow& b) { return a.zone < b.zone; });
  }

  // For the `index`-th trace zone of `region`.
  PriceRow For(absl::string_view region, int index, const MarketOptions& options) {
    std::vector<const PriceRow*> here;
    for (const PriceRow& row : rows_) {
      if (row.region == region && (row.on_demand > 0 || row.spot > 0)) here.push_back(&row);
    }
    if (!here.empty()) return *here[index % here.size()];
    PriceRow mean = {.machine_type = absl::StrCat(kind_.accelerator, "_", kind_.accelerators)};
    if (rows_.empty()) {
      source_ = "none is known: relative prices";
      mean.on_demand = options.unpriced_on_demand;
      mean.spot = options.unpriced_on_demand * options.unpriced_spot_share;
      return mean;
    }
    int spots = 0, on_demands = 0;
    for (const PriceRow& row : rows_) {
      mean.on_demand += row.on_demand;
      on_demands += row.on_demand > 0;
      mean.spot += row.spot;
      spots += row.spot > 0;
    }
    mean.on_demand /= std::max(1, on_demands);
    mean.spot = spots == 0 ? mean.on_demand * options.unpriced_spot_share : mean.spot / spots;
    source_ = "the price list, some regions at the mean of others";
    return mean;
  }

  const std::string& source() const { return source_; }

 private:
  const TraceName kind_;
  std::vector<PriceRow> rows_;  // of this kind
  std::string source_;
};

struct NamedTrace {
  TraceName name;
  Trace trace;
};

Zone MakeZone(NamedTrace&& from, const PriceRow& price, const MarketOptions& options) {
  Zone zone = {.provider = from.name.provider,
               .region = RegionOf(from.name.zone),
               .name = from.name.zone,
               .machine_type = price.machine_type,
               .on_demand = price.on_demand > 0 ? price.on_demand : std::numeric_limits<double>::infinity(),
               .step = from.trace.step,
               .capacity = std::move(from.trace.machines)};
  if (!from.trace.prices.empty()) {
    zone.spot = std::move(from.trace.prices);
  } else {
    zone.spot = {price.spot > 0 ? price.spot : price.on_demand};
  }
  const int most = *std::max_element(zone.capacity.begin(), zone.capacity.end());
  if (from.name.nodes.value_or(most) <= 1) {
    for (int& machines : zone.capacity) machines = machines > 0 ? options.zone_capacity : 0;
  }
  return zone;
}

absl::StatusOr<RecordedMarket> MakeMarket(std::string name, std::vector<NamedTrace> traces,
                                          const std::vector<PriceRow>& prices, const MarketOptions& options) {
  std::sort(traces.begin(), traces.end(),
            [](const NamedTrace& a, const NamedTrace& b) { return a.name.zone < b.name.zone; });
  RecordedMarket market = {
      .name = std::move(name), .accelerator = traces[0].name.accelerator, .accelerators = traces[0].name.accelerators};
  PriceList list(prices, traces[0].name);
  std::map<std::string, int> in_region;
  bool priced = true;
  for (NamedTrace& trace : traces) {
    const std::string region = RegionOf(trace.name.zone);
    PriceRow price = list.For(region, in_region[region]++, options);
    if (const std::vector<double>& own = trace.trace.prices; !own.empty() && list.source().find("none") == 0) {
      // Only the relation to on-demand has to be made up.
      price.on_demand = *std::max_element(own.begin(), own.end()) / options.unpriced_spot_share;
    } else {
      priced = false;
    }
    market.zones.push_back(MakeZone(std::move(trace), price, options));
    const Zone& zone = market.zones.back();
    market.horizon = std::max<Nanos>(market.horizon, zone.step * static_cast<Nanos>(zone.capacity.size()));
  }
  if (std::none_of(market.zones.begin(), market.zones.end(),
                   [](const Zone& zone) { return std::isfinite(zone.on_demand); })) {
    return absl::InvalidArgumentError(absl::StrCat(market.name, ": the price list has no on-demand price for it"));
  }
  market.price_source = priced ? "spot from the traces, on-demand made up" : list.source();
  return market;
}

}  // namespace

double Zone::spot_at(Nanos at) const {
  if (spot.size() == 1) return spot[0];
  return spot[std::min<size_t>(at / step, spot.size() - 1)];
}

RecordedMarket Resampled(const RecordedMarket& market, uint64_t seed) {
  constexpr Nanos kBlock = 24 * kHour;
  Nanos shortest = market.horizon;
  for (const Zone& zone : market.zones) {
    shortest = std::min(shortest, zone.step * static_cast<Nanos>(zone.capacity.size()));
  }
  std::mt19937_64 random(seed);
  std::vector<Nanos> begins;  // of the blocks, in the record
  const Nanos block = std::min(kBlock, shortest);
  for (Nanos at = 0; at < market.horizon; at += block) {
    begins.push_back(static_cast<Nanos>(random() % static_cast<uint64_t>(shortest - block + 1)));
  }
  RecordedMarket drawn = market;
  drawn.name = absl::StrCat(market.name, " resampled ", seed);
  for (Zone& zone : drawn.zones) {
    const Zone recorded = zone;
    const size_t steps = market.horizon / zone.step;
    zone.capacity.resize(steps);
    if (zone.spot.size() > 1) zone.spot.resize(steps);
    for (size_t i = 0; i < steps; ++i) {
      const Nanos at = zone.step * static_cast<Nanos>(i), from = begins[at / block] + at % block;
      zone.capacity[i] = recorded.capacity[std::min<size_t>(from / zone.step, recorded.capacity.size() - 1)];
      if (zone.spot.size() > 1) zone.spot[i] = recorded.spot_at(from);
    }
  }
  return drawn;
}

absl::StatusOr<std::vector<RecordedMarket>> ReadMarkets(const std::string& dir, const std::vector<PriceRow>& prices,
                                                        const MarketOptions& options) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (fs::recursive_directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".json") paths.push_back(it->path());
  }
  if (error) return absl::NotFoundError(absl::StrCat(dir, ": ", error.message()));
  if (paths.empty()) return absl::NotFoundError(absl::StrCat(dir, ": holds no trace (*.json)"));
  std::map<std::string, std::vector<NamedTrace>> grouped;
  for (const fs::path& path : paths) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path.string()));
    ASSIGN_OR_RETURN(Trace trace, ParseTrace(text, path.string()));
    TraceName name = NameOf(fs::absolute(path));
    const std::string market =
        absl::StrCat(name.folder, " ", absl::AsciiStrToLower(name.accelerator), "_", name.accelerators);
    // Probes of different sizes may share a day's name.
    grouped[name.nodes.has_value() ? absl::StrCat(market, " ", *name.nodes, "-node") : market].push_back(
        {std::move(name), std::move(trace)});
  }
  std::vector<RecordedMarket> markets;
  for (auto& [name, traces] : grouped) {
    ASSIGN_OR_RETURN(RecordedMarket market, MakeMarket(name, std::move(traces), prices, options));
    markets.push_back(std::move(market));
  }
  return markets;
}

}  // namespace spotinference::fleet::sim
