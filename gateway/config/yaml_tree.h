// A YAML file as a small tree that knows its lines. Less than YAML on purpose: one document; no
// anchors, aliases or tags, so that a file cannot unfold to more than its own size; no key twice.
#ifndef GATEWAY_CONFIG_YAML_TREE_H_
#define GATEWAY_CONFIG_YAML_TREE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::config {

struct YamlMember;

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 1;
  std::string text;     // of a scalar
  bool quoted = false;  // so that "5" is text and 5 is a number
  std::vector<YamlNode> elements;
  std::vector<YamlMember> members;
};

struct YamlMember {
  std::string key;
  int line;  // of the key
  YamlNode value;
};

inline constexpr size_t kMaxYamlBytes = 1 << 20;
inline constexpr size_t kMaxYamlDepth = 16;

// An empty file is kNull. InvalidArgument, "<file>:<line>: <what>", for all that is refused.
absl::StatusOr<YamlNode> ParseYaml(absl::string_view text, absl::string_view file);

}  // namespace spotinference::config

#endif  // GATEWAY_CONFIG_YAML_TREE_H_
