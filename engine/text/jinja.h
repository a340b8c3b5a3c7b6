// A small Jinja2 for chat templates: what well-known models' templates use, rendered as Hugging
// Face renders it (ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks, break and
// continue, {% generation %}, tojson as json.dumps, raise_exception and strftime_now). No include,
// import or inheritance.
//
// Templates come with models and may be hostile: size of syntax, steps, depth and bytes are
// bounded.
#ifndef ENGINE_TEXT_JINJA_H_
#define ENGINE_TEXT_JINJA_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "engine/text/jinja_ast.h"
#include "engine/text/jinja_operations.h"
#include "engine/text/jinja_value.h"

namespace spotinference::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

// Immutable; any thread may render it.
class Template {
 public:
  // INVALID_ARGUMENT "line N: …".
  static absl::StatusOr<Template> Parse(std::string_view source);

  // `now` is what strftime_now prints, in whatever time zone the caller likes.
  // INVALID_ARGUMENT "line N: …": the template does what Jinja has no answer to.
  // FAILED_PRECONDITION: the template called raise_exception, whose words the message is.
  // RESOURCE_EXHAUSTED: it went past `limits`.
  absl::StatusOr<Text> Render(const Variables& variables, absl::CivilSecond now,
                              const Limits& limits = {}) const;

 private:
  explicit Template(Block block) : block_(std::make_shared<const Block>(std::move(block))) {}

  std::shared_ptr<const Block> block_;
};

}  // namespace spotinference::jinja

#endif  // ENGINE_TEXT_JINJA_H_
