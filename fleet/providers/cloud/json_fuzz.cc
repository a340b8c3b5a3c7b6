#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "fleet/providers/cloud/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = spotinference::fleet::Json::Parse(text);
  if (!json.ok()) return 0;
  for (const std::string& name : json->Names()) {
    for (const auto& item : (*json)[name].Items()) (void)item["id"].Number();
    (void)(*json)[name]["name"].Text();
  }
  return 0;
}
