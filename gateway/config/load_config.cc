#include "gateway/config/load_config.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "gateway/config/check_config.h"
#include "gateway/config/default_config.h"
#include "gateway/config/source.h"
#include "gateway/config/yaml_tree.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace spotinference::config {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

// Keys that people will try, and what to tell them beyond "unknown".
struct Hint {
  absl::string_view message, key, text;
};
constexpr absl::string_view kNoSuchProvider =
    "this provider is not there yet; this build has: local, hyperstack, aws, gcp, azure";
constexpr absl::string_view kSecret =
    "a key is never written in this file; name an environment variable with api_key_env or a file with api_key_file";
constexpr Hint kHints[] = {
    {"Key", "key",
     "a key is never written in this file; name an environment variable with key_env or a file "
     "with key_file"},
    {"Config", "admin_key",
     "a key is never written in this file; name an environment variable with admin_key_env"},
    {"Provider", "kubernetes", kNoSuchProvider},
    {"Hyperstack", "api_key", kSecret},
};

// Insertions, deletions and replacements that make `b` of `a`.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string UnknownKey(const Descriptor& type, absl::string_view key) {
  for (const Hint& hint : kHints) {
    if (hint.message == type.name() && hint.key == key) return std::string(hint.text);
  }
  std::vector<absl::string_view> known;
  for (int i = 0; i < type.field_count(); ++i) known.push_back(type.field(i)->name());
  const absl::string_view tried = key.substr(0, 64);
  const absl::string_view nearest =
      *std::min_element(known.begin(), known.end(), [&](absl::string_view a, absl::string_view b) {
        return EditDistance(tried, a) < EditDistance(tried, b);
      });
  if (EditDistance(tried, nearest) <= std::max<size_t>(1, nearest.size() / 3)) {
    return absl::StrCat("unknown key; did you mean '", nearest, "'?");
  }
  return absl::StrCat("unknown key; expected one of ", absl::StrJoin(known, ", "));
}

std::string Shown(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull: return "has no value";
    case YamlNode::Kind::kList: return "is a list";
    case YamlNode::Kind::kMap: return "is a map";
    case YamlNode::Kind::kScalar: break;
  }
  return absl::StrCat("is '", node.text.substr(0, 64), "'");
}

// "64MiB" in bytes.
bool ParseSize(absl::string_view text, uint64_t* bytes) {
  const size_t digits =
      std::find_if_not(text.begin(), text.end(), absl::ascii_isdigit) - text.begin();
  constexpr std::pair<absl::string_view, int> kUnits[] = {
      {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  for (const auto& [unit, shift] : kUnits) {
    if (text.substr(digits) != unit) continue;
    return absl::SimpleAtoi(text.substr(0, digits), bytes) &&
           *bytes <= std::numeric_limits<int64_t>::max() >> shift && (*bytes <<= shift, true);
  }
  return false;
}

bool ParseDuration(absl::string_view text, google::protobuf::Duration* to) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration)) return false;
  if (duration < absl::ZeroDuration() || duration > absl::Hours(24 * 365)) return false;
  to->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  to->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return true;
}

class Reader {
 public:
  explicit Reader(const std::string& file) {
    source_.file = file;
    const size_t slash = file.rfind('/');
    if (slash != file.npos) folder_ = file.substr(0, slash + 1);
  }

  const Source& source() const { return source_; }

