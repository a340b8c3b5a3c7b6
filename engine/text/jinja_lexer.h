// Cuts a Jinja template into tokens and settles all white space, with trim_blocks and lstrip_blocks
// on, as Hugging Face renders chat templates.
#ifndef ENGINE_TEXT_JINJA_LEXER_H_
#define ENGINE_TEXT_JINJA_LEXER_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace spotinference::jinja {

struct Token {
  enum class Kind {
    kData,  // text between tags
    kVariableBegin,
    kVariableEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,   // text: unescaped
    kInteger,  // text: decimal or prefixed digits, without underscores
    kFloat,
    kOperator,
    kEnd,
  };

  Kind kind;
  std::string text;
  int line;  // from 1
};

// INVALID_ARGUMENT "line N: …". The last token is kEnd.
absl::StatusOr<std::vector<Token>> Tokenize(std::string_view source);

absl::Status ErrorAt(int line, std::string_view message);

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_LEXER_H_
