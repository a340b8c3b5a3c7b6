// What token services answer, and files in PEM.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/clock.h"
#include "engine/base/http_client.h"
#include "fleet/providers/cloud/bearer_token.h"
#include "fleet/providers/cloud/jwt.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using spotinference::HttpResponse;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const int status : {200, 400}) {
    spotinference::fleet::BearerToken token(spotinference::RealClock());
    for (int i = 0; i < 2; ++i) {
      (void)token.Get([&]() -> absl::StatusOr<HttpResponse> {
        return HttpResponse{.status = status, .headers = {{"Date", text}}, .body = text};
      });
    }
  }
  (void)spotinference::fleet::CertificateThumbprint(text);
  (void)spotinference::fleet::SignJwt("{}", "{}", text);
  return 0;
}
