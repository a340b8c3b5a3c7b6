// A JSON Schema (draft 2020-12) as an automaton of the JSON texts that it allows: what OpenAI's structured outputs
// take, and what lies near it.
//
// Taken, with the meaning that the specification gives them: type (one or several), properties, required,
// additionalProperties, enum, const, anyOf, $ref to a place in the same schema (recursion too), $defs and definitions,
// items, prefixItems, minItems, maxItems, minLength, maxLength, pattern (regex.h), format (formats.h), minimum,
// maximum, exclusiveMinimum, exclusiveMaximum, multipleOf; true and false as schemas; titles, descriptions and other
// notes. Everything else is refused by name, also unknown keywords.
//
// Of the many texts of a value, the grammar takes:
//   - members in the order of "properties", then those that only "required" names, then additional ones; names as JSON
//     writes them for short;
//   - white space as json_grammar.h has it;
//   - integers without fraction or exponent; numbers with bounds or multipleOf without exponent;
//   - strings under a pattern or format, and those of enum and const, as JSON writes them for short; objects of enum
//     and const with their members as they stand there, without white space.
//
// Not taken together, since their intersection is not computed: pattern or format with each other or with a length;
// enum or const with a keyword other than type; anyOf or $ref beside a keyword that the other side has too.
#ifndef ENGINE_SAMPLE_GRAMMAR_JSON_SCHEMA_H_
#define ENGINE_SAMPLE_GRAMMAR_JSON_SCHEMA_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/sample/grammar/automaton.h"

namespace spotinference {

inline constexpr size_t kMaxSchemaBytes = size_t{256} << 10;
inline constexpr int kMaxSchemaDepth = 64;
// Of the whole schema; OpenAI's.
inline constexpr int kMaxSchemaProperties = 5000;
inline constexpr int kMaxSchemaEnumValues = 1000;
inline constexpr int kMaxSchemaPrefixItems = 1000;

// INVALID_ARGUMENT names the place (a JSON pointer), the keyword and what is wrong, or the limit that is passed.
absl::StatusOr<Automaton> CompileJsonSchema(absl::string_view schema);

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_GRAMMAR_JSON_SCHEMA_H_
