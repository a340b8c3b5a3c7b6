#include "gateway/handlers/admin_handlers.h"

#include <boost/json.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fleet/api/ledger_sums.h"
#include "gateway/filters/reply.h"
#include "gateway/handlers/interrupt_request.h"
#include "gateway/openai/api_error.h"

namespace spotinference {
namespace {

namespace json = boost::json;

using openai::Reason;

// Answers at once with what `answer` makes of the fleet.
class ViewHandler : public http::Handler {
 public:
  ViewHandler(const Clock& clock, std::function<json::object()> answer) : clock_(clock), answer_(std::move(answer)) {}

  void Handle(std::shared_ptr<http::Exchange> exchange) override {
    exchange->Reply(JsonReply(200, json::serialize(answer_()), clock_.Now() - exchange->request().received));
  }

 private:
  const Clock& clock_;
  const std::function<json::object()> answer_;
};

// Answers when the fleet has the order.
class OrderHandler : public http::Handler {
 public:
  using Order = std::function<void(const http::Request&, fleet::Fleet::OrderDone)>;
  // `unknown`: what there is none of when the fleet does not find it.
  OrderHandler(const Clock& clock, Reason unknown, Order order)
      : clock_(clock), unknown_(unknown), order_(std::move(order)) {}

  void Handle(std::shared_ptr<http::Exchange> exchange) override {
    order_(exchange->request(), [this, exchange](const absl::Status& status) {
      const absl::Duration took = clock_.Now() - exchange->request().received;
      exchange->Reply(status.ok() ? JsonReply(202, "{}", took) : ErrorReply(Told(status), took));
    });
  }

 private:
  absl::Status Told(const absl::Status& status) const {
    switch (status.code()) {
      case absl::StatusCode::kNotFound: return openai::ReasonError(unknown_, status.message());
      case absl::StatusCode::kFailedPrecondition: return openai::ReasonError(Reason::kWrongState, status.message());
      case absl::StatusCode::kInvalidArgument: return status;
      default: return openai::ReasonError(Reason::kInternal, status.message());
    }
  }

  const Clock& clock_;
  const Reason unknown_;
  const Order order_;
};

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
          {"volume", machine.volume},
          {"backend", machine.backend},
          {"numerics_id", machine.numerics_id},
          {"since", absl::FormatTime(absl::RFC3339_sec, machine.since, absl::UTCTimeZone())},
          {"price_per_hour", machine.price_per_hour},
          {"active", machine.active},
          {"reason", machine.reason}};
}

json::array LinesOf(const std::vector<fleet::LedgerLine>& lines) {
  json::array rows;
  for (const fleet::LedgerLine& line : lines) {
    rows.push_back({{"model", line.model},
                    {"market", line.market},
                    {"use", line.use},
                    {"seconds", absl::ToDoubleSeconds(line.time)},
                    {"dollars", line.dollars}});
    json::object& told = rows.back().get_object();
    if (!line.key.empty()) told["key"] = line.key;
    if (line.on_demand_dollars > 0) told["on_demand_dollars"] = line.on_demand_dollars;
    if (line.tokens > 0) told["tokens"] = line.tokens;
    if (line.replacing_dollars > 0) told["replacing_dollars"] = line.replacing_dollars;
  }
  return rows;
}

json::array StorageOf(const std::vector<fleet::StorageLine>& lines) {
  json::array rows;
  for (const fleet::StorageLine& line : lines) {
    rows.push_back({{"model", line.model}, {"kind", line.kind}, {"dollars", line.dollars}});
    if (line.gigabyte_hours > 0) rows.back().get_object()["gigabyte_hours"] = line.gigabyte_hours;
  }
  return rows;
}

json::value OrNull(std::optional<double> value) { return value.has_value() ? json::value(*value) : json::value(); }

