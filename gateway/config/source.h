// Where in the file a field of the configuration came from.
#ifndef GATEWAY_CONFIG_SOURCE_H_
#define GATEWAY_CONFIG_SOURCE_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace spotinference::config {

struct Source {
  std::string file;
  absl::flat_hash_map<std::string, int> lines;  // by path: "models[0].park.bytes"

  // InvalidArgument "<file>:<line>: <path>: <what>", with the line of the innermost part of the
  // path that the file has.
  absl::Status Error(absl::string_view path, absl::string_view what) const;
};

}  // namespace spotinference::config

#endif  // GATEWAY_CONFIG_SOURCE_H_
