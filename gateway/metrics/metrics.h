// What /metrics says, under the prefix spotinference_.
#ifndef GATEWAY_METRICS_METRICS_H_
#define GATEWAY_METRICS_METRICS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace spotinference {

// Thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  void Request(std::string_view model, int http_status);                       // requests_total
  void TimeToFirstToken(std::string_view model, absl::Duration took);          // from the request's arrival
  void InterToken(std::string_view model, absl::Duration took);
  void Wake(std::string_view model, std::string_view stage, absl::Duration took);
  void Tokens(std::string_view model, std::string_view kind, int64_t count);   // prompt, cached, generated

  void StreamResume(std::string_view model, std::string_view reason, bool exact);  // stream_resumes_total

  // A number that is read when somebody asks.
  struct Sample {
    std::string name;  // without the prefix
    std::vector<std::pair<std::string, std::string>> labels;
    double value;
    bool counter = false;  // it never steps back: where what is read does, it stands until that has caught up
  };
  // Called for each Text, on the caller's thread.
  void AddSource(std::function<std::vector<Sample>()> source);

  // Prometheus' text format, version 0.0.4.
  std::string Text() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace spotinference

#endif  // GATEWAY_METRICS_METRICS_H_
