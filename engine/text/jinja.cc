#include "engine/text/jinja.h"

#include "engine/base/status.h"
#include "engine/text/jinja_parser.h"
#include "engine/text/jinja_renderer.h"

namespace spotinference::jinja {

absl::StatusOr<Template> Template::Parse(std::string_view source) {
  ASSIGN_OR_RETURN(Block block, ParseTemplate(source));
  return Template(std::move(block));
}

absl::StatusOr<Text> Template::Render(const Variables& variables, absl::CivilSecond now,
                                      const Limits& limits) const {
  return Renderer(variables, now, limits).Run(*block_);
}

}  // namespace spotinference::jinja
