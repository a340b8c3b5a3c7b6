// Prints how long the tokenizer takes to load and how fast it encodes.
//
//   bazel run //engine/text:tokenizer_benchmark -- MODEL.gguf [TEXT_FILE]
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include "engine/model/gguf.h"
#include "engine/text/gguf_tokenizer.h"
#include "engine/text/tokenizer.h"

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
  std::printf("%-24s %7.1f MB/s  %5.2f bytes/token\n", name, text.size() / best_seconds / 1e6,
              static_cast<double>(text.size()) / tokens);
}

std::string Repeated(const std::string& unit) {
  std::string text;
  while (text.size() < 1 << 20) text += unit;
  return text;
}

int Main(int argc, char** argv) {
  const std::clock_t start = std::clock();
  const auto file = GgufFile::Open(argv[1]);
  if (!file.ok()) {
    std::cerr << file.status() << "\n";
    return 1;
  }
  const double open_seconds = SecondsSince(start);
  const auto made = ReadTokenizer(**file);
  if (!made.ok()) {
    std::cerr << made.status() << "\n";
    return 1;
  }
  const Tokenizer& tokenizer = *made->tokenizer;
  std::printf("open %.1f ms, load %.1f ms\n", open_seconds * 1e3,
              (SecondsSince(start) - open_seconds) * 1e3);
  if (argc > 2) {
    std::ifstream text(argv[2], std::ios::binary);
    Measure(argv[2], tokenizer, std::string(std::istreambuf_iterator<char>(text), {}));
  }
  Measure("English", tokenizer,
          Repeated("The committee, which hadn't met since 1987, couldn't agree on whether the "
                   "neighbouring municipality's reservoir should be refurbished.\n"));
  Measure("Chinese", tokenizer, Repeated("委员会自从一九八七年以来没有开过会。"));
  Measure("one letter", tokenizer, Repeated("a"));
  Measure("spaces", tokenizer, Repeated(" "));
  return 0;
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: tokenizer_benchmark MODEL.gguf [TEXT_FILE]\n";
    return 2;
  }
  return spotinference::Main(argc, argv);
}
