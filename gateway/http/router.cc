#include "gateway/http/router.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"

namespace spotinference::http {

PathPattern::PathPattern(std::string_view pattern) {
  CHECK(!pattern.empty() && pattern[0] == '/') << "a path pattern starts with '/': " << pattern;
  std::string name;
  while (true) {
    const std::string_view literal = pattern.substr(0, pattern.find('{'));
    pieces_.push_back({name, std::string(literal)});
    literal_bytes_ += literal.size();
    pattern.remove_prefix(literal.size());
    if (pattern.empty()) return;
    const size_t end = pattern.find('}');
    CHECK(end != pattern.npos && end > 1) << "a capture looks like {name}: " << pattern;
    CHECK(!literal.empty()) << "two captures need text between them: " << pattern;
    name = pattern.substr(1, end - 1);
    pattern.remove_prefix(end + 1);
  }
}

std::optional<PathPattern::Captures> PathPattern::Match(std::string_view path) const {
  const std::string& start = pieces_[0].literal;
  if (path.substr(0, start.size()) != start) return std::nullopt;
  path.remove_prefix(start.size());
  Captures captures;
  for (size_t i = 1; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    // The last literal must end the path. For the others the earliest place is as good as any later
    // one.
    size_t length;
    if (i + 1 == pieces_.size()) {
      if (path.size() <= piece.literal.size()) return std::nullopt;
      length = path.size() - piece.literal.size();
      if (path.substr(length) != piece.literal) return std::nullopt;
    } else {
      length = path.find(piece.literal, 1);
      if (length == path.npos) return std::nullopt;
    }
    captures.emplace_back(piece.name, std::string(path.substr(0, length)));
    path.remove_prefix(length + piece.literal.size());
  }
  if (!path.empty()) return std::nullopt;
  return captures;
}

void Router::Add(std::string_view method, std::string_view pattern, Handler& handler) {
  Route route{std::string(method), PathPattern(pattern), &handler};
  const auto at =
      std::upper_bound(routes_.begin(), routes_.end(), route, [](const Route& a, const Route& b) {
        return a.pattern.literal_bytes() > b.pattern.literal_bytes();
      });
  routes_.insert(at, std::move(route));
}

void Router::Handle(std::shared_ptr<Exchange> exchange) {
  Request& request = exchange->request();
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  std::set<std::string> allowed;
  for (const Route& route : routes_) {
    std::optional<PathPattern::Captures> captures = route.pattern.Match(request.path);
    if (!captures) continue;
    if (route.method == method) {
      request.captures = *std::move(captures);
      route.handler->Handle(std::move(exchange));
      return;
    }
    allowed.insert(route.method);
    if (route.method == "GET") allowed.insert("HEAD");
  }
  if (allowed.empty()) {
    exchange->Reply(
        error_(404, absl::StrCat("There is no ", request.method, " ", request.path, " here.")));
    return;
  }
  const std::string allow = absl::StrJoin(allowed, ", ");
  Response response = error_(405, absl::StrCat(request.path, " does not answer ", request.method,
                                               "; it answers ", allow, "."));
  response.headers.Set("allow", allow);
  exchange->Reply(std::move(response));
}

}  // namespace spotinference::http
