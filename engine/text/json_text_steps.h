// What a tokenizer.json says of text before it reaches the model: its "normalizer", "pre_tokenizer"
// and "decoder".
#ifndef ENGINE_TEXT_JSON_TEXT_STEPS_H_
#define ENGINE_TEXT_JSON_TEXT_STEPS_H_

#include "absl/status/statusor.h"
#include "engine/text/json_reader.h"
#include "engine/text/normalizer.h"
#include "engine/text/pre_tokenizer.h"

namespace spotinference {

struct TextSteps {
  bool byte_level = false;  // else the vocabulary is spelled as SentencePiece does
  Normalizer normalizer;    // with what a Metaspace pre-tokenizer does
  bool metaspace = false;
  PreTokenizer pre_tokenizer;  // kWhole unless the file cuts words
  bool adds_space = false;     // a decoder takes one space away again
};

// `root`: the whole file. INVALID_ARGUMENT names the step that is not known here.
absl::StatusOr<TextSteps> ReadTextSteps(const JsonReader& root);

}  // namespace spotinference

#endif  // ENGINE_TEXT_JSON_TEXT_STEPS_H_
