// POST /v1/chat/completions and /v1/completions: from the body to a session. What can be refused is refused here, before
// anything wakes.
#ifndef GATEWAY_HANDLERS_GENERATE_HANDLER_H_
#define GATEWAY_HANDLERS_GENERATE_HANDLER_H_

#include <memory>

#include "gateway/handlers/served_model.h"
#include "gateway/http/handler.h"
#include "gateway/metrics/metrics.h"
#include "gateway/session/session.h"

namespace spotinference {

// Everything outlives the handlers.
struct GenerateContext {
  SessionContext session;
  const ServedModels& models;
  Metrics& metrics;
};

std::unique_ptr<http::Handler> ChatHandler(const GenerateContext& context);
std::unique_ptr<http::Handler> CompletionHandler(const GenerateContext& context);

}  // namespace spotinference

#endif  // GATEWAY_HANDLERS_GENERATE_HANDLER_H_