  absl::Status ReadMessage(const YamlNode& node, const std::string& path, Message& message) {
    if (node.kind != YamlNode::Kind::kMap) return Expected(node, path, "a map of keys and values");
    const Descriptor& type = *message.GetDescriptor();
    for (const YamlMember& member : node.members) {
      const std::string at = absl::StrCat(path, path.empty() ? "" : ".", member.key.substr(0, 64));
      source_.lines[at] = member.line;
      const FieldDescriptor* const field = type.FindFieldByName(member.key);
      if (field == nullptr) return source_.Error(at, UnknownKey(type, member.key));
      RETURN_IF_ERROR(ReadField(member.value, at, *field, message));
    }
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (!FormOf(field).required() || message.GetReflection()->HasField(message, &field)) continue;
      return source_.Error(path, absl::StrCat("'", field.name(), "' is missing"));
    }
    return absl::OkStatus();
  }

 private:
  static const Form& FormOf(const FieldDescriptor& field) {
    return field.options().GetExtension(form);
  }

  absl::Status Expected(const YamlNode& node, const std::string& path, absl::string_view what) {
    return source_.Error(path, absl::StrCat(Shown(node), "; expected ", what));
  }

  absl::Status ReadField(const YamlNode& node, const std::string& path,
                         const FieldDescriptor& field, Message& message) {
    if (!field.is_repeated()) return ReadValue(node, path, field, message);
    if (node.kind != YamlNode::Kind::kList) return Expected(node, path, "a list");
    if (node.elements.empty() && FormOf(field).not_empty()) {
      return source_.Error(path, "is empty; expected at least one element");
    }
    for (size_t i = 0; i < node.elements.size(); ++i) {
      const std::string at = absl::StrCat(path, "[", i, "]");
      source_.lines[at] = node.elements[i].line;
      RETURN_IF_ERROR(ReadValue(node.elements[i], at, field, message));
    }
    return absl::OkStatus();
  }

  // Sets a singular field, or appends to a repeated one.
  absl::Status ReadValue(const YamlNode& node, const std::string& path,
                         const FieldDescriptor& field, Message& message) {
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    const bool is_duration = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
                             field.message_type() == google::protobuf::Duration::descriptor();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !is_duration) {
      return ReadMessage(node, path,
                         field.is_repeated() ? *reflection.AddMessage(&message, &field)
                                             : *reflection.MutableMessage(&message, &field));
    }
    if (is_duration) return ReadDuration(node, path, field, message);
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: return ReadString(node, path, field, message);
      case FieldDescriptor::CPPTYPE_BOOL: {
        if (!Plain(node) || (node.text != "true" && node.text != "false")) return Expected(node, path, "true or false");
        reflection.SetBool(&message, &field, node.text == "true");
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT32: {
        uint32_t value;
        if (!Plain(node) || !absl::SimpleAtoi(node.text, &value)) {
          return Expected(node, path, "a whole number, 0 or more");
        }
        reflection.SetUInt32(&message, &field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        uint64_t bytes;
        if (!Plain(node) || !ParseSize(node.text, &bytes)) {
          return Expected(node, path, "a size such as 64MiB (B, KiB, MiB, GiB)");
        }
        reflection.SetUInt64(&message, &field, bytes);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        double value;
        if (!Plain(node) || !absl::SimpleAtod(node.text, &value) || !std::isfinite(value)) {
          return Expected(node, path, "a number");
        }
        reflection.SetDouble(&message, &field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_ENUM: return ReadEnum(node, path, field, message);
      default: return absl::InternalError(absl::StrCat("config.proto: no rule for ", path));
    }
  }

  static bool Plain(const YamlNode& node) {
    return node.kind == YamlNode::Kind::kScalar && !node.quoted;
  }

  absl::Status ReadDuration(const YamlNode& node, const std::string& path,
                            const FieldDescriptor& field, Message& message) {
    const bool may_be_auto = FormOf(field).may_be_auto();
    if (may_be_auto && node.text == "auto") return absl::OkStatus();
    google::protobuf::Duration duration;
    if (node.kind != YamlNode::Kind::kScalar || !ParseDuration(node.text, &duration)) {
      return Expected(node, path,
                      absl::StrCat(may_be_auto ? "auto or " : "",
                                   "a duration such as 90s, 10m or 1h30m, a year at most"));
    }
    message.GetReflection()->MutableMessage(&message, &field)->CopyFrom(duration);
    return absl::OkStatus();
  }

  absl::Status ReadString(const YamlNode& node, const std::string& path,
                          const FieldDescriptor& field, Message& message) {
    if (node.kind != YamlNode::Kind::kScalar || node.text.empty() ||
        std::any_of(node.text.begin(), node.text.end(), absl::ascii_iscntrl)) {
      return Expected(node, path, "text on one line");
    }
    const bool relative = FormOf(field).path() && node.text[0] != '/';
    const std::string text = relative ? absl::StrCat(folder_, node.text) : node.text;
    if (field.is_repeated()) {
      message.GetReflection()->AddString(&message, &field, text);
    } else {
      message.GetReflection()->SetString(&message, &field, text);
    }
    return absl::OkStatus();
  }

  absl::Status ReadEnum(const YamlNode& node, const std::string& path, const FieldDescriptor& field,
                        Message& message) {
    std::vector<std::string> names;
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      const EnumValueDescriptor* const value = field.enum_type()->value(i);
      names.push_back(absl::AsciiStrToLower(value->name()));
      if (node.kind != YamlNode::Kind::kScalar || node.text != names.back()) continue;
      message.GetReflection()->SetEnum(&message, &field, value);
      return absl::OkStatus();
    }
    return Expected(node, path, absl::StrJoin(names, " or "));
  }

  Source source_;
  std::string folder_;  // ends in '/'
};

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view yaml, const std::string& file) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(yaml, file));
  Reader reader(file);
  Config config;
  if (root.kind != YamlNode::Kind::kNull) {
    RETURN_IF_ERROR(reader.ReadMessage(root, "", config));
  }
  FillDefaults(config);
  RETURN_IF_ERROR(CheckConfig(config, reader.source()));
  return config;
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read the configuration ", path));
  // One byte past the limit is enough to be refused.
  std::string text(kMaxYamlBytes + 1, '\0');
  file.read(text.data(), text.size());
  text.resize(file.gcount());
  return ParseConfig(text, path);
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace spotinference::config
