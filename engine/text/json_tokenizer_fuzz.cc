// Any bytes as a tokenizer.json: they must be read and encode a text, or give an error.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/text/detokenizer.h"
#include "engine/text/json_tokenizer.h"
#include "engine/text/tokenizer.h"

namespace {

constexpr char kConfig[] = R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>"})";
constexpr char kText[] = "<s>  Hello, wo\u0301rld\u2581 12345 it's\r\n\xff\xe2\x82 <tab>\u00e9</s>";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference;
  const auto made = TokenizerFromJson({reinterpret_cast<const char*>(data), size}, kConfig);
  if (!made.ok()) return 0;
  const Tokenizer& tokenizer = *made->tokenizer;
  if (made->add_bos && !made->bos) __builtin_trap();
  for (const bool parse_special : {false, true}) {
    Detokenizer detokenizer(tokenizer);
    for (const uint32_t id : tokenizer.Encode(kText, {.parse_special = parse_special})) {
      if (id >= tokenizer.vocabulary_size()) __builtin_trap();
      detokenizer.Feed(id);
    }
    detokenizer.Flush();
  }
  return 0;
}
