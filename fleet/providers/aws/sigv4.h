// AWS Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
#ifndef FLEET_PROVIDERS_AWS_SIGV4_H_
#define FLEET_PROVIDERS_AWS_SIGV4_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/http_client.h"

namespace spotinference::fleet {

struct AwsKey {
  std::string id;
  std::string secret;         // never logged
  std::string session_token;  // "": of a key that does not expire
};

struct AwsScope {
  std::string region, service;
};

// Adds X-Amz-Date, X-Amz-Security-Token and Authorization to `headers`, which are all signed, as is `host` (of the URL,
// with its port unless it is the scheme's). `path` and `query` are as in the URL: the query percent-encoded as
// UriEncode does.
void SignV4(absl::string_view method, absl::string_view host, absl::string_view path, absl::string_view query,
            absl::string_view body, const AwsKey& key, const AwsScope& scope, absl::Time now, HttpHeaders& headers);

// Of a URL "https://host:port/…", as SignV4 wants it; "": it is none.
std::string HostOfUrl(absl::string_view url);

// Of a signature: hex.
std::string SignatureV4(absl::string_view method, absl::string_view path, absl::string_view query,
                        const HttpHeaders& signed_headers, absl::string_view body, const AwsKey& key,
                        const AwsScope& scope, absl::string_view amz_date);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_SIGV4_H_
