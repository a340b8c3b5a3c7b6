// SVG of simulation results, self-contained, readable on white and printed.
#ifndef FLEET_SIM_PLOTS_H_
#define FLEET_SIM_PLOTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "fleet/sim/result.h"

namespace spotinference::fleet::sim {

// `text` between tags or in an attribute.
std::string Escaped(absl::string_view text);

// "$7,868"; below a hundred with cents.
std::string Dollars(double dollars);

// "7,334,703".
std::string Grouped(int64_t number);

// A point for each policy: dollars against the share that waited longer than the target, on a logarithmic axis. The
// policies' totals, in one order everywhere, since the order gives the colours.
std::string CostPlot(absl::Span<const Result> policies, double target_share);

// Machines of each offer over the run, stacked; one policy in one market.
std::string MachinesPlot(const Result& result);

// The share of requests that waited longer than a time, both axes logarithmic; a line for each policy.
std::string WaitPlot(absl::Span<const Result> policies, double target_seconds);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_PLOTS_H_
