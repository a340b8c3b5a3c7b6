#include "fleet/providers/cloud/bearer_token.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/cloud/json.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kRenewBefore = absl::Minutes(5);

}  // namespace

absl::StatusOr<std::string> BearerToken::Get(absl::FunctionRef<absl::StatusOr<HttpResponse>()> ask) {
  absl::MutexLock lock(&mutex_);
  if (!token_.empty() && clock_.Elapsed() + kRenewBefore < good_until_) return token_;
  const absl::StatusOr<HttpResponse> answer = ask();
  const bool answered = answer.ok() && answer->status < 500 && answer->status != 429;
  if (!answered && !token_.empty() && clock_.Elapsed() < good_until_) return token_;
  RETURN_IF_ERROR(answer.status());
  const HttpResponse& response = *answer;
  if (response.status == 400 || response.status == 401 || response.status == 403) {  // RFC 6749, 5.2
    const auto error = Json::Parse(response.body);
    return absl::UnauthenticatedError(
        absl::StrCat("no access token: ", error.ok() ? (*error)["error"].Text() : "", " ",
                     error.ok() ? (*error)["error_description"].Text().substr(0, 200) : ""));
  }
  if (response.status != 200) {
    HttpResponse busy = response;
    busy.status = 503;
    return StatusOfHttp(busy, absl::StrCat("no access token: HTTP ", response.status));
  }
  ASSIGN_OR_RETURN(const Json json, Json::Parse(response.body));
  if (json["access_token"].Text().empty()) return absl::UnauthenticatedError("the answer has no access token");
  token_ = json["access_token"].Text();
  good_until_ = clock_.Elapsed() + absl::Seconds(json["expires_in"].Number().value_or(0));
  return token_;
}

void BearerToken::Drop() {
  absl::MutexLock lock(&mutex_);
  token_.clear();
}

}  // namespace spotinference::fleet
