// Prints how long tokenizers take to load and how fast they encode, on one core.
//
//   bazel run //engine/text:tokenizer_benchmark [-- FILE...]
//
// FILE: a .gguf file or a tokenizer.json; "unigram" for a unigram model made of the last one's tokens.
// Without any: one of each kind.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_replace.h"
#include "engine/model/gguf.h"
#include "engine/text/gguf_keys.h"
#include "engine/text/gguf_tokenizer.h"
#include "engine/text/load_tokenizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"

namespace spotinference {
namespace {

// Of the processor, so that other programs on the machine change little.
double SecondsSince(std::clock_t start) {
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

void Measure(const char* name, const Tokenizer& tokenizer, const std::string& text) {
  constexpr int kRounds = 5;
  double best_seconds = 1e9;
  size_t tokens = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::clock_t start = std::clock();
    tokens = tokenizer.Encode(text, {.parse_special = true}).size();
    best_seconds = std::min(best_seconds, SecondsSince(start));
  }
  std::printf("  %-12s %7.1f MB/s  %5.2f bytes/token\n", name, text.size() / best_seconds / 1e6,
              static_cast<double>(text.size()) / tokens);
}

std::string Repeated(const std::string& unit) {
  std::string text;
  while (text.size() < 1 << 20) text += unit;
  return text;
}

// Earlier tokens are the likelier ones.
absl::StatusOr<ModelTokenizer> MakeUnigram(const Tokenizer& other) {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  for (uint32_t id = 0; id < other.vocabulary_size(); ++id) {
    const std::string_view piece = other.Piece(id);
    tokens.push_back(absl::StrReplaceAll({piece.data(), piece.size()}, {{" ", kSpaceMark.data()}}));
    scores.push_back(-std::log(id + 2.0f));
  }
  GgufKeys keys;
  keys.String("tokenizer.ggml.model", "t5");
  keys.Strings("tokenizer.ggml.tokens", tokens);
  keys.Floats("tokenizer.ggml.scores", scores);
  const std::string bytes = keys.File();
  const auto file =
      GgufFile::Parse({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
  if (!file.ok()) return file.status();
  return ReadTokenizer(**file);
}

void MeasureAll(const Tokenizer& tokenizer) {
  Measure("English", tokenizer,
          Repeated("The committee, which hadn't met since 1987, couldn't agree on whether the "
                   "neighbouring municipality's reservoir should be refurbished.\n"));
  Measure("code", tokenizer,
          Repeated("  for (auto& [key, value] : entries_) {\n    sum += value->size() << 3;\n  }\n"));
  Measure("Chinese", tokenizer, Repeated("委员会自从一九八七年以来没有开过会。"));
  Measure("one letter", tokenizer, Repeated("a"));
  Measure("spaces", tokenizer, Repeated(" "));
}

int Main(const std::vector<std::string>& paths) {
  absl::StatusOr<ModelTokenizer> model;
  for (const std::string& path : paths) {
    const std::clock_t start = std::clock();
    model = path == "unigram" && model.ok() ? MakeUnigram(*model->tokenizer) : LoadTokenizer(path);
    if (!model.ok()) {
      std::cerr << path << ": " << model.status() << "\n";
      return 1;
    }
    std::printf("%s: loaded in %.0f ms\n", path.c_str(), SecondsSince(start) * 1e3);
    MeasureAll(*model->tokenizer);
  }
  return 0;
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  return spotinference::Main(std::vector<std::string>(argv + 1, argv + argc));
}
