#include "gateway/config/yaml_tree.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/parser.h"

namespace spotinference::config {
namespace {

// Takes yaml-cpp's events. After the first refusal it ignores the rest.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(absl::string_view file) : file_(file) {}

  const absl::Status& status() const { return status_; }
  YamlNode& root() { return root_; }
  void Refuse(const YAML::Mark& mark, absl::string_view why) {
    const int line = mark.is_null() ? 1 : mark.line + 1;
    status_.Update(absl::InvalidArgumentError(absl::StrCat(file_, ":", line, ": ", why)));
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    Refuse(mark, "anchors (&name) are not used here: write the value out");
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    Add(mark, YamlNode::Kind::kNull, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "aliases (*name) are not used here: write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    if (!status_.ok()) return;
    if (InKeyPlace()) return AddKey(mark, value);
    YamlNode* const node = Add(mark, YamlNode::Kind::kScalar, tag);
    if (node == nullptr) return;
    node->text = value;
    node->quoted = tag == "!";
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Open(mark, YamlNode::Kind::kList, tag);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Open(mark, YamlNode::Kind::kMap, tag);
  }
  void OnMapEnd() override { Close(); }

 private:
  bool InKeyPlace() const {
    return !open_.empty() && open_.back()->kind == YamlNode::Kind::kMap && !has_key_;
  }

  void AddKey(const YAML::Mark& mark, const std::string& key) {
    std::vector<YamlMember>& members = open_.back()->members;
    const auto same = std::find_if(members.begin(), members.end(),
                                   [&](const YamlMember& member) { return member.key == key; });
    if (same != members.end()) {
      return Refuse(mark, absl::StrCat("'", key, "' is here twice, first on line ", same->line));
    }
    members.push_back({key, mark.line + 1, {}});
    has_key_ = true;
  }

  // The new node in its place, or null after a refusal.
  YamlNode* Add(const YAML::Mark& mark, YamlNode::Kind kind, absl::string_view tag) {
    if (!tag.empty() && tag != "?" && tag != "!") Refuse(mark, "tags (!name) are not used here");
    if (InKeyPlace()) Refuse(mark, "a key is one word, not empty, a list or a map");
    if (!status_.ok()) return nullptr;
    YamlNode* node = &root_;
    if (!open_.empty() && open_.back()->kind == YamlNode::Kind::kMap) {
      node = &open_.back()->members.back().value;
      has_key_ = false;
    } else if (!open_.empty()) {
      node = &open_.back()->elements.emplace_back();
    }
    node->kind = kind;
    node->line = mark.line + 1;
    return node;
  }

  void Open(const YAML::Mark& mark, YamlNode::Kind kind, absl::string_view tag) {
    if (open_.size() >= kMaxYamlDepth) {
      Refuse(mark, absl::StrCat("more than ", kMaxYamlDepth, " levels"));
    }
    if (YamlNode* const node = Add(mark, kind, tag); node != nullptr) open_.push_back(node);
  }
  void Close() {
    if (status_.ok()) open_.pop_back();
  }

  const absl::string_view file_;
  absl::Status status_;
  YamlNode root_;
  std::vector<YamlNode*> open_;  // the innermost last; only it grows, so that the others stay put
  bool has_key_ = false;         // of the innermost map: the next node is a value
};

}  // namespace

absl::StatusOr<YamlNode> ParseYaml(absl::string_view text, absl::string_view file) {
  TreeBuilder builder(file);
  if (text.size() > kMaxYamlBytes) {
    builder.Refuse({}, absl::StrCat(text.size(), " bytes; at most ", kMaxYamlBytes, " are read"));
    return builder.status();
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder) && builder.status().ok() &&
        parser.HandleNextDocument(builder)) {
      builder.Refuse({}, "more than one document (---) in the file");
    }
  } catch (const YAML::Exception& error) {
    builder.Refuse(error.mark, error.msg);
  }
  if (!builder.status().ok()) return builder.status();
  return std::move(builder.root());
}

}  // namespace spotinference::config