json::array SummaryOf(const std::map<std::string, fleet::LedgerSum>& sums) {
  json::array rows;
  for (const auto& [model, sum] : sums) {
    json::array keys;
    for (const auto& [key, of_key] : sum.keys) {
      if (key.empty()) continue;
      keys.push_back({{"key", key},
                      {"dollars", of_key.dollars},
                      {"tokens", static_cast<int64_t>(of_key.tokens)},
                      {"dollars_per_million_tokens", OrNull(of_key.DollarsOfAMillionTokens())}});
    }
    rows.push_back({{"model", model},
                    {"dollars", sum.dollars},
                    {"tokens", static_cast<int64_t>(sum.tokens)},
                    {"dollars_per_million_tokens", OrNull(sum.DollarsOfAMillionTokens())},
                    {"idle_share", OrNull(sum.IdleShare())},
                    {"saving_share", OrNull(sum.SavingShare())},
                    {"interruption_dollars", sum.InterruptionDollars()},
                    {"keys", std::move(keys)}});
  }
  return rows;
}

}  // namespace

std::unique_ptr<http::Handler> MachinesHandler(const fleet::Fleet& fleet, const Clock& clock) {
  return std::make_unique<ViewHandler>(clock, [&fleet] {
    json::array machines;
    for (const fleet::MachineView& machine : fleet.Machines()) machines.push_back(MachineObject(machine));
    return json::object{{"machines", std::move(machines)}};
  });
}

std::unique_ptr<http::Handler> LedgerHandler(const fleet::Fleet& fleet, const Clock& clock) {
  return std::make_unique<ViewHandler>(clock, [&fleet] {
    const std::vector<fleet::LedgerLine> lines = fleet.LedgerLines();
    const std::vector<fleet::StorageLine> storage = fleet.StorageLines();
    return json::object{{"lines", LinesOf(lines)},
                        {"storage", StorageOf(storage)},
                        {"summary", SummaryOf(fleet::SumsOf(lines, storage))}};
  });
}

std::unique_ptr<http::Handler> DecisionsHandler(const fleet::Fleet& fleet, const Clock& clock) {
  return std::make_unique<ViewHandler>(clock, [&fleet] {
    json::array decisions;
    for (const fleet::DecisionView& decision : fleet.Decisions()) {
      decisions.push_back({{"at", absl::FormatTime(absl::RFC3339_sec, decision.at, absl::UTCTimeZone())},
                           {"model", decision.model},
                           {"machine", decision.machine},
                           {"action", decision.action},
                           {"why", decision.why},
                           {"provider", decision.provider},
                           {"market", decision.market},
                           {"zone", decision.zone},
                           {"price_per_hour", decision.price_per_hour},
                           {"waiting", decision.waiting},
                           {"active", decision.active}});
    }
    return json::object{{"decisions", std::move(decisions)}};
  });
}

std::unique_ptr<http::Handler> InterruptHandler(fleet::Fleet& fleet, const Clock& clock) {
  return std::make_unique<OrderHandler>(
      clock, Reason::kMachineNotFound, [&fleet](const http::Request& request, fleet::Fleet::OrderDone done) {
        const absl::StatusOr<InterruptRequest> interrupt = ParseInterruptRequest(request.body);
        if (!interrupt.ok()) return done(interrupt.status());
        fleet.Interrupt(CaptureOf(request, "id"), interrupt->notice, std::move(done));
      });
}

std::unique_ptr<http::Handler> KillHandler(fleet::Fleet& fleet, const Clock& clock) {
  return std::make_unique<OrderHandler>(clock, Reason::kMachineNotFound,
                                        [&fleet](const http::Request& request, fleet::Fleet::OrderDone done) {
                                          fleet.Kill(CaptureOf(request, "id"), std::move(done));
                                        });
}

std::unique_ptr<http::Handler> HibernateHandler(fleet::Fleet& fleet, const Clock& clock) {
  return std::make_unique<OrderHandler>(clock, Reason::kMachineNotFound,
                                        [&fleet](const http::Request& request, fleet::Fleet::OrderDone done) {
                                          fleet.Hibernate(CaptureOf(request, "id"), std::move(done));
                                        });
}

std::unique_ptr<http::Handler> WakeHandler(fleet::Fleet& fleet, const Clock& clock) {
  return std::make_unique<OrderHandler>(clock, Reason::kModelNotFound,
                                        [&fleet](const http::Request& request, fleet::Fleet::OrderDone done) {
                                          fleet.WakeModel(CaptureOf(request, "name"), std::move(done));
                                        });
}

}  // namespace spotinference
