// For tests that compare with other tokenizers: encodes each text of stdin, in both ways.
//
//   encode_main MODEL.gguf
// stdin:  texts, each a little-endian u32 of bytes and the bytes
// stdout: for each text, without and then with control tokens parsed: u32 count, ids; then u32
// bytes and the bytes that
//         the ids of the first stand for
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "engine/model/gguf.h"
#include "engine/text/gguf_tokenizer.h"
#include "engine/text/tokenizer.h"

namespace spotinference {
namespace {

void Put(uint32_t value) { std::fwrite(&value, sizeof value, 1, stdout); }

int Main(const std::string& path) {
  const auto file = GgufFile::Open(path);
  if (!file.ok()) {
    std::cerr << file.status() << "\n";
    return 1;
  }
  const auto tokenizer = ReadTokenizer(**file);
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.status() << "\n";
    return 1;
  }
  uint32_t bytes;
  while (std::fread(&bytes, sizeof bytes, 1, stdin) == 1) {
    std::string text(bytes, 0);
    if (std::fread(text.data(), 1, bytes, stdin) != bytes) return 1;
    std::string pieces;
    for (const bool parse_special : {false, true}) {
      const auto ids = (*tokenizer)->Encode(text, {.parse_special = parse_special});
      Put(ids.size());
      for (const uint32_t id : ids) {
        Put(id);
        if (!parse_special) pieces += (*tokenizer)->Piece(id);
      }
    }
    Put(pieces.size());
    std::fwrite(pieces.data(), 1, pieces.size(), stdout);
  }
  return 0;
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: encode_main MODEL.gguf\n";
    return 2;
  }
  return spotinference::Main(argv[1]);
}
