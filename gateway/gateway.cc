#include "gateway/gateway.h"

#include <glog/logging.h>

#include <atomic>
#include <map>
#include <utility>

#include "engine/base/status.h"
#include "gateway/config/load_config.h"
#include "gateway/filters/access_log_filter.h"
#include "gateway/filters/api_key_filter.h"
#include "gateway/filters/reply.h"
#include "gateway/handlers/admin_handlers.h"
#include "gateway/handlers/generate_handler.h"
#include "gateway/handlers/plain_handlers.h"
#include "gateway/http/router.h"
#include "gateway/http/server.h"
#include "gateway/metrics/metrics_filter.h"
#include "gateway/session/engine_client.h"
#include "gateway/session/timers.h"

namespace spotinference {
namespace {

http::ServerOptions ServerOptionsOf(const config::Config& config, const GatewayKeys& keys, Metrics& metrics,
                                    const Clock& clock) {
  http::ServerOptions options;
  options.listen = config.listen();
  if (config.has_tls()) options.tls = http::TlsFiles{config.tls().cert(), config.tls().key()};
  options.error = HttpErrorReply;
  options.trusted_proxies.assign(config.trusted_proxies().begin(), config.trusted_proxies().end());
  options.connections = config.limits().connections();
  options.connections_per_address = static_cast<int>(config.limits().connections_per_address());
  options.request.head_bytes = config.limits().header_bytes();
  options.request.body_bytes = config.limits().body_bytes();
  options.clock = &clock;
  options.filters = {AccessLogFilter([](const std::string& line) { LOG(INFO) << line; }), MetricsFilter(metrics),
                     ApiKeyFilter(keys.keys, keys.admin, clock)};
  return options;
}

std::vector<Metrics::Sample> FleetSamples(const fleet::Fleet& fleet) {
  std::vector<Metrics::Sample> samples;
  for (const fleet::ModelView& model : fleet.Models()) {
    const auto add = [&](const char* name, int64_t value, bool counter = false) {
      samples.push_back({name, {{"model", model.model}}, static_cast<double>(value), counter});
    };
    const fleet::EngineFigures& engines = model.engines;
    add("parked_requests", model.parked);
    add("active_requests", model.active);
    add("programs_compiled_total", engines.totals.programs_compiled, true);
    add("preemptions_total", engines.totals.preemptions, true);
    add("drafted_tokens_total", engines.totals.drafted_tokens, true);
    add("accepted_tokens_total", engines.totals.accepted_tokens, true);
    add("kv_blocks_restored_total", engines.totals.kv_blocks_restored, true);
    add("batch_rows", engines.running_sequences);
    add("download_done_bytes", static_cast<int64_t>(model.download_done_bytes));
    add("download_total_bytes", static_cast<int64_t>(model.download_total_bytes));
    add("weights_bytes", engines.weights_bytes);
    add("volumes_full", engines.volumes_full);
    for (const auto& [state, blocks] : {std::pair("used", engines.kv_blocks_used),
                                        {"cached", engines.kv_blocks_cached},
                                        {"free", engines.kv_blocks_free()}}) {
      samples.push_back({"kv_blocks", {{"model", model.model}, {"state", state}}, static_cast<double>(blocks)});
    }
  }
  std::map<std::vector<std::string>, int> machines;
  for (const fleet::MachineView& m : fleet.Machines()) ++machines[{m.provider, m.market, m.state}];
  for (const auto& [key, count] : machines) {
    samples.push_back({"machines", {{"provider", key[0]}, {"market", key[1]}, {"state", key[2]}}, double(count)});
  }
  std::map<std::vector<std::string>, std::pair<absl::Duration, double>> used;  // all keys together
  for (const fleet::LedgerLine& line : fleet.LedgerLines()) {
    auto& [time, dollars] = used[{line.model, line.market, line.use}];
    time += line.time;
    dollars += line.dollars;
  }
  for (const auto& [use, sum] : used) {
    const std::vector<std::pair<std::string, std::string>> labels{{"model", use[0]}, {"market", use[1]}, {"use", use[2]}};
    samples.push_back({"gpu_seconds_total", labels, absl::ToDoubleSeconds(sum.first), true});
    samples.push_back({"gpu_cost_dollars_total", labels, sum.second, true});
  }
  for (const fleet::StorageLine& line : fleet.StorageLines()) {
    samples.push_back(
        {"storage_cost_dollars_total", {{"model", line.model}, {"kind", line.kind}}, line.dollars, true});
    if (line.kind != "volume") continue;
    samples.push_back({"storage_gigabyte_hours_total", {{"model", line.model}}, line.gigabyte_hours, true});
  }
  for (const fleet::InterruptionCount& count : fleet.Interruptions()) {
    samples.push_back({"interruptions_total",
                       {{"provider", count.provider}, {"noticed", count.noticed ? "true" : "false"}},
                       static_cast<double>(count.count),
                       true});
  }
  return samples;
}

}  // namespace

class Gateway::Impl {
 public:
  Impl(std::vector<ServedModel> served, fleet::Fleet& fleet, Metrics& metrics, const Clock& clock)
      : models(std::move(served)) {
    const GenerateContext context{{fleet, engines, timers, clock}, models, metrics};
    Add("POST", "/v1/chat/completions", ChatHandler(context));
    Add("POST", "/v1/completions", CompletionHandler(context));
    Add("GET", "/v1/models", ModelListHandler(models, clock));
    Add("GET", "/v1/models/{id}", ModelHandler(models, clock));
    Add("GET", "/health", HealthHandler(clock));
    Add("GET", "/ready", ReadyHandler([this] { return !stopping.load(); }, clock));
    Add("GET", "/metrics", MetricsHandler(metrics));
    Add("GET", "/admin/v1/machines", MachinesHandler(fleet, clock));
    Add("GET", "/admin/v1/ledger", LedgerHandler(fleet, clock));
    Add("GET", "/admin/v1/decisions", DecisionsHandler(fleet, clock));
    Add("POST", "/admin/v1/machines/{id}:interrupt", InterruptHandler(fleet, clock));
    Add("POST", "/admin/v1/machines/{id}:kill", KillHandler(fleet, clock));
    Add("POST", "/admin/v1/machines/{id}:hibernate", HibernateHandler(fleet, clock));
    Add("POST", "/admin/v1/models/{name}:wake", WakeHandler(fleet, clock));
    metrics.AddSource([&fleet] { return FleetSamples(fleet); });
  }

