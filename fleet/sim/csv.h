// Lines of comma-separated fields under a fixed head. Neither price lists nor request traces quote a field.
#ifndef FLEET_SIM_CSV_H_
#define FLEET_SIM_CSV_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace spotinference::fleet::sim {

using CsvRow = std::vector<absl::string_view>;

// Calls `row` with each line after the head; empty lines are skipped. INVALID_ARGUMENT, as "NAME:LINE: …": another
// head, another number of fields, or what `row` finds wrong.
absl::Status ForEachRow(absl::string_view text, absl::string_view name, absl::string_view head,
                        absl::FunctionRef<absl::Status(const CsvRow&)> row);

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_CSV_H_
