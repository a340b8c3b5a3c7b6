// Pieces of the emulated services' answers.
#ifndef FLEET_PROVIDERS_EMULATOR_REPLY_H_
#define FLEET_PROVIDERS_EMULATOR_REPLY_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/fake_http_server.h"

namespace spotinference::fleet {

// A request taken apart.
struct ServiceRequest {
  explicit ServiceRequest(const FakeHttpRequest& request);

  const FakeHttpRequest& http;
  std::string path;
  std::vector<std::string> parts;            // of the path, without the empty ones
  std::map<std::string, std::string> query;  // and, of a form, the body's fields
};

// The access token that a request has; "": none.
std::string BearerTokenOf(const FakeHttpRequest& request);

// The number that a text is, or `otherwise`.
size_t NumberOr(absl::string_view text, size_t otherwise);

FakeHttpReply JsonReply(int status, std::string body);
FakeHttpReply XmlReply(int status, std::string body);

std::string XmlText(absl::string_view text);
std::string Timestamp(absl::Time time);  // "2026-01-01T00:00:00Z"

// "[a,b]"
std::string JsonList(const std::vector<std::string>& items);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_EMULATOR_REPLY_H_
