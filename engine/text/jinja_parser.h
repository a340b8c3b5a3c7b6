// Tokens to syntax tree; the grammar is that of Jinja 3.1
// (https://jinja.palletsprojects.com/en/3.1.x/templates).
#ifndef ENGINE_TEXT_JINJA_PARSER_H_
#define ENGINE_TEXT_JINJA_PARSER_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja_ast.h"

namespace spotinference::jinja {

// INVALID_ARGUMENT "line N: …": what was expected there, or which tag, filter or test is unknown.
absl::StatusOr<Block> ParseTemplate(std::string_view source);

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_PARSER_H_
