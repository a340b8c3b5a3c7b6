// What outsiders write, for a token of theirs to be exchanged.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/gcp/gcp_subject_token.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using spotinference::fleet::Json;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  static const auto& format =
      *new Json(*Json::Parse(R"({"type":"json","subject_token_field_name":"access_token"})"));
  (void)spotinference::fleet::SubjectTokenIn(text, format);
  (void)spotinference::fleet::ExecutableTokenIn(text, absl::FromUnixSeconds(1767225600));
  if (const auto json = Json::Parse(text); json.ok()) (void)spotinference::fleet::SubjectTokenIn(text, *json);
  return 0;
}
