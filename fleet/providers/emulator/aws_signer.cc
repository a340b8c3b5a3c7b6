#include "fleet/providers/emulator/aws_signer.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "fleet/providers/aws/sigv4.h"

namespace spotinference::fleet {
namespace {

constexpr absl::Duration kSignatureAge = absl::Minutes(5);

}  // namespace

AwsSigner AwsSignerOf(CloudModel& model, const FakeHttpRequest& request) {
  const std::string header(FindHeader(request.headers, "authorization").value_or(""));
  std::map<std::string, std::string> fields;
  for (absl::string_view part :
       absl::StrSplit(absl::string_view(header).substr(std::min<size_t>(header.size(), 17)), ',')) {
    fields.insert(absl::StrSplit(absl::StripAsciiWhitespace(part), absl::MaxSplits('=', 1)));
  }
  const std::vector<std::string> scope = absl::StrSplit(fields["Credential"], '/');
  absl::string_view end = scope[0];
  const bool is_role = absl::ConsumePrefix(&end, kEmulatedAwsRoleKey);
  if (scope.size() != 5 || (!is_role && !absl::StartsWith(scope[0], kEmulatedAwsKey))) return {};
  const std::string token(FindHeader(request.headers, "x-amz-security-token").value_or(""));
  HttpHeaders signed_headers;
  for (const absl::string_view name : absl::StrSplit(fields["SignedHeaders"], ';')) {
    signed_headers.emplace_back(std::string(name), std::string(FindHeader(request.headers, name).value_or("")));
  }
  const std::string date(FindHeader(request.headers, "x-amz-date").value_or(""));
  absl::Time at;
  std::string error;
  if (!absl::ParseTime("%E4Y%m%dT%H%M%SZ", date, absl::UTCTimeZone(), &at, &error)) return {};
  const std::string signature =
      SignatureV4("POST", "/", "", signed_headers, request.body, {.id = scope[0], .secret = kEmulatedAwsSecret},
                  {scope[2], scope[3]}, date);
  if (signature != fields["Signature"]) return {};
  const bool is_its_token = absl::StartsWith(token, absl::StrCat(kEmulatedAwsToken, end, "."));
  return {.region = scope[2],
          .key = scope[0],
          .is_late = absl::AbsDuration(model.Now() - at) > kSignatureAge,
          .has_expired = is_role && (!is_its_token || !model.IsGood(token))};
}

}  // namespace spotinference::fleet
