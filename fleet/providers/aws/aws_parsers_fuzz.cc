#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "fleet/providers/aws/aws_credentials.h"
#include "fleet/providers/aws/xml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  (void)spotinference::fleet::ParseAwsProfile(text, "default");
  if (const auto xml = spotinference::fleet::Xml::Parse(text); xml.ok()) (void)(*xml)["Errors"]["Error"]["Code"].text;
  return 0;
}
