// Prints how long a chat template takes to parse, which a model's start pays once, and to render a conversation of 20
// messages, which every request pays.
//
//   bazel run //engine/text:chat_template_benchmark [-- FILE.jinja…]
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/time/civil_time.h"
#include "engine/text/chat_template.h"

namespace spotinference {
namespace {

// Of the processor, in microseconds: the fastest of some runs, so that other programs on the machine change little.
template <typename Run>
double Microseconds(Run run) {
  double best = 1e9;
  for (int i = 0; i < 50; ++i) {
    const std::clock_t start = std::clock();
    run();
    best = std::min(best, 1e6 * (std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

std::vector<ChatMessage> Conversation() {
  std::vector<ChatMessage> messages;
  for (int i = 0; i < 20; ++i) {
    messages.push_back({i % 2 == 0 ? "user" : "assistant", std::string(200, 'a') + "\n"});
  }
  return messages;
}

bool Measure(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string source((std::istreambuf_iterator<char>(file)), {});
  const auto parsed = ChatTemplate::Parse(source, "<s>", "</s>");
  const std::vector<ChatMessage> messages = Conversation();
  const absl::CivilSecond now(2026, 11, 25);
  const std::string name = path.substr(path.rfind('/') + 1);
  if (!file || !parsed.ok()) {
    std::printf("%-50s %s\n", name.c_str(), parsed.status().ToString().c_str());
    return false;
  }
  const double parse = Microseconds([&] { (void)ChatTemplate::Parse(source, "<s>", "</s>"); });
  const double render = Microseconds([&] { (void)parsed->Render(messages, now); });
  const bool refused = !parsed->Render(messages, now).ok();
  std::printf("%-50s %6zu bytes, parse %6.0f us, render %5.0f us%s\n", name.c_str(), source.size(), parse, render,
              refused ? ", refused" : "");
  return true;
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  bool good = true;
  for (int i = 1; i < argc; ++i) good &= spotinference::Measure(argv[i]);
  return good ? 0 : 1;
}
