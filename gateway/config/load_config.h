// Reads the YAML configuration into the message of config.proto, and refuses what it does not
// understand: every error is InvalidArgument "<file>:<line>: <field>: <what is wrong>, <what is
// expected>". Pure but for reading the file; call it once at start.
#ifndef GATEWAY_CONFIG_LOAD_CONFIG_H_
#define GATEWAY_CONFIG_LOAD_CONFIG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/config/config.pb.h"

namespace spotinference::config {

// The file at `path`, its defaults filled in and its values checked. NotFound: no such file.
absl::StatusOr<Config> LoadConfig(const std::string& path);

// The same of `yaml`. `file` is for messages, and relative paths inside start at its folder.
absl::StatusOr<Config> ParseConfig(absl::string_view yaml, const std::string& file);

absl::Duration ToDuration(const google::protobuf::Duration& duration);

}  // namespace spotinference::config

#endif  // GATEWAY_CONFIG_LOAD_CONFIG_H_
