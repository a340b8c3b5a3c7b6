#include "gateway/handlers/admin_handlers.h"

#include <boost/json.hpp>
#include <functional>
#include <string>
#include <utility>

#include "engine/base/status.h"
#include "gateway/filters/reply.h"
#include "gateway/handlers/interrupt_request.h"

namespace spotinference {
namespace {

namespace json = boost::json;

http::Response AdminErrorReply(const absl::Status& status, absl::Duration took) {
  const std::string message(status.message());
  switch (status.code()) {
    case absl::StatusCode::kNotFound: return HttpErrorReply(404, message);
    case absl::StatusCode::kFailedPrecondition: return HttpErrorReply(409, message);
    default: return ErrorReply(status, took);
  }
}

// Answers at once with what `answer` makes of the request.
class AdminHandler : public http::Handler {
 public:
  using Answer = std::function<absl::StatusOr<json::object>(const http::Request&)>;
  AdminHandler(int status, const Clock& clock, Answer answer)
      : status_(status), clock_(clock), answer_(std::move(answer)) {}

  void Handle(std::shared_ptr<http::Exchange> exchange) override {
    const absl::StatusOr<json::object> answer = answer_(exchange->request());
    const absl::Duration took = clock_.Now() - exchange->request().received;
    exchange->Reply(answer.ok() ? JsonReply(status_, json::serialize(*answer), took)
                                : AdminErrorReply(answer.status(), took));
  }

 private:
  const int status_;
  const Clock& clock_;
  const Answer answer_;
};

std::unique_ptr<http::Handler> Show(const Clock& clock, AdminHandler::Answer answer) {
  return std::make_unique<AdminHandler>(200, clock, std::move(answer));
}

std::unique_ptr<http::Handler> Order(const Clock& clock, std::function<absl::Status(const http::Request&)> order) {
  return std::make_unique<AdminHandler>(
      202, clock, [order = std::move(order)](const http::Request& request) -> absl::StatusOr<json::object> {
        RETURN_IF_ERROR(order(request));
        return json::object();
      });
}

absl::string_view CaptureOf(const http::Request& request, std::string_view name) {
  const std::string_view capture = request.Capture(name);
  return {capture.data(), capture.size()};
}

json::object MachineObject(const fleet::MachineView& machine) {
  return {{"id", machine.id},
          {"model", machine.model},
          {"state", machine.state},
          {"provider", machine.provider},
          {"market", machine.market},
          {"zone", machine.zone},
          {"backend", machine.backend},
          {"numerics_id", machine.numerics_id},
          {"since", absl::FormatTime(absl::RFC3339_sec, machine.since, absl::UTCTimeZone())},
          {"price_per_hour", machine.price_per_hour},
          {"active", machine.active},
          {"reason", machine.reason}};
}

}  // namespace

std::unique_ptr<http::Handler> MachinesHandler(const fleet::Fleet& fleet, const Clock& clock) {
  return Show(clock, [&fleet](const http::Request&) {
    json::array machines;
    for (const fleet::MachineView& machine : fleet.Machines()) machines.push_back(MachineObject(machine));
    return json::object{{"machines", std::move(machines)}};
  });
}

std::unique_ptr<http::Handler> LedgerHandler(const fleet::Fleet& fleet, const Clock& clock) {
  return Show(clock, [&fleet](const http::Request&) {
    json::array lines;
    for (const fleet::LedgerLine& line : fleet.LedgerLines()) {
      lines.push_back({{"model", line.model},
                       {"market", line.market},
                       {"use", line.use},
                       {"seconds", absl::ToDoubleSeconds(line.time)},
                       {"dollars", line.dollars}});
    }
    return json::object{{"lines", std::move(lines)}};
  });
}

std::unique_ptr<http::Handler> InterruptHandler(fleet::Fleet& fleet, const Clock& clock) {
  return Order(clock, [&fleet](const http::Request& request) -> absl::Status {
    ASSIGN_OR_RETURN(const InterruptRequest interrupt, ParseInterruptRequest(request.body));
    return fleet.Interrupt(CaptureOf(request, "id"), interrupt.notice);
  });
}

std::unique_ptr<http::Handler> KillHandler(fleet::Fleet& fleet, const Clock& clock) {
  return Order(clock, [&fleet](const http::Request& request) { return fleet.Kill(CaptureOf(request, "id")); });
}

std::unique_ptr<http::Handler> HibernateHandler(fleet::Fleet& fleet, const Clock& clock) {
  return Order(clock, [&fleet](const http::Request& request) { return fleet.Hibernate(CaptureOf(request, "id")); });
}

std::unique_ptr<http::Handler> WakeHandler(fleet::Fleet& fleet, const Clock& clock) {
  return Order(clock, [&fleet](const http::Request& request) { return fleet.WakeModel(CaptureOf(request, "name")); });
}

}  // namespace spotinference
