// Runs a fuzz target over the files named on the command line and over seeded mutations of each, so that a plain
// `bazel test` (gcc, no libFuzzer) still sends it hostile bytes. A crash or a hang fails the test.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutationsPerFile = 300;

void Run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

std::string Mutate(std::string bytes, std::mt19937& random) {
  const int edits = 1 + random() % 8;
  for (int i = 0; i < edits && !bytes.empty(); ++i) {
    const size_t at = random() % bytes.size();
    switch (random() % 6) {
      case 0: bytes[at] ^= 1 << (random() % 8); break;
      case 1: bytes[at] = static_cast<char>(random()); break;
      case 2: bytes[at] = static_cast<char>(0xff); break;
      case 3: bytes.resize(at); break;
      case 4: bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 16)); break;
      case 5: bytes.erase(at, random() % 16); break;
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "no corpus file was given\n");
    return 1;
  }
  std::mt19937 random(20261125);
  Run("");
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", argv[i]);
      return 1;
    }
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    Run(bytes);
    for (int k = 0; k < kMutationsPerFile; ++k) Run(Mutate(bytes, random));
  }
  std::printf("%d files, %d mutations each\n", argc - 1, kMutationsPerFile);
}
