// Any bytes at all as tokenizer_config.json and as generation_config.json.
#include <cstddef>
#include <cstdint>

#include "engine/text/hugging_face_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  (void)spotinference::ParseChatTemplate(text);
  (void)spotinference::ParseEosIds(text);
  return 0;
}
