// The handlers that answer at once: models, health, metrics.
#ifndef GATEWAY_HANDLERS_PLAIN_HANDLERS_H_
#define GATEWAY_HANDLERS_PLAIN_HANDLERS_H_

#include <functional>
#include <memory>

#include "engine/base/clock.h"
#include "gateway/handlers/served_model.h"
#include "gateway/http/handler.h"
#include "gateway/metrics/metrics.h"

namespace spotinference {

// What they are given outlives them. None of them wakes a model.
std::unique_ptr<http::Handler> ModelListHandler(const ServedModels& models, const Clock& clock);  // GET /v1/models
std::unique_ptr<http::Handler> ModelHandler(const ServedModels& models, const Clock& clock);      // GET /v1/models/{id}
std::unique_ptr<http::Handler> HealthHandler(const Clock& clock);                                 // GET /health
// GET /ready: 200 while `ready` says so, else 503.
std::unique_ptr<http::Handler> ReadyHandler(std::function<bool()> ready, const Clock& clock);
std::unique_ptr<http::Handler> MetricsHandler(const Metrics& metrics);                            // GET /metrics

}  // namespace spotinference

#endif  // GATEWAY_HANDLERS_PLAIN_HANDLERS_H_
