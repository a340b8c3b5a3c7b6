// Makes the tokenizer that a tokenizer.json describes, the file of the `tokenizers` package that lies
// beside safetensors weights.
//
// What is read: models BPE (byte-level, or of characters with byte fallback) and Unigram; normalizers
// NFC, Replace, Prepend, Strip and sequences of them; pre-tokenizers Split, Digits, ByteLevel and
// Metaspace in the combinations that pre_tokenizer.h knows; added tokens with all their flags but single_word; of
// post-processors a leading BOS. What a file has beyond that is refused by name, not left out.
#ifndef ENGINE_TEXT_JSON_TOKENIZER_H_
#define ENGINE_TEXT_JSON_TOKENIZER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/text/tokenizer.h"

namespace spotinference {

// `config`: the tokenizer_config.json, which names BOS and EOS and may ask for a BOS; empty if there
// is none. Does not need the texts once it has returned. Any thread; while it works it needs some ten
// times the memory of `json`.
//
// INVALID_ARGUMENT: the text is no JSON, or a field, which the message names, is missing, makes no
// sense or asks for what is not known here.
absl::StatusOr<ModelTokenizer> TokenizerFromJson(absl::string_view json,
                                                 absl::string_view config);

}  // namespace spotinference

#endif  // ENGINE_TEXT_JSON_TOKENIZER_H_
