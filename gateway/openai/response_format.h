// The field "response_format" of a chat request: the form that the answer's text must have.
#ifndef GATEWAY_OPENAI_RESPONSE_FORMAT_H_
#define GATEWAY_OPENAI_RESPONSE_FORMAT_H_

#include <string>

#include "absl/status/statusor.h"
#include "boost/json/fwd.hpp"

namespace spotinference::openai {

class Path;  // json_fields.h

struct ResponseFormat {
  enum class Type { kText, kJsonObject, kJsonSchema } type = Type::kText;
  // Of kJsonSchema, as text. engine/sample/grammar/json_schema.h says which schemas are taken; these are held to
  // whether "strict" is set or not. Without a schema: any object.
  std::string schema;
};

// A schema is compiled here, so that one that is not taken is a 400 that names
// "response_format.json_schema.schema", the place within it and the keyword, and wakes nothing.
absl::StatusOr<ResponseFormat> ReadResponseFormat(const boost::json::value& value, const Path& path);

}  // namespace spotinference::openai

#endif  // GATEWAY_OPENAI_RESPONSE_FORMAT_H_
