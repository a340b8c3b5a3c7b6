#include "fleet/providers/aws/sigv4.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/sha256.h"

namespace spotinference::fleet {
namespace {

constexpr char kAlgorithm[] = "AWS4-HMAC-SHA256";

// In lower case, by name, values without outer spaces and with single inner ones.
HttpHeaders Canonical(const HttpHeaders& headers) {
  HttpHeaders canonical;
  for (const auto& [name, value] : headers) {
    std::string trimmed = value;
    absl::RemoveExtraAsciiWhitespace(&trimmed);
    canonical.emplace_back(absl::AsciiStrToLower(name), std::move(trimmed));
  }
  std::stable_sort(canonical.begin(), canonical.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return canonical;
}

std::string NamesOf(const HttpHeaders& canonical) {
  return absl::StrJoin(canonical, ";",
                       [](std::string* out, const auto& header) { absl::StrAppend(out, header.first); });
}

std::string CanonicalQuery(absl::string_view query) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const absl::string_view field : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    fields.push_back(absl::StrSplit(field, absl::MaxSplits('=', 1)));
  }
  std::sort(fields.begin(), fields.end());
  return absl::StrJoin(fields, "&", absl::PairFormatter("="));
}

std::string ScopeText(absl::string_view amz_date, const AwsScope& scope) {
  return absl::StrCat(amz_date.substr(0, 8), "/", scope.region, "/", scope.service, "/aws4_request");
}

}  // namespace

std::string SignatureV4(absl::string_view method, absl::string_view path, absl::string_view query,
                        const HttpHeaders& signed_headers, absl::string_view body, const AwsKey& key,
                        const AwsScope& scope, absl::string_view amz_date) {
  const HttpHeaders canonical = Canonical(signed_headers);
  std::string request = absl::StrCat(method, "\n", path, "\n", CanonicalQuery(query), "\n");
  for (const auto& [name, value] : canonical) absl::StrAppend(&request, name, ":", value, "\n");
  absl::StrAppend(&request, "\n", NamesOf(canonical), "\n", Sha256Hex(body));
  const std::string to_sign =
      absl::StrCat(kAlgorithm, "\n", amz_date, "\n", ScopeText(amz_date, scope), "\n", Sha256Hex(request));
  std::string signing = HmacSha256(absl::StrCat("AWS4", key.secret), amz_date.substr(0, 8));
  for (const absl::string_view part :
       {absl::string_view(scope.region), absl::string_view(scope.service), absl::string_view("aws4_request")}) {
    signing = HmacSha256(signing, part);
  }
  return HmacSha256Hex(signing, to_sign);
}

std::string HostOfUrl(absl::string_view url) {
  const std::vector<absl::string_view> parts = absl::StrSplit(url, '/');
  return parts.size() < 3 ? "" : std::string(parts[2]);
}

void SignV4(absl::string_view method, absl::string_view host, absl::string_view path, absl::string_view query,
            absl::string_view body, const AwsKey& key, const AwsScope& scope, absl::Time now, HttpHeaders& headers) {
  const std::string date = absl::FormatTime("%Y%m%dT%H%M%SZ", now, absl::UTCTimeZone());
  headers.emplace_back("X-Amz-Date", date);
  if (!key.session_token.empty()) headers.emplace_back("X-Amz-Security-Token", key.session_token);
  HttpHeaders to_sign = headers;
  to_sign.emplace_back("Host", host);
  const std::string signature = SignatureV4(method, path, query, to_sign, body, key, scope, date);
  headers.emplace_back("Authorization",
                       absl::StrCat(kAlgorithm, " Credential=", key.id, "/", ScopeText(date, scope),
                                    ", SignedHeaders=", NamesOf(Canonical(to_sign)), ", Signature=", signature));
}

}  // namespace spotinference::fleet