  void Add(std::string_view method, std::string_view pattern, std::unique_ptr<http::Handler> handler) {
    router.Add(method, pattern, *handler);
    handlers.push_back(std::move(handler));
  }

  const ServedModels models;
  EngineClient engines;
  Timers timers;
  http::Router router{HttpErrorReply};
  std::vector<std::unique_ptr<http::Handler>> handlers;
  std::atomic<bool> stopping{false};
  std::unique_ptr<http::Server> server;  // the last to come and the first to go
};

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gateway::~Gateway() = default;

absl::StatusOr<std::unique_ptr<Gateway>> Gateway::Start(const config::Config& config, std::vector<ServedModel> models,
                                                        const GatewayKeys& keys, fleet::Fleet& fleet, Metrics& metrics,
                                                        const Clock& clock) {
  auto impl = std::make_unique<Impl>(std::move(models), fleet, metrics, clock);
  ASSIGN_OR_RETURN(impl->server,
                   http::Server::Start(ServerOptionsOf(config, keys, metrics, clock), impl->router));
  return std::unique_ptr<Gateway>(new Gateway(std::move(impl)));
}

int Gateway::port() const { return impl_->server->port(); }

void Gateway::Stop(absl::Duration grace) {
  impl_->stopping = true;
  impl_->server->Stop(grace);
}

}  // namespace spotinference
