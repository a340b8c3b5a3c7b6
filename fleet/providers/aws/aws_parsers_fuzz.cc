#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "fleet/providers/aws/aws_profile.h"
#include "fleet/providers/aws/aws_sso.h"
#include "fleet/providers/aws/xml.h"
#include "fleet/providers/cloud/command.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  (void)spotinference::fleet::ParseAwsProfiles(text, "");
  (void)spotinference::fleet::ParseAwsProfiles("", text);
  (void)spotinference::fleet::ParseSsoToken(text);
  (void)spotinference::fleet::ShellWords(text);
  if (const auto xml = spotinference::fleet::Xml::Parse(text); xml.ok()) (void)(*xml)["Errors"]["Error"]["Code"].text;
  return 0;
}
