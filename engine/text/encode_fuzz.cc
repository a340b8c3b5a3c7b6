// Any bytes as a text, for a small tokenizer of each kind: all ids must be of the vocabulary, control
// tokens must come from text that may have them, and a text must come back.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/gguf.h"
#include "engine/text/detokenizer.h"
#include "engine/text/gguf_keys.h"
#include "engine/text/gguf_tokenizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"

namespace spotinference {
namespace {

using Tokenizers = std::vector<std::unique_ptr<const Tokenizer>>;

// Bytes, some letters and pairs of them; 0 to 2 are <unk>, <s> and a user-defined token.
std::unique_ptr<const Tokenizer> SentencePiece(const std::string& model, bool add_space) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "<tab>"};
  std::vector<int32_t> types = {2, 3, 4};
  std::vector<float> scores = {0, 0, 0};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    tokens.push_back(std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">");
    types.push_back(6);
    scores.push_back(0);
  }
  for (const char* token : {"\u2581", "a", "b", "\u00e9", "ab", "\u2581a", "ba", "\u2581\u2581",
                            "aba", "\u2581ab", "abab", "\u00e9a", "<", "s", "<s"}) {
    tokens.push_back(token);
    types.push_back(1);
    scores.push_back(-static_cast<float>((tokens.size() * 7) % 11));
  }
  GgufKeys bytes;
  bytes.String("tokenizer.ggml.model", model);
  bytes.Strings("tokenizer.ggml.tokens", tokens);
  bytes.Integers("tokenizer.ggml.token_type", types);
  bytes.Floats("tokenizer.ggml.scores", scores);
  bytes.Bool("tokenizer.ggml.add_space_prefix", add_space);
  const std::string file = bytes.File();
  const auto parsed = GgufFile::Parse(
      {reinterpret_cast<const std::byte*>(file.data()), file.size()});
  return std::move(ReadTokenizer(**parsed)->tokenizer);
}

// What SentencePiece makes of bytes that are no UTF-8, and of its mark.
std::string Normalized(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Char next = DecodeUtf8(text);
    const bool valid = next.code_point != Utf8Char::kInvalid;
    AppendUtf8(!valid ? 0xfffd : next.code_point == 0x2581 ? ' ' : next.code_point, out);
    text.remove_prefix(valid ? next.bytes : 1);
  }
  return out;
}

void Check(const Tokenizer& tokenizer, std::string_view text) {
  Detokenizer detokenizer(tokenizer);
  std::string back;
  for (const uint32_t id : tokenizer.Encode(text, {})) {
    if (id >= tokenizer.vocabulary_size() || tokenizer.IsSpecial(id)) __builtin_trap();
    back += detokenizer.Feed(id);
  }
  back += detokenizer.Flush();
  if (back != Normalized(text)) __builtin_trap();

  const ByteRange input = {text.size() / 3, text.size() / 2};
  EncodeOptions options = {.parse_special = true};
  if (input.begin < input.end) options.from_input = {&input, 1};
  size_t controls = 0;
  for (const uint32_t id : tokenizer.Encode(text, options)) controls += tokenizer.IsSpecial(id);
  size_t most = 0;
  for (size_t at = 0; (at = text.find("<s>", at)) != text.npos; ++at) ++most;
  for (size_t at = 0; (at = text.find("<unk>", at)) != text.npos; ++at) ++most;
  if (controls > most) __builtin_trap();
}

}  // namespace
}  // namespace spotinference

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spotinference;
  static const Tokenizers& tokenizers = *[] {
    auto* all = new Tokenizers;
    for (const char* model : {"llama", "t5"}) {
      for (const bool add_space : {false, true}) all->push_back(SentencePiece(model, add_space));
    }
    return all;
  }();
  for (const auto& tokenizer : tokenizers) {
    Check(*tokenizer, {reinterpret_cast<const char*>(data), size});
  }
  return 0;
}
