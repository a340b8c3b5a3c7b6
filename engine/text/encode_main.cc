// For tests that compare with other tokenizers.
//
//   encode_main MODEL encode
// stdin:  texts, each a little-endian u32 of bytes and the bytes
// stdout: for each text, without and then with control tokens parsed: u32 count, ids
//
//   encode_main MODEL decode
// stdin:  lists, each u32 count, ids
// stdout: for each list, fed one by one to a Detokenizer: u32 bytes, the text
//
// MODEL: a .gguf file or a tokenizer.json.
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/detokenizer.h"
#include "engine/text/load_tokenizer.h"
#include "engine/text/tokenizer.h"

namespace spotinference {
namespace {

void Put(uint32_t value) { std::fwrite(&value, sizeof value, 1, stdout); }

bool Get(void* data, size_t bytes) { return std::fread(data, 1, bytes, stdin) == bytes; }

bool EncodeAll(const Tokenizer& tokenizer) {
  for (uint32_t bytes; Get(&bytes, sizeof bytes);) {
    std::string text(bytes, 0);
    if (!Get(text.data(), bytes)) return false;
    for (const bool parse_special : {false, true}) {
      const auto ids = tokenizer.Encode(text, {.parse_special = parse_special});
      Put(ids.size());
      for (const uint32_t id : ids) Put(id);
    }
  }
  return true;
}

bool DecodeAll(const Tokenizer& tokenizer) {
  for (uint32_t count; Get(&count, sizeof count);) {
    std::vector<uint32_t> ids(count);
    if (!Get(ids.data(), count * sizeof ids[0])) return false;
    Detokenizer detokenizer(tokenizer);
    std::string text;
    for (const uint32_t id : ids) text += detokenizer.Feed(id);
    text += detokenizer.Flush();
    Put(text.size());
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  return true;
}

int Main(const std::string& path, std::string_view mode) {
  const auto model = LoadTokenizer(path);
  if (!model.ok()) {
    std::cerr << model.status() << "\n";
    return 1;
  }
  return (mode == "decode" ? DecodeAll : EncodeAll)(*model->tokenizer) ? 0 : 1;
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: encode_main MODEL encode|decode\n";
    return 2;
  }
  return spotinference::Main(argv[1], argv[2]);
}
