// Recorded requests, and the stream of arrivals that a simulation makes of them.
#ifndef FLEET_SIM_REQUESTS_H_
#define FLEET_SIM_REQUESTS_H_

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "fleet/sim/market.h"

namespace spotinference::fleet::sim {

struct Request {
  Nanos at = 0;
  int32_t prompt_tokens = 0;
  int32_t generated_tokens = 0;
  int32_t key = 0;  // whose it is: a number, the same for the same key
};

// CSV as the Azure Public Dataset has it: TIMESTAMP,ContextTokens,GeneratedTokens, time as "2023-11-16 18:15:46.68"
// with or without a zone. The first request is at 0. INVALID_ARGUMENT, with the line.
absl::StatusOr<std::vector<Request>> ParseRequests(absl::string_view text, absl::string_view name);

struct AccessLog {
  std::map<std::string, std::vector<Request>> models;  // of each, by their times; the log's first request is at 0
  Nanos span = 0;  // from the first request to the last, of all models: for so long the log tells of each of them
};

// The gateway's access log (gateway/filters/access_log_filter.h), as it stands on stderr. Answers that came to their end
// count: they have their tokens there, so that it does not matter how long they waited for a machine. A log has no year;
// one that passes New Year's Eve is refused. INVALID_ARGUMENT, also where there are none.
absl::StatusOr<AccessLog> ParseAccessLog(absl::string_view text, absl::string_view name);

// Tells the recorded requests again and again, `copies` of each (a fraction by chance), displaced by up to a minute, in
// the order of their times.
class Arrivals {
 public:
  // `recorded` must outlive this and not be empty. It tells of `span` at least, whose ends may have been quiet.
  Arrivals(const std::vector<Request>& recorded, double copies, uint64_t seed, Nanos span = 0);

  const Request& next() const { return ready_[at_]; }
  void Pop();

 private:
  void Fill();

  const std::vector<Request>& recorded_;
  const double copies_;
  const Nanos period_;
  std::mt19937_64 random_;
  size_t row_ = 0;    // of the recorded ones
  Nanos offset_ = 0;  // of this telling
  std::vector<Request> ready_, later_;
  size_t at_ = 0;
};

}  // namespace spotinference::fleet::sim

#endif  // FLEET_SIM_REQUESTS_H_
