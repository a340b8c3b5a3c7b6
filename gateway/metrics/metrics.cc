#include "gateway/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace spotinference {
namespace {

using prometheus::Histogram;
using Labels = std::map<std::string, std::string>;

constexpr char kPrefix[] = "spotinference_";

// Seconds, in steps of about 2.
const Histogram::BucketBoundaries kTokenBuckets = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10};
const Histogram::BucketBoundaries kFirstTokenBuckets = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1,  2,
                                                        5,    10,   30,   60,  120, 300, 600};
const Histogram::BucketBoundaries kWakeBuckets = {0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 240, 480, 600};

std::string Name(std::string_view name) { return absl::StrCat(kPrefix, std::string(name)); }

}  // namespace

class Metrics::Impl {
 public:
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter().Name(Name("requests_total")).Help("Answered requests").Register(registry);
  prometheus::Family<prometheus::Counter>& tokens =
      prometheus::BuildCounter().Name(Name("tokens_total")).Help("Tokens by kind").Register(registry);
  prometheus::Family<prometheus::Counter>& resumes = prometheus::BuildCounter()
                                                         .Name(Name("stream_resumes_total"))
                                                         .Help("Answers that went on at another engine")
                                                         .Register(registry);
  prometheus::Family<Histogram>& first_token = prometheus::BuildHistogram()
                                                   .Name(Name("time_to_first_token_seconds"))
                                                   .Help("From a request's arrival to its first token")
                                                   .Register(registry);
  prometheus::Family<Histogram>& inter_token = prometheus::BuildHistogram()
                                                   .Name(Name("inter_token_seconds"))
                                                   .Help("Between two pieces of text of one stream")
                                                   .Register(registry);
  prometheus::Family<Histogram>& wakes =
      prometheus::BuildHistogram().Name(Name("wake_seconds")).Help("Wakes by stage").Register(registry);

  // The most that was read of it so far.
  double Risen(const Sample& sample) {
    absl::MutexLock lock(&mutex);
    double& most = risen.try_emplace({sample.name, sample.labels}, sample.value).first->second;
    return most = std::max(most, sample.value);
  }

  absl::Mutex mutex;
  std::vector<std::function<std::vector<Sample>()>> sources ABSL_GUARDED_BY(mutex);
  std::map<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>, double> risen
      ABSL_GUARDED_BY(mutex);  // by name and labels, of counters
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::Request(std::string_view model, int http_status) {
  impl_->requests.Add(Labels{{"model", std::string(model)}, {"code", absl::StrCat(http_status)}}).Increment();
}

void Metrics::TimeToFirstToken(std::string_view model, absl::Duration took) {
  impl_->first_token.Add(Labels{{"model", std::string(model)}}, kFirstTokenBuckets)
      .Observe(absl::ToDoubleSeconds(took));
}

void Metrics::InterToken(std::string_view model, absl::Duration took) {
  impl_->inter_token.Add(Labels{{"model", std::string(model)}}, kTokenBuckets).Observe(absl::ToDoubleSeconds(took));
}

void Metrics::Wake(std::string_view model, std::string_view stage, absl::Duration took) {
  impl_->wakes.Add(Labels{{"model", std::string(model)}, {"stage", std::string(stage)}}, kWakeBuckets)
      .Observe(absl::ToDoubleSeconds(took));
}

void Metrics::Tokens(std::string_view model, std::string_view kind, int64_t count) {
  impl_->tokens.Add(Labels{{"model", std::string(model)}, {"kind", std::string(kind)}}).Increment(count);
}

void Metrics::StreamResume(std::string_view model, std::string_view reason, bool exact) {
  impl_->resumes
      .Add(Labels{{"model", std::string(model)}, {"reason", std::string(reason)}, {"exact", exact ? "true" : "false"}})
      .Increment();
}

void Metrics::AddSource(std::function<std::vector<Sample>()> source) {
  absl::MutexLock lock(&impl_->mutex);
  impl_->sources.push_back(std::move(source));
}

std::string Metrics::Text() const {
  std::vector<std::function<std::vector<Sample>()>> sources;
  {
    absl::MutexLock lock(&impl_->mutex);
    sources = impl_->sources;
  }
  std::map<std::string, prometheus::MetricFamily> read;
  for (const auto& source : sources) {
    for (const Sample& sample : source()) {
      prometheus::MetricFamily& family = read[sample.name];
      family.name = Name(sample.name);
      family.type = sample.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
      prometheus::ClientMetric& metric = family.metric.emplace_back();
      for (const auto& [key, value] : sample.labels) metric.label.push_back({key, value});
      if (sample.counter) metric.counter.value = impl_->Risen(sample);
      else metric.gauge.value = sample.value;
    }
  }
  std::vector<prometheus::MetricFamily> families = impl_->registry.Collect();
  for (auto& [name, family] : read) families.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace spotinference
