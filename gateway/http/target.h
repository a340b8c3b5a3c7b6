// The request target of RFC 9112, section 3.2: origin form ("/path?query") and absolute form
// ("http://host/path?query").
#ifndef GATEWAY_HTTP_TARGET_H_
#define GATEWAY_HTTP_TARGET_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace spotinference::http {

struct Target {
  std::string path;   // percent-decoded; valid UTF-8 without control characters, starts with '/'
  std::string query;  // as sent, without '?'
};

// InvalidArgument, with a message fit for the client, for anything else: other forms, a bad escape,
// a path that is not text. "%2F" becomes '/': an id with a slash may be sent either way.
absl::StatusOr<Target> ParseTarget(std::string_view target);

// The pairs of an application/x-www-form-urlencoded query. An escape that is not one stays as it
// is, as in the URL standard.
std::vector<std::pair<std::string, std::string>> ParseQuery(std::string_view query);

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_TARGET_H_
