// This computer as a cloud: a machine is an engine process, its volume a folder.
//
//   data_dir/volumes/VOLUME/         --volume of the engine, kept; `lock` in it is held by the engine's process
//   data_dir/machines/VOLUME/token   the secret of the machine that has the volume, mode 0600
//   data_dir/machines/VOLUME/query   what follows the question mark in the weights' address, if so, mode 0600
//   data_dir/machines/VOLUME/log     its stdout and stderr, from its last start on
//
// Started as: ENGINE --model=FILE --backend=B --listen=127.0.0.1:0 --volume=DIR --ready_fd=N --token_file=FILE
// --grace=TIME --model_hash=HEX [--model_query_file=FILE] [--head_hash=HEX] [--context_tokens=N]. The engine writes its
// ready line (ready_line.h) to N once it serves; the end of N without one means that it failed. Exit status 2: it would
// fail again. SIGTERM: stop in good order.
//
// Machines outlive this object: whoever wants none left stops them first.
#ifndef FLEET_PROVIDERS_LOCAL_LOCAL_PROVIDER_H_
#define FLEET_PROVIDERS_LOCAL_LOCAL_PROVIDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fleet/providers/provider.h"

namespace spotinference::fleet {

struct LocalProviderOptions {
  std::string engine;    // path of the engine's binary
  std::string data_dir;  // absolute
  // To behave like a cloud.
  absl::Duration launch_delay = absl::ZeroDuration();
  absl::Duration restore_delay = absl::ZeroDuration();
  int stock = 4;  // machines at a time, in each zone
  double price_per_hour = 0;
  std::string zone = "local";
  std::vector<std::string> more_zones;  // each with a stock of its own, at the same price; volumes stay in theirs
  double start_failures = 0;    // the share of launches and restores that fail, drawn from a fixed seed
  double restore_failures = 0;  // of the rest, the share of restores that find no stock
  absl::Duration stop_grace = absl::Seconds(10);  // from SIGTERM to SIGKILL, of which engines are told
};

std::unique_ptr<Provider> NewLocalProvider(LocalProviderOptions options);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_LOCAL_LOCAL_PROVIDER_H_
