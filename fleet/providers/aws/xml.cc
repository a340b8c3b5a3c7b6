#include "fleet/providers/aws/xml.h"

#include <expat.h>

#include <memory>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {
namespace {

constexpr size_t kMostLevels = 32;

struct Tree {
  XML_Parser parser;
  Xml root;  // above the document's own
  std::vector<Xml*> open = {&root};
};

void Begin(void* data, const char* name, const char**) {
  Tree& tree = *static_cast<Tree*>(data);
  if (tree.open.size() > kMostLevels) {
    XML_StopParser(tree.parser, XML_FALSE);
    return;
  }
  // Only the last child is ever open, so that the vector may grow.
  tree.open.back()->children.push_back({.name = name});
  tree.open.push_back(&tree.open.back()->children.back());
}

void End(void* data, const char*) { static_cast<Tree*>(data)->open.pop_back(); }

void Text(void* data, const char* text, int size) { static_cast<Tree*>(data)->open.back()->text.append(text, size); }

void Doctype(void* data, const char*, const char*, const char*, int) {
  XML_StopParser(static_cast<Tree*>(data)->parser, XML_FALSE);
}

}  // namespace

absl::StatusOr<Xml> Xml::Parse(absl::string_view text) {
  const std::unique_ptr<XML_ParserStruct, void (*)(XML_Parser)> parser(XML_ParserCreate(nullptr), XML_ParserFree);
  Tree tree = {.parser = parser.get()};
  XML_SetUserData(parser.get(), &tree);
  XML_SetElementHandler(parser.get(), Begin, End);
  XML_SetCharacterDataHandler(parser.get(), Text);
  XML_SetStartDoctypeDeclHandler(parser.get(), Doctype);
  if (XML_Parse(parser.get(), text.data(), static_cast<int>(text.size()), XML_TRUE) != XML_STATUS_OK ||
      tree.root.children.size() != 1) {
    return absl::UnavailableError(absl::StrCat("the answer is no XML, ", text.size(), " bytes long"));
  }
  return std::move(tree.root.children[0]);
}

const Xml& Xml::operator[](absl::string_view child) const {
  static const Xml& none = *new Xml;
  for (const Xml& candidate : children) {
    if (candidate.name == child) return candidate;
  }
  return none;
}

std::vector<const Xml*> Xml::Items() const {
  std::vector<const Xml*> items;
  for (const Xml& child : children) {
    if (child.name == "item") items.push_back(&child);
  }
  return items;
}

}  // namespace spotinference::fleet
