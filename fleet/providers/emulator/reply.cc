#include "fleet/providers/emulator/reply.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gateway/http/target.h"

namespace spotinference::fleet {

ServiceRequest::ServiceRequest(const FakeHttpRequest& request) : http(request) {
  const std::pair<std::string, std::string> target = absl::StrSplit(request.target, absl::MaxSplits('?', 1));
  if (const auto parsed = http::ParseTarget(request.target); parsed.ok()) path = parsed->path;
  parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  for (auto& [name, value] : http::ParseQuery(target.second)) query[name] = value;
  const auto type = FindHeader(request.headers, "content-type");
  if (type.has_value() && absl::StartsWith(*type, "application/x-www-form-urlencoded")) {
    for (auto& [name, value] : http::ParseQuery(request.body)) query[name] = value;
  }
}

std::string BearerTokenOf(const FakeHttpRequest& request) {
  absl::string_view header = FindHeader(request.headers, "authorization").value_or("");
  return absl::ConsumePrefix(&header, "Bearer ") ? std::string(header) : "";
}

size_t NumberOr(absl::string_view text, size_t otherwise) {
  size_t number;
  return absl::SimpleAtoi(text, &number) ? number : otherwise;
}

FakeHttpReply JsonReply(int status, std::string body) {
  return {.status = status, .headers = {{"Content-Type", "application/json"}}, .body = std::move(body)};
}

FakeHttpReply XmlReply(int status, std::string body) {
  return {.status = status, .headers = {{"Content-Type", "text/xml;charset=UTF-8"}}, .body = std::move(body)};
}

std::string XmlText(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string Timestamp(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

std::string JsonList(const std::vector<std::string>& items) {
  return absl::StrCat("[", absl::StrJoin(items, ","), "]");
}

}  // namespace spotinference::fleet
