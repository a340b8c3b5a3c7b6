// The gateway as one object: routes, filters, handlers and sessions over a fleet.
#ifndef GATEWAY_GATEWAY_H_
#define GATEWAY_GATEWAY_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "fleet/api/fleet.h"
#include "gateway/config/config.pb.h"
#include "gateway/filters/gateway_keys.h"
#include "gateway/handlers/served_model.h"
#include "gateway/metrics/metrics.h"

namespace spotinference {

// Thread-safe.
class Gateway {
 public:
  // Listens from now on. Fleet, metrics and clock outlive the gateway.
  static absl::StatusOr<std::unique_ptr<Gateway>> Start(const config::Config& config, std::vector<ServedModel> models,
                                                        const GatewayKeys& keys, fleet::Fleet& fleet, Metrics& metrics,
                                                        const Clock& clock);
  ~Gateway();

  int port() const;

  // Accepts nothing more, lets streams go on for up to `grace`, then ends them with an error event. Blocks until all
  // connections are closed.
  void Stop(absl::Duration grace);

 private:
  class Impl;
  explicit Gateway(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace spotinference

#endif  // GATEWAY_GATEWAY_H_
