#include "fleet/providers/cloud/bearer_token.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kRenewBefore = absl::Minutes(5);

// From `now`, by the clock of whoever answers: OAuth 2's own field; Azure's, in Unix seconds; what Google's
// impersonation has, and an older `az`, by the zone that it runs in. Zero: it does not say.
absl::Duration GoodFor(const Json& answer, absl::Time now) {
  absl::Time until;
  if (const auto seconds = answer["expires_in"].Number()) return absl::Seconds(*seconds);
  if (const auto seconds = answer["expires_on"].Number()) return absl::UnixEpoch() + absl::Seconds(*seconds) - now;
  if (const auto time = TimeIn(answer["expireTime"].Text())) return *time - now;
  if (absl::ParseTime("%Y-%m-%d %H:%M:%E*S", answer["expiresOn"].Text(), absl::LocalTimeZone(), &until, nullptr)) {
    return until - now;
  }
  return absl::ZeroDuration();
}

// RFC 6749, 5.2; google.rpc.Status; App Service's.
std::string Reason(const HttpResponse& response) {
  const auto body = Json::Parse(response.body);
  if (!body.ok()) return "";
  const Json error = (*body)["error"];
  return absl::StrCat(error.Text(), (error ? error : *body)["message"].Text().substr(0, 200), " ",
                      (*body)["error_description"].Text().substr(0, 200));
}

}  // namespace

absl::StatusOr<std::string> BearerToken::Get(absl::FunctionRef<absl::StatusOr<HttpResponse>()> ask) {
  absl::MutexLock lock(&mutex_);
  if (!token_.empty() && clock_.Elapsed() + kRenewBefore < good_until_) return token_;
  const absl::StatusOr<HttpResponse> answer = ask();
  const bool answered = answer.ok() && answer->status < 500 && answer->status != 429;
  if (!answered && !token_.empty() && clock_.Elapsed() < good_until_) return token_;
  RETURN_IF_ERROR(answer.status());
  const HttpResponse& response = *answer;
  if (response.status == 400 || response.status == 401 || response.status == 403) {
    return absl::UnauthenticatedError(absl::StrCat("no access token: ", Reason(response)));
  }
  if (response.status != 200) {
    HttpResponse busy = response;
    busy.status = 503;
    return StatusOfHttp(busy, absl::StrCat("no access token: HTTP ", response.status));
  }
  ASSIGN_OR_RETURN(const Json json, Json::Parse(response.body));
  const Json snake = json["access_token"], camel = json["accessToken"];
  std::string token = (snake ? snake : camel).Text();
  if (token.empty()) return absl::UnauthenticatedError("the answer has no access token");
  token_ = std::move(token);
  const auto date = HttpDateIn(FindHeader(response.headers, "date").value_or(""));
  good_until_ = clock_.Elapsed() + GoodFor(json, date.value_or(clock_.Now()));
  return token_;
}

void BearerToken::Drop() {
  absl::MutexLock lock(&mutex_);
  token_.clear();
}

absl::Status OfPlace(const absl::Status& status, absl::string_view place) {
  absl::Status named(status.code(), absl::StrCat(place, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { named.SetPayload(url, payload); });
  return named;
}

}  // namespace spotinference::fleet
