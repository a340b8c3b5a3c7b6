// Any bytes as a trace, a price list, requests, a log or a profile: read, or refused by name.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "absl/strings/match.h"
#include "fleet/sim/market.h"
#include "fleet/sim/profile.h"
#include "fleet/sim/requests.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference::fleet::sim;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto check = [](const absl::Status& status) {
    if (!status.ok() && !absl::StartsWith(status.message(), "f:")) std::abort();
  };
  const auto trace = ParseTrace(text, "f");
  check(trace.status());
  if (trace.ok() && (trace->step <= 0 || trace->machines.empty())) std::abort();
  check(ParsePrices(text, "f").status());
  check(ParseProfile(text, "f").status());
  const auto tell = [](const std::vector<Request>& requests, Nanos span) {
    Arrivals arrivals(requests, 1.5, 1, span);
    for (int i = 0; i < 10; ++i) arrivals.Pop();
  };
  const auto requests = ParseRequests(text, "f");
  check(requests.status());
  if (requests.ok()) {
    if (requests->empty() || requests->front().at != 0) std::abort();
    tell(*requests, 0);
  }
  const auto log = ParseAccessLog(text, "f");
  check(log.status());
  if (log.ok() && log->models.empty()) std::abort();
  if (log.ok()) {
    for (const auto& [model, of_model] : log->models) tell(of_model, log->span);
  }
  return 0;
}
