#include "gateway/metrics/metrics_filter.h"

namespace spotinference {
namespace {

class Counting : public http::Filter {
 public:
  explicit Counting(Metrics& metrics) : metrics_(metrics) {}
  std::optional<http::Response> OnRequest(http::Request&) override { return std::nullopt; }
  void OnEnd(const http::Request& request, const http::Outcome& outcome) override {
    metrics_.Request(request.Capture("model"), outcome.status);
  }

 private:
  Metrics& metrics_;
};

}  // namespace

http::FilterFactory MetricsFilter(Metrics& metrics) {
  return [&metrics] { return std::make_unique<Counting>(metrics); };
}

}  // namespace spotinference
