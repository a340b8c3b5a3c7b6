#include "fleet/providers/emulator/new_fields.h"

#include <boost/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

void Extend(boost::json::value& value) {
  if (auto* const text = value.if_string(); text != nullptr && absl::StartsWith({text->data(), text->size()}, "{")) {
    boost::system::error_code error;
    boost::json::value document = boost::json::parse(*text, error);
    if (error || !document.is_object()) return;
    Extend(document);
    *text = boost::json::serialize(document);
  }
  if (value.is_array()) {
    for (boost::json::value& item : value.get_array()) Extend(item);
  }
  if (!value.is_object()) return;
  boost::json::object& object = value.get_object();
  const boost::json::object before = object;
  for (auto& field : object) Extend(field.value());
  object["newText"] = "new";
  object["newNumber"] = -1.5e300;
  object["newNull"] = nullptr;
  object["newFlag"] = true;
  object["newList"] = boost::json::array();
  object["newItems"] = boost::json::array{before, nullptr, "new"};
  object["newObject"] = {{"name", "new"}, {"id", {{"id", 1}}}};
  object["newSelf"] = before;
}

constexpr absl::string_view kNewElements =
    R"(<newText kind="new">new</newText><newEmpty/><newSet/><newSet><item/><item><id>1</id></item></newSet>)";

// From the '<' of an element's begin: where it ends, with its end tag.
size_t EndOf(absl::string_view text) {
  int depth = 0;
  for (size_t at = text.find('<'); at != text.npos; at = text.find('<', at)) {
    const size_t close = text.find('>', at);
    if (close == text.npos) break;
    const bool is_end = absl::StartsWith(text.substr(at), "</");
    const bool is_empty = text[close - 1] == '/';
    depth += is_end ? -1 : is_empty ? 0 : 1;
    at = close + 1;
    if (depth == 0) return at;
  }
  return text.size();
}

// `inner` is what stands in an element: a text, or others.
std::string Extended(absl::string_view inner) {
  if (!absl::StartsWith(inner, "<")) return std::string(inner);
  std::string extended = absl::StrCat(kNewElements, "<newSelf><item>", inner, "</item></newSelf>");
  for (absl::string_view rest = inner; !rest.empty();) {
    const absl::string_view element = rest.substr(0, EndOf(rest));
    rest.remove_prefix(element.size());
    const size_t begin = element.find('>') + 1, end = element.rfind("</");
    if (end == element.npos || end < begin) {
      absl::StrAppend(&extended, element);
    } else {
      absl::StrAppend(&extended, element.substr(0, begin), Extended(element.substr(begin, end - begin)),
                      element.substr(end));
    }
  }
  return extended;
}

}  // namespace

std::string WithNewFields(absl::string_view body) {
  if (absl::StartsWith(body, "<")) {
    const size_t root = absl::StartsWith(body, "<?") ? body.find("?>") + 2 : 0;
    const size_t begin = body.find('>', root) + 1, end = body.rfind("</");
    if (end == body.npos || end < begin) return std::string(body);
    return absl::StrCat(body.substr(0, begin), Extended(absl::StripAsciiWhitespace(body.substr(begin, end - begin))),
                        body.substr(end));
  }
  boost::system::error_code error;
  boost::json::value document = boost::json::parse({body.data(), body.size()}, error);
  if (error || (!document.is_object() && !document.is_array())) return std::string(body);
  Extend(document);
  return boost::json::serialize(document);
}

}  // namespace spotinference::fleet
