#include "fleet/providers/gcp/gcp_run.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fleet/providers/cloud/http.h"

namespace spotinference::fleet {
namespace {

struct Operation {
  std::string type;
  absl::Time asked, begun;
  absl::Time done = absl::InfiniteFuture();
};

bool Begins(const std::string& type) { return type == "insert" || type == "start" || type == "resume"; }
bool Ends(const std::string& type) { return type == "stop" || type == "suspend" || type == "delete"; }

// Those that were done, or may be yet.
std::vector<Operation> Read(const std::vector<Json>& rows) {
  std::vector<Operation> operations;
  for (const Json& row : rows) {
    const std::optional<absl::Time> asked = TimeIn(row["insertTime"].Text());
    if (!asked.has_value() || !row["error"]["errors"].Items().empty()) continue;
    Operation operation = {.type = row["operationType"].Text(),
                           .asked = *asked,
                           .begun = TimeIn(row["startTime"].Text()).value_or(*asked)};
    if (row["status"].Text() == "DONE") operation.done = TimeIn(row["endTime"].Text()).value_or(operation.done);
    operations.push_back(std::move(operation));
  }
  std::sort(operations.begin(), operations.end(),
            [](const Operation& a, const Operation& b) { return a.asked < b.asked; });
  return operations;
}

}  // namespace

absl::StatusOr<CloudRun> GcpRunOf(const CloudRun& listed, const std::vector<Json>& operations) {
  CloudRun run;
  bool is_over = false;          // an end of it was asked for
  absl::Time ended = absl::InfiniteFuture();
  for (const Operation& operation : Read(operations)) {
    if (Begins(operation.type)) {
      run = {.began = operation.begun};
      is_over = false;
      ended = absl::InfiniteFuture();
      if (listed.began >= operation.asked) run.began = listed.began;
    } else if (listed.began.has_value() && operation.done < *listed.began) {
      continue;  // an earlier run's
    } else if (Ends(operation.type)) {
      is_over = true;
      ended = std::min(ended, operation.done);
    } else if (operation.type == "compute.instances.preempted") {
      run.reclaimed |= !is_over;
    }
  }
  if (!run.began.has_value()) run.began = listed.began;
  if (listed.ended.has_value() && listed.ended >= run.began) ended = std::min(ended, *listed.ended);
  if (ended < absl::InfiniteFuture()) run.ended = ended;
  else if (is_over || run.began.has_value()) return absl::UnavailableError("no operation has ended its run yet");
  return run;
}

}  // namespace spotinference::fleet
