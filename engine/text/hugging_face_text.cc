#include "engine/text/hugging_face_text.h"

#include <cstddef>
#include <limits>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "boost/json.hpp"
#include "engine/base/status.h"
#include "engine/model/hugging_face_config.h"
#include "engine/model/mapped_file.h"

namespace spotinference {
namespace {

namespace json = boost::json;

constexpr size_t kMaxJsonBytes = size_t{16} << 20;        // tokenizer_config.json may list thousands of added tokens
constexpr size_t kMaxTokenizerBytes = size_t{128} << 20;  // Gemma 3's has 33 MB

absl::StatusOr<json::object> ParseObject(absl::string_view text) {
  json::error_code error;
  json::value root = json::parse({text.data(), text.size()}, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("not JSON: ", error.message()));
  if (!root.is_object()) return absl::InvalidArgumentError("not a JSON object");
  return std::move(root.get_object());
}

// The value of `key`, or null where there is none or a JSON null.
const json::value* Find(const json::object& object, absl::string_view key) {
  const json::value* const value = object.if_contains({key.data(), key.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

absl::Status WrongKind(absl::string_view key, const json::value& value, absl::string_view wanted) {
  const std::string text = json::serialize(value);
  return absl::InvalidArgumentError(
      absl::StrCat("key '", key, "': ", text.substr(0, 80), text.size() > 80 ? "…" : "", " is not ", wanted));
}

std::string Text(const json::string& s) { return std::string(s.data(), s.size()); }

absl::Status Prefixed(absl::string_view name, const absl::Status& status) {
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
}

// The whole of `folder`/`name`.
absl::StatusOr<std::string> ReadFile(const std::string& folder, absl::string_view name, size_t most) {
  ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(absl::StrCat(folder, "/", name)));
  const absl::Span<const std::byte> bytes = file->bytes();
  if (bytes.size() > most) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has ", bytes.size(), " bytes; at most ", most, " are allowed"));
  }
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// The same for an optional file; "" where there is none.
absl::StatusOr<std::string> ReadOptional(const std::string& folder, absl::string_view name) {
  absl::StatusOr<std::string> text = ReadFile(folder, name, kMaxJsonBytes);
  if (absl::IsNotFound(text.status())) return std::string();
  return text;
}

absl::Status ReadStopIds(const std::string& folder, absl::string_view config, HuggingFaceText& out) {
  constexpr absl::string_view kGeneration = "generation_config.json";
  ASSIGN_OR_RETURN(const std::string generation, ReadOptional(folder, kGeneration));
  if (!generation.empty()) {
    absl::StatusOr<std::vector<uint32_t>> ids = ParseEosIds(generation);
    RETURN_IF_ERROR(Prefixed(kGeneration, ids.status()));
    out.stop_ids = *std::move(ids);
  }
  if (!out.stop_ids.empty()) return absl::OkStatus();
  absl::StatusOr<std::vector<uint32_t>> ids = ParseEosIds(config);
  RETURN_IF_ERROR(Prefixed("config.json", ids.status()));
  out.stop_ids = *std::move(ids);
  return absl::OkStatus();
}

absl::Status ReadContext(absl::string_view text, HuggingFaceText& out) {
  ASSIGN_OR_RETURN(const HuggingFaceConfig config, ParseHuggingFaceConfig(text));
  const auto found = config.values.find(absl::StrCat(config.type->architecture, ".context_length"));
  if (found == config.values.end()) return absl::NotFoundError("key 'max_position_embeddings' is missing");
  const int64_t* const tokens = std::get_if<int64_t>(&found->second.value);
  if (tokens == nullptr || *tokens < 1 || *tokens > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat("key '", found->second.name, "' is not a number of tokens"));
  }
  out.context_tokens = static_cast<uint32_t>(*tokens);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<std::string>> ParseChatTemplate(absl::string_view tokenizer_config) {
  constexpr absl::string_view kKey = "chat_template";
  ASSIGN_OR_RETURN(const json::object config, ParseObject(tokenizer_config));
  const json::value* const value = Find(config, kKey);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return Text(value->get_string());
  if (!value->is_array()) return WrongKind(kKey, *value, "a string or a list of named ones");
  std::optional<std::string> source;
  for (const json::value& entry : value->get_array()) {
    const json::object* const named = entry.if_object();
    const json::value* const name = named == nullptr ? nullptr : Find(*named, "name");
    const json::value* const text = named == nullptr ? nullptr : Find(*named, "template");
    if (name == nullptr || !name->is_string() || text == nullptr || !text->is_string()) {
      return WrongKind(kKey, entry, "a named template");
    }
    if (name->get_string() == "default") source = Text(text->get_string());
  }
  return source;
}

absl::StatusOr<std::vector<uint32_t>> ParseEosIds(absl::string_view text) {
  ASSIGN_OR_RETURN(const json::object config, ParseObject(text));
  const json::value* const value = Find(config, "eos_token_id");
  if (value == nullptr) return std::vector<uint32_t>();
  const json::array one(1, *value);
  const json::array& values = value->is_array() ? value->get_array() : one;
  std::vector<uint32_t> ids;
  for (const json::value& id : values) {
    const int64_t* const number = id.if_int64();
    if (number == nullptr || *number < 0 || *number > std::numeric_limits<uint32_t>::max()) {
      return WrongKind("eos_token_id", *value, "a token's id, or a list of them");
    }
    ids.push_back(static_cast<uint32_t>(*number));
  }
  return ids;
}

absl::StatusOr<HuggingFaceText> ReadHuggingFaceText(const std::string& folder) {
  constexpr absl::string_view kTokenizerConfig = "tokenizer_config.json", kTemplate = "chat_template.jinja";
  HuggingFaceText out;
  const auto read = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::string config, ReadFile(folder, "config.json", kMaxJsonBytes));
    RETURN_IF_ERROR(Prefixed("config.json", ReadContext(config, out)));
    RETURN_IF_ERROR(ReadStopIds(folder, config, out));
    ASSIGN_OR_RETURN(out.tokenizer, ReadFile(folder, "tokenizer.json", kMaxTokenizerBytes));
    ASSIGN_OR_RETURN(out.tokenizer_config, ReadOptional(folder, kTokenizerConfig));
    if (!out.tokenizer_config.empty()) {
      absl::StatusOr<std::optional<std::string>> source = ParseChatTemplate(out.tokenizer_config);
      RETURN_IF_ERROR(Prefixed(kTokenizerConfig, source.status()));
      out.chat_template = *std::move(source);
    }
    ASSIGN_OR_RETURN(std::string source, ReadOptional(folder, kTemplate));
    if (!source.empty()) out.chat_template = std::move(source);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(Prefixed(absl::StrCat("model folder '", folder, "'"), read()));
  return out;
}

}  // namespace spotinference
