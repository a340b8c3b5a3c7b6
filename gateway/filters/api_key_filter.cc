#include "gateway/filters/api_key_filter.h"

#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "gateway/filters/reply.h"
#include "gateway/openai/api_error.h"

namespace spotinference {
namespace {

using openai::Reason;
using openai::ReasonError;

enum class Access { kOpen, kMetrics, kAdmin, kKey };

Access AccessOf(std::string_view path) {
  if (path == "/health" || path == "/ready") return Access::kOpen;
  if (path == "/metrics") return Access::kMetrics;
  if (path == "/admin" || path.starts_with("/admin/")) return Access::kAdmin;
  return Access::kKey;
}

bool IsLoopback(std::string_view peer) { return peer.starts_with("127.") || peer == "::1"; }

// The key that the request carries; "": none, or something that is no single bearer token.
absl::string_view BearerKey(const http::Request& request) {
  const std::vector<std::string_view> fields = request.headers.GetAll("authorization");
  if (fields.size() != 1) return "";
  absl::string_view value(fields[0].data(), fields[0].size());
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(value, kScheme)) return "";
  return absl::StripAsciiWhitespace(value.substr(kScheme.size()));
}

class KeyFilter final : public http::Filter {
 public:
  KeyFilter(std::shared_ptr<const ApiKeys> keys, std::shared_ptr<const ApiKeys> admin,
            const Clock& clock)
      : keys_(std::move(keys)), admin_(std::move(admin)), clock_(clock) {}

  std::optional<http::Response> OnRequest(http::Request& request) override {
    const Access access = AccessOf(request.path);
    const absl::string_view key = BearerKey(request);
    const std::optional<absl::string_view> user = key.empty() ? std::nullopt : keys_->NameOf(key);
    const std::optional<absl::string_view> admin = key.empty() ? std::nullopt : admin_->NameOf(key);
    if (user) request.principal = std::string(*user);
    if (admin) request.principal = std::string(*admin);
    switch (access) {
      case Access::kOpen: return std::nullopt;
      case Access::kMetrics:
        if (IsLoopback(request.peer) || user || admin) return std::nullopt;
        break;
      case Access::kAdmin:
        if (admin) return std::nullopt;
        if (user && admin_->empty()) {
          return Refusal(request, Reason::kForbidden,
                         "There is no admin key; name one with admin_key_env in the "
                         "configuration.");
        }
        if (user) return Refusal(request, Reason::kForbidden, "Only the admin key may do this.");
        break;
      case Access::kKey:
        if (user) return std::nullopt;
        break;
    }
    return Refusal(request, Reason::kInvalidApiKey,
                   key.empty() ? "You didn't provide an API key. Send it in the Authorization "
                                 "header: Authorization: Bearer YOUR_KEY."
                               : "Incorrect API key provided.");
  }

  void OnEnd(const http::Request&, const http::Outcome&) override {}

 private:
  http::Response Refusal(const http::Request& request, Reason reason, absl::string_view message) {
    return ErrorReply(ReasonError(reason, message), clock_.Now() - request.received);
  }

  const std::shared_ptr<const ApiKeys> keys_;
  const std::shared_ptr<const ApiKeys> admin_;
  const Clock& clock_;
};

}  // namespace

http::FilterFactory ApiKeyFilter(std::shared_ptr<const ApiKeys> keys,
                                 std::shared_ptr<const ApiKeys> admin, const Clock& clock) {
  return [keys = std::move(keys), admin = std::move(admin), &clock] {
    return std::make_unique<KeyFilter>(keys, admin, clock);
  };
}

}  // namespace spotinference
