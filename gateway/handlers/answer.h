// Where a session's answer goes: an SSE stream, or one JSON body.
#ifndef GATEWAY_HANDLERS_ANSWER_H_
#define GATEWAY_HANDLERS_ANSWER_H_

#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "gateway/handlers/served_model.h"
#include "gateway/http/exchange.h"
#include "gateway/metrics/metrics.h"
#include "gateway/openai/response.h"
#include "gateway/session/session.h"

namespace spotinference {

struct AnswerOptions {
  openai::Endpoint endpoint;
  std::string id;            // "chatcmpl-…"
  const ServedModel* model;  // outlives the answer
  int choices = 1;
  bool stream = false;
  bool include_usage = false;
  bool logprobs = false;
};

// Clock and metrics outlive the sink.
std::unique_ptr<AnswerSink> NewAnswer(const AnswerOptions& options, std::shared_ptr<http::Exchange> exchange,
                                      const Clock& clock, Metrics& metrics);

}  // namespace spotinference

#endif  // GATEWAY_HANDLERS_ANSWER_H_
