#include "gateway/handlers/plain_handlers.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/filters/reply.h"
#include "gateway/openai/api_error.h"
#include "gateway/openai/response.h"

namespace spotinference {
namespace {

constexpr char kOwner[] = "spotinference";

class PlainHandler : public http::Handler {
 public:
  using Answer = std::function<http::Response(const http::Request&)>;
  explicit PlainHandler(Answer answer) : answer_(std::move(answer)) {}
  void Handle(std::shared_ptr<http::Exchange> exchange) override { exchange->Reply(answer_(exchange->request())); }

 private:
  const Answer answer_;
};

openai::ModelEntry Entry(const ServedModel& model) { return {model.name, model.created, kOwner}; }

}  // namespace

std::unique_ptr<http::Handler> ModelListHandler(const ServedModels& models, const Clock& clock) {
  return std::make_unique<PlainHandler>([&](const http::Request& request) {
    std::vector<openai::ModelEntry> entries;
    for (const ServedModel& model : models.all()) entries.push_back(Entry(model));
    return JsonReply(200, openai::ModelListBody(entries), clock.Now() - request.received);
  });
}

std::unique_ptr<http::Handler> ModelHandler(const ServedModels& models, const Clock& clock) {
  return std::make_unique<PlainHandler>([&](const http::Request& request) {
    const std::string name(request.Capture("id"));
    const ServedModel* const model = models.Find(name);
    const absl::Duration took = clock.Now() - request.received;
    if (model != nullptr) return JsonReply(200, openai::ModelBody(Entry(*model)), took);
    return ErrorReply(openai::ReasonError(openai::Reason::kModelNotFound,
                                          absl::StrCat("The model '", name, "' does not exist."), {.param = "model"}),
                      took);
  });
}

std::unique_ptr<http::Handler> HealthHandler(const Clock& clock) {
  return ReadyHandler([] { return true; }, clock);
}

std::unique_ptr<http::Handler> ReadyHandler(std::function<bool()> ready, const Clock& clock) {
  return std::make_unique<PlainHandler>([ready = std::move(ready), &clock](const http::Request& request) {
    const absl::Duration took = clock.Now() - request.received;
    if (ready()) return JsonReply(200, R"({"status":"ok"})", took);
    return ErrorReply(openai::ReasonError(openai::Reason::kShuttingDown, "the gateway takes no requests now"), took);
  });
}

std::unique_ptr<http::Handler> MetricsHandler(const Metrics& metrics) {
  return std::make_unique<PlainHandler>([&](const http::Request&) {
    return http::Response{200, {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}}, metrics.Text()};
  });
}

}  // namespace spotinference
