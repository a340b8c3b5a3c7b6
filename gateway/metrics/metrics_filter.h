// Counts every answer in requests_total.
#ifndef GATEWAY_METRICS_METRICS_FILTER_H_
#define GATEWAY_METRICS_METRICS_FILTER_H_

#include "gateway/http/handler.h"
#include "gateway/metrics/metrics.h"

namespace spotinference {

// The model is what the handler put into Request::captures; "" where it came to none. `metrics` outlives the filters.
http::FilterFactory MetricsFilter(Metrics& metrics);

}  // namespace spotinference

#endif  // GATEWAY_METRICS_METRICS_FILTER_H_
