// What the oracle test asks of constraints: one JSON object a line in, one out.
//
//   {"schema": "…", "texts": ["…"], "walks": 3, "seed": 1}  →  {"accepted": [true, …], "walks": ["…"], "masks": 120}
//   {"schema": "…", …}                                       →  {"error": "…"}
//
// A walk picks at random from the masks of a real vocabulary (argument: a GGUF file) until the text may end; after 40
// tokens it heads for an end. Some masks on its way are held against Accept of every token.
#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/json.hpp"
#include "engine/sample/grammar/json_schema.h"
#include "engine/sample/grammar/matcher.h"
#include "engine/text/model_text.h"

namespace spotinference {
namespace {

namespace json = boost::json;

constexpr int kFreeSteps = 40, kMaxSteps = 3000;

bool IsSet(const std::vector<uint32_t>& mask, uint32_t id) { return mask[id / 32] >> (id % 32) & 1; }

class Walker {
 public:
  explicit Walker(const Tokenizer& tokenizer) {
    of_byte_.fill(-1);
    std::vector<absl::string_view> tokens;
    for (uint32_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
      const std::string_view piece = tokenizer.IsSpecial(id) ? "" : tokenizer.Piece(id);
      tokens.emplace_back(piece.data(), piece.size());
    }
    trie_ = std::make_shared<TokenTrie>(tokens);
    for (uint32_t id = 0; id < trie_->vocabulary_size(); ++id) {
      if (trie_->bytes(id).size() == 1) of_byte_[static_cast<uint8_t>(trie_->bytes(id)[0])] = id;
    }
  }

  std::shared_ptr<const TokenTrie> trie() const { return trie_; }
  int64_t masks() const { return masks_; }

  // "": it could not be ended.
  absl::StatusOr<std::string> Walk(std::shared_ptr<Constraint> constraint, std::mt19937& random) {
    Matcher matcher(std::move(constraint));
    std::vector<uint32_t> mask((trie_->vocabulary_size() + 31) / 32);
    std::string text;
    for (int step = 0; step < kMaxSteps; ++step) {
      const absl::Status filled = matcher.FillMask(absl::MakeSpan(mask));
      if (!filled.ok()) return filled;
      if (step < 6 && random() % 16 == 0 && !EqualsBruteForce(matcher, mask)) {
        return absl::InternalError(absl::StrCat("a wrong mask after ", text));
      }
      if (matcher.CanEnd() && (step >= kFreeSteps || random() % 4 == 0)) return text;
      const bool closes = random() % 8 < (step >= kFreeSteps ? 7 : 2);
      const int64_t id = Pick(mask, closes ? text : "", random);
      if (id < 0) {
        if (matcher.CanEnd()) return text;
        return absl::InternalError(absl::StrCat("no token goes on after ", text));
      }
      if (!matcher.Accept(static_cast<uint32_t>(id))) return absl::InternalError("Accept refused a token of the mask");
      absl::StrAppend(&text, trie_->bytes(static_cast<uint32_t>(id)));
    }
    return std::string();
  }

 private:
  // Any token of the mask; after `closing`, where it is not empty, one that leads to an end. -1: there is none.
  int64_t Pick(const std::vector<uint32_t>& mask, const std::string& closing, std::mt19937& random) const {
    if (!closing.empty()) {
      bool in_string = false;
      for (size_t i = 0; i < closing.size(); ++i) {
        if (in_string && closing[i] == '\\') ++i;
        else if (closing[i] == '"') in_string = !in_string;
      }
      const char* const order = in_string ? "\"0123456789:,.-@TZPabcdefxyz\\u" : "}]0123456789\":,ntf-";
      for (const char* c = order; *c != 0; ++c) {
        const int64_t id = of_byte_[static_cast<uint8_t>(*c)];
        if (id >= 0 && IsSet(mask, static_cast<uint32_t>(id))) return id;
      }
    }
    std::vector<uint32_t> allowed;
    for (uint32_t id = 0; id < trie_->vocabulary_size(); ++id) {
      if (IsSet(mask, id)) allowed.push_back(id);
    }
    return allowed.empty() ? -1 : int64_t{allowed[random() % allowed.size()]};
  }

  bool EqualsBruteForce(const Matcher& matcher, const std::vector<uint32_t>& mask) {
    ++masks_;
    for (uint32_t id = 0; id < trie_->vocabulary_size(); ++id) {
      Matcher copy = matcher;
      if (copy.Accept(id) != IsSet(mask, id)) return false;
    }
    return true;
  }

  std::shared_ptr<const TokenTrie> trie_;
  std::array<int64_t, 256> of_byte_;  // the token of one byte; -1: none
  int64_t masks_ = 0;
};

absl::StatusOr<json::object> Answer(const json::object& request, Walker& walker) {
  const json::string& schema = request.at("schema").as_string();
  absl::StatusOr<Automaton> automaton = CompileJsonSchema({schema.data(), schema.size()});
  if (!automaton.ok()) return automaton.status();
  json::object answer;
  json::array accepted, walks;
  for (const json::value& text : request.at("texts").as_array()) {
    accepted.push_back(Matches(*automaton, {text.as_string().data(), text.as_string().size()}));
  }
  std::mt19937 random(static_cast<uint32_t>(request.at("seed").as_int64()));
  const auto constraint = std::make_shared<Constraint>(*std::move(automaton), walker.trie());
  for (int64_t i = 0; i < request.at("walks").as_int64(); ++i) {
    const absl::StatusOr<std::string> text = walker.Walk(constraint, random);
    if (!text.ok()) return text.status();
    walks.push_back(json::value_from(*text));
  }
  return json::object{{"accepted", accepted}, {"walks", walks}, {"masks", walker.masks()}};
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  using namespace spotinference;
  if (argc != 2) {
    std::fprintf(stderr, "usage: grammar_main GGUF\n");
    return 2;
  }
  const auto text = LoadModelText(argv[1]);
  if (!text.ok()) {
    std::fprintf(stderr, "%s\n", text.status().ToString().c_str());
    return 1;
  }
  Walker walker((*text)->tokenizer());
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto answer = Answer(json::parse(line).as_object(), walker);
    const json::value out =
        answer.ok() ? json::value(*answer)
                    : json::value{{"error", std::string(answer.status().message())},
                                  {"internal", answer.status().code() == absl::StatusCode::kInternal}};
    std::cout << json::serialize(out) << std::endl;
  }
  return 0;
}
