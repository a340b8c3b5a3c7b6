#include "engine/text/gguf_tokenizer.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/text/byte_pair_tokenizer.h"

namespace spotinference {
namespace {

std::vector<std::string_view> Views(const std::vector<absl::string_view>& strings) {
  std::vector<std::string_view> views;
  views.reserve(strings.size());
  for (const absl::string_view string : strings) views.emplace_back(string.data(), string.size());
  return views;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Tokenizer>> ReadTokenizer(const GgufFile& file) {
  ASSIGN_OR_RETURN(const absl::string_view model, file.String("tokenizer.ggml.model"));
  if (model != "gpt2") {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer.ggml.model is \"", model, "\"; expected \"gpt2\""));
  }
  Vocabulary vocabulary;
  ASSIGN_OR_RETURN(const auto tokens, file.Strings("tokenizer.ggml.tokens"));
  ASSIGN_OR_RETURN(const auto merges, file.Strings("tokenizer.ggml.merges"));
  ASSIGN_OR_RETURN(const absl::string_view pre, file.String("tokenizer.ggml.pre"));
  vocabulary.tokens = Views(tokens);
  vocabulary.merges = Views(merges);
  vocabulary.pre = std::string(pre);
  if (constexpr absl::string_view kTypes = "tokenizer.ggml.token_type"; file.Has(kTypes)) {
    ASSIGN_OR_RETURN(const std::vector<int64_t> types, file.Integers(kTypes, 1, 6));
    for (const int64_t type : types) vocabulary.types.push_back(static_cast<TokenType>(type));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<const Tokenizer> tokenizer,
                   BytePairTokenizer::Create(vocabulary));
  return tokenizer;
}

}  // namespace spotinference
