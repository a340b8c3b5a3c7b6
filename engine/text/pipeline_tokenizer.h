// The one Tokenizer: special tokens are found in the text, what lies between them is normalized and
// cut into words, and a model makes tokens of each word. The parts come from a GGUF file
// (gguf_tokenizer.h) or from a tokenizer.json (json_tokenizer.h).
#ifndef ENGINE_TEXT_PIPELINE_TOKENIZER_H_
#define ENGINE_TEXT_PIPELINE_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/text/byte_pair_model.h"
#include "engine/text/normalizer.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/special_tokens.h"
#include "engine/text/tokenizer.h"
#include "engine/text/unigram_model.h"
#include "engine/text/vocabulary.h"

namespace spotinference {

struct TokenizerParts {
  std::unique_ptr<const Vocabulary> vocabulary;
  SpecialTokens special;  // found in the text as it came
  // Found in what the normalizer has made of it. Its control tokens are read letter by letter in
  // any stretch between special tokens that input has a part in, unless there is no normalizer.
  SpecialTokens normalized_special;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::variant<BytePairModel, UnigramModel> model;  // over `vocabulary`
  // Whether the normalizer puts a space before a text, which is no part of it.
  bool adds_space = false;
};

// Some vocabularies lack single bytes that no UTF-8 text needs, or hardly any. Encode leaves such
// bytes out, as the `tokenizers` package does.
class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {}

  std::vector<uint32_t> Encode(std::string_view text, const EncodeOptions& options) const override;
  std::string_view Piece(uint32_t id) const override { return parts_.vocabulary->Piece(id); }
  std::optional<uint32_t> Find(std::string_view piece) const override;
  bool IsSpecial(uint32_t id) const override;
  uint32_t vocabulary_size() const override { return parts_.vocabulary->size(); }
  bool adds_space() const override { return parts_.adds_space; }

 private:
  void EncodeStretch(std::string_view text, bool at_start, const EncodeOptions& options,
                     std::vector<uint32_t>& ids) const;
  void EncodeWords(std::string_view text, std::vector<uint32_t>& ids) const;

  const TokenizerParts parts_;
};

}  // namespace spotinference

#endif  // ENGINE_TEXT_PIPELINE_TOKENIZER_H_
