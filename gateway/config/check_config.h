// What the types of config.proto cannot say: forms of addresses and names, ranges, which values
// this build can serve.
#ifndef GATEWAY_CONFIG_CHECK_CONFIG_H_
#define GATEWAY_CONFIG_CHECK_CONFIG_H_

#include "absl/status/status.h"
#include "gateway/config/config.pb.h"
#include "gateway/config/source.h"

namespace spotinference::config {

// `config` has its defaults. The first thing wrong with it, at its line.
absl::Status CheckConfig(const Config& config, const Source& source);

}  // namespace spotinference::config

#endif  // GATEWAY_CONFIG_CHECK_CONFIG_H_
