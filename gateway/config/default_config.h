// What the gateway does where the file says nothing: the one place of every default.
#ifndef GATEWAY_CONFIG_DEFAULT_CONFIG_H_
#define GATEWAY_CONFIG_DEFAULT_CONFIG_H_

#include "gateway/config/config.pb.h"

namespace spotinference::config {

// Serves the bundled model with the local provider on 127.0.0.1:8080. data_dir is
// $XDG_DATA_HOME/spotinference, or ~/.local/share/spotinference, or absent where the environment
// tells neither.
Config DefaultConfig();

// Gives every field that `config` leaves out its default. A field whose absence means something
// (config.proto says what) stays absent.
void FillDefaults(Config& config);

}  // namespace spotinference::config

#endif  // GATEWAY_CONFIG_DEFAULT_CONFIG_H_
