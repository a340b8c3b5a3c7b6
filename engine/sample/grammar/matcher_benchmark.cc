// What a constraint costs a token: the time of FillMask, CanEnd and Accept while a real answer is followed under its
// schema and as any JSON object, over the vocabulary of a GGUF file or a tokenizer.json.
//
//   matcher_benchmark VOCABULARY… SCHEMA… ANSWER…     (a schema belongs to the answer of the same name)
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "engine/sample/grammar/json_grammar.h"
#include "engine/sample/grammar/json_schema.h"
#include "engine/sample/grammar/matcher.h"
#include "engine/text/load_tokenizer.h"

namespace spotinference {
namespace {

constexpr int kSequences = 20;

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::vector<std::string> Tokens(const std::string& path) {
  const auto loaded = LoadTokenizer(path);
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), loaded.status().ToString().c_str());
    std::exit(1);
  }
  const Tokenizer& tokenizer = *loaded->tokenizer;
  std::vector<std::string> tokens;
  for (uint32_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    tokens.push_back(tokenizer.IsSpecial(id) ? "" : std::string(tokenizer.Piece(id)));
  }
  return tokens;
}

// The longest token first, which is near enough to what a tokenizer does.
std::vector<uint32_t> Encode(const TokenTrie& trie, absl::string_view text) {
  std::vector<uint32_t> ids;
  const auto nodes = trie.nodes();
  while (!text.empty()) {
    uint32_t at = 0, best = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      uint32_t child = at + 1;
      while (child < nodes[at].end && nodes[child].byte != static_cast<uint8_t>(text[i])) child = nodes[child].end;
      if (child >= nodes[at].end) break;
      at = child;
      if (nodes[at].first_token < nodes[at + 1].first_token) best = at;
    }
    if (best == 0) std::exit(1);  // a byte that is no token
    ids.push_back(trie.tokens()[nodes[best].first_token]);
    text.remove_prefix(nodes[best].depth);
  }
  return ids;
}

struct Times {
  std::vector<double> us;
  void Print(const char* what) {
    std::sort(us.begin(), us.end());
    std::printf("%-32s %6zu tokens  median %7.2f  p99 %8.2f  max %8.1f us\n", what, us.size(), us[us.size() / 2],
                us[us.size() * 99 / 100], us.back());
  }
};

double Microseconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - since).count();
}

void Follow(const std::shared_ptr<Constraint>& constraint, const std::vector<uint32_t>& ids, const std::string& name,
            Times& times) {
  Matcher matcher(constraint);
  std::vector<uint32_t> mask((constraint->trie().vocabulary_size() + 31) / 32);
  bool may_end = false;
  for (const uint32_t id : ids) {
    const auto start = std::chrono::steady_clock::now();
    const bool filled = matcher.FillMask(absl::MakeSpan(mask)).ok();
    may_end |= matcher.CanEnd();
    const bool allowed = mask[id / 32] >> (id % 32) & 1;
    const bool accepted = matcher.Accept(id);
    times.us.push_back(Microseconds(start));
    if (!filled || !allowed || !accepted || may_end) {
      std::fprintf(stderr, "%s: token %u is not allowed\n", name.c_str(), id);
      std::exit(1);
    }
  }
  if (!matcher.CanEnd()) std::exit(1);
}

void Run(const std::string& name, absl::StatusOr<Automaton> automaton,
         const std::shared_ptr<const TokenTrie>& trie, absl::string_view answer, Times& all) {
  if (!automaton.ok()) std::exit(1);
  const auto constraint = std::make_shared<Constraint>(*std::move(automaton), trie);
  const std::vector<uint32_t> ids = Encode(*trie, answer);
  Times first, later;
  Follow(constraint, ids, name, first);
  for (int i = 1; i < kSequences; ++i) Follow(constraint, ids, name, later);
  all.us.insert(all.us.end(), first.us.begin(), first.us.end());
  first.Print((name + ", first").c_str());
  later.Print((name + ", later").c_str());
}

using Texts = std::map<std::string, std::string>;  // by name

int RunVocabulary(const std::string& path, Texts& schemas, const Texts& answers) {
  const std::vector<std::string> tokens = Tokens(path);
  const auto start = std::chrono::steady_clock::now();
  const auto trie = std::make_shared<TokenTrie>(std::vector<absl::string_view>(tokens.begin(), tokens.end()));
  std::printf("%s: %zu tokens; the trie has %zu nodes and took %.1f ms\n", path.c_str(), tokens.size(),
              trie->nodes().size(), Microseconds(start) / 1000);
  Times all;
  for (const auto& [name, answer] : answers) {
    const auto compile = std::chrono::steady_clock::now();
    auto automaton = CompileJsonSchema(schemas[name]);
    const double compile_ms = Microseconds(compile) / 1000;
    if (!automaton.ok()) return 1;
    std::printf("%s: compiled to %zu states in %.2f ms\n", name.c_str(), automaton->state_count(), compile_ms);
    Run(name, std::move(automaton), trie, answer, all);
    Run(name + " as json_object", CompileJsonObject(), trie, answer, all);
  }
  all.Print("all first sequences");
  return 0;
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  using namespace spotinference;
  std::vector<std::string> vocabularies;
  Texts schemas, answers;
  for (int i = 1; i < argc; ++i) {
    const std::string path = argv[i], name = path.substr(path.rfind('/') + 1);
    if (absl::StrContains(path, "/answers/")) answers[name] = Read(path);
    else if (absl::StrContains(path, "/schemas/")) schemas[name] = Read(path);
    else vocabularies.push_back(path);
  }
  for (const std::string& path : vocabularies) {
    if (const int status = RunVocabulary(path, schemas, answers); status != 0) return status;
  }
  return vocabularies.empty() || answers.empty() ? 2 : 0;
}
