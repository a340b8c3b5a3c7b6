#include "gateway/openai/request.h"

#include <algorithm>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "boost/json.hpp"
#include "engine/base/status.h"
#include "gateway/openai/api_error.h"
#include "gateway/openai/json_fields.h"
#include "gateway/openai/json_text.h"
#include "gateway/openai/response_format.h"

namespace spotinference::openai {
namespace {

namespace json = boost::json;

// All that either body can say; the fields that no caller needs to see are here alone.
struct Draft : GenerationRequest {
  std::vector<Message> messages;
  std::vector<Prompt> prompts;
  ResponseFormat response_format;
  int64_t max_tokens_field = 0;
  int64_t max_completion_tokens = 0;
  int64_t best_of = 0;
  bool has_stream_options = false;
  std::string label;  // for OpenAI's abuse control and cache routing; nothing depends on it here
};

// How a field is read.
struct Boolean {
  bool Draft::*to;
};
struct Integer {
  int64_t Draft::*to;
  int64_t min, max;
};
struct Number {
  double Draft::*to;
  double min, max;
};
struct String {
  std::string Draft::*to;
};
struct Custom {
  absl::Status (*read)(const json::value& value, const Path& path, Draft& draft);
};
struct Refused {
  absl::string_view neutral;  // a JSON array: the values that ask for nothing
};
struct Field {
  absl::string_view name;
  std::variant<Boolean, Integer, Number, String, Custom, Refused> rule;
};

constexpr int64_t kMaxTokens = std::numeric_limits<int32_t>::max();
constexpr double kTopOfOneToken = 1e-6;

// Reads `object` by the rows of one table or of two.
absl::Status ReadFields(const json::object& object, absl::Span<const Field> fields,
                        const Path& path, Draft& draft, absl::Span<const Field> more = {});

absl::string_view View(json::string_view text) { return {text.data(), text.size()}; }

const json::value* Present(const json::object& object, absl::string_view name) {
  const json::value* const value = object.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

// --- the fields that need more than a type and a range

absl::Status ReadStop(const json::value& value, const Path& path, Draft& draft) {
  if (value.is_string()) {
    RETURN_IF_ERROR(ReadString(value, path, &draft.stop.emplace_back()));
  } else if (value.is_array()) {
    ASSIGN_OR_RETURN(const json::array* strings, ReadArray(value, path, 0, kMaxStopStrings));
    for (size_t i = 0; i < strings->size(); ++i) {
      RETURN_IF_ERROR(ReadString((*strings)[i], path.Element(i), &draft.stop.emplace_back()));
    }
  } else {
    return WrongType(value, path, "a string or an array of strings");
  }
  for (const std::string& stop : draft.stop) {
    if (stop.empty())
      return RequestError("stop", "invalid_value",
                          "Invalid 'stop': a stop string may not be empty.");
  }
  for (size_t i = 0; i < draft.stop.size(); ++i) {
    if (draft.stop[i].size() <= kMaxStopBytes) continue;
    const std::string at = value.is_array() ? path.Element(i).ToString() : path.ToString();
    return RequestError(at, "string_above_max_length",
                        absl::StrCat("Invalid '", at, "': string too long. Expected at most ",
                                     kMaxStopBytes, " bytes, but got ", draft.stop[i].size(), "."));
  }
  return absl::OkStatus();
}

absl::Status ReadLogitBias(const json::value& value, const Path& path, Draft& draft) {
  ASSIGN_OR_RETURN(const json::object* biases, ReadObject(value, path, kMaxLogitBias));
  for (const json::key_value_pair& member : *biases) {
    const absl::string_view key = View(member.key());
    const Path at = path.Member(key);
    uint32_t id;
    if (!absl::SimpleAtoi(key, &id) || absl::StrCat(id) != key) {
      return RequestError(
          at.ToString(), "invalid_value",
          absl::StrCat("Invalid key in '", path.ToString(), "': '", key.substr(0, 64),
                       "'. Expected a token id such as '1024'."));
    }
    double bias;
    RETURN_IF_ERROR(ReadNumber(member.value(), at, -100, 100, &bias));
    draft.logit_bias.emplace_back(id, static_cast<float>(bias));
  }
  return absl::OkStatus();
}

absl::Status ReadStreamOptions(const json::value& value, const Path& path, Draft& draft) {
  static constexpr Field kFields[] = {
      {"include_usage", Boolean{&Draft::include_usage}},
      {"include_obfuscation", Refused{"[false]"}},
  };
  draft.has_stream_options = true;
  if (!value.is_object()) return WrongType(value, path, "an object");
  return ReadFields(value.get_object(), kFields, path, draft);
}

// Checked as OpenAI does; without a stored completion there is nothing to attach it to.
absl::Status ReadMetadata(const json::value& value, const Path& path, Draft&) {
  constexpr int64_t kMaxKey = 64, kMaxValue = 512;
  ASSIGN_OR_RETURN(const json::object* pairs, ReadObject(value, path, 16));
  for (const json::key_value_pair& member : *pairs) {
    std::string text;
    const Path at = path.Member(View(member.key()));
    RETURN_IF_ERROR(ReadString(member.value(), at, &text));
    const bool long_key = CodePoints(View(member.key())) > kMaxKey;
    if (!long_key && CodePoints(text) <= kMaxValue) continue;
    return RequestError(path.ToString(), "string_above_max_length",
                        absl::StrCat("Invalid '", path.ToString(), "': ",
                                     long_key ? "key" : "value", " too long. Expected at most ",
                                     long_key ? kMaxKey : kMaxValue, " characters."));
  }
  return absl::OkStatus();
}

absl::Status ReadCompletionLogprobs(const json::value& value, const Path& path, Draft& draft) {
  draft.logprobs = true;
  return ReadInteger(value, path, 0, 5, &draft.top_logprobs);
}

absl::Status ReadTokenIds(const json::array& array, const Path& path, Prompt& prompt) {
  std::vector<uint32_t>& ids = prompt.emplace<std::vector<uint32_t>>();
  ids.reserve(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    int64_t id;
    RETURN_IF_ERROR(
        ReadInteger(array[i], path.Element(i), 0, std::numeric_limits<uint32_t>::max(), &id));
    ids.push_back(static_cast<uint32_t>(id));
  }
  return absl::OkStatus();
}

// A string, an array of strings, one prompt as an array of ids, or an array of such arrays.
absl::Status ReadPrompt(const json::value& value, const Path& path, Draft& draft) {
  constexpr absl::string_view kExpected =
      "a string, or an array of strings, of token ids or of arrays of token ids";
  constexpr size_t kAnyLength = std::numeric_limits<size_t>::max();
  if (value.is_string())
    return ReadString(value, path, &draft.prompts.emplace_back().emplace<std::string>());
  if (!value.is_array()) return WrongType(value, path, kExpected);
  ASSIGN_OR_RETURN(const json::array* array, ReadArray(value, path, 1, kAnyLength));
  if (array->front().is_number()) return ReadTokenIds(*array, path, draft.prompts.emplace_back());
  ASSIGN_OR_RETURN(array, ReadArray(value, path, 1, kMaxSequences));
  for (size_t i = 0; i < array->size(); ++i) {
    const Path at = path.Element(i);
    const json::value& element = (*array)[i];
    Prompt& prompt = draft.prompts.emplace_back();
    if (array->front().is_string()) {
      RETURN_IF_ERROR(ReadString(element, at, &prompt.emplace<std::string>()));
    } else if (array->front().is_array()) {
      ASSIGN_OR_RETURN(const json::array* ids, ReadArray(element, at, 1, kAnyLength));
      RETURN_IF_ERROR(ReadTokenIds(*ids, at, prompt));
    } else {
      return WrongType(element, at, kExpected);
    }
  }
  return absl::OkStatus();
}

// --- messages

absl::Status InvalidValue(const Path& path, absl::string_view value, absl::string_view supported) {
  const std::string param = path.ToString();
  return RequestError(param, "invalid_value",
                      absl::StrCat("Invalid value for '", param, "': '", value.substr(0, 64),
                                   "'. Supported values are: ", supported, "."));
}

// A content part is of type text or it is refused by its type, before its other members are looked
// at.
absl::Status ReadContentPart(const json::value& value, const Path& path, std::string& content) {
  if (!value.is_object()) return WrongType(value, path, "an object");
  const json::object& part = value.get_object();
  const json::value* const type = Present(part, "type");
  if (type == nullptr) return Missing(path.Member("type"));
  std::string name, text;
  RETURN_IF_ERROR(ReadString(*type, path.Member("type"), &name));
  if (name != "text") return InvalidValue(path.Member("type"), name, "'text'");
  for (const json::key_value_pair& member : part) {
    const absl::string_view key = View(member.key());
    if (key == "type" || key == "text" || member.value().is_null()) continue;
    const Path at = path.Member(key);
    return key == "prompt_cache_breakpoint" ? Unsupported(member.value(), at) : Unrecognized(at);
  }
  const json::value* const piece = Present(part, "text");
  if (piece == nullptr) return Missing(path.Member("text"));
  RETURN_IF_ERROR(ReadString(*piece, path.Member("text"), &text));
  content += text;
  return absl::OkStatus();
}

absl::Status ReadContent(const json::value* value, const Path& path, Message& message) {
  if (value == nullptr || value->is_null()) {
    if (message.role == "assistant") return absl::OkStatus();
    return value == nullptr ? Missing(path)
                            : WrongType(*value, path, "a string or an array of objects");
  }
  if (value->is_string()) return ReadString(*value, path, &message.content);
  if (!value->is_array()) return WrongType(*value, path, "a string or an array of objects");
  const json::array& parts = value->get_array();
  if (parts.empty()) return ReadArray(*value, path, 1, 1).status();
  for (size_t i = 0; i < parts.size(); ++i) {
    RETURN_IF_ERROR(ReadContentPart(parts[i], path.Element(i), message.content));
  }
  return absl::OkStatus();
}

absl::Status ReadRole(const json::object& object, const Path& path, Message& message) {
  const json::value* const role = Present(object, "role");
  if (role == nullptr) return Missing(path);
  RETURN_IF_ERROR(ReadString(*role, path, &message.role));
  if (message.role == "developer") message.role = "system";
  if (message.role == "system" || message.role == "user" || message.role == "assistant")
    return absl::OkStatus();
  return InvalidValue(path, message.role, "'system', 'developer', 'user' and 'assistant'");
}

absl::Status ReadMessage(const json::value& value, const Path& path, Draft& draft) {
  // Role and content are read by hand below: what content may be depends on the role.
  static constexpr auto kByHand =
      Custom{[](const json::value&, const Path&, Draft&) { return absl::OkStatus(); }};
  static constexpr Field kFields[] = {
      {"role", kByHand},
      {"content", kByHand},
      {"name", Refused{R"([""])"}},
      {"refusal", Refused{R"([""])"}},
      {"tool_calls", Refused{"[[]]"}},
      {"annotations", Refused{"[[]]"}},
      {"tool_call_id", Refused{"[]"}},
      {"function_call", Refused{"[]"}},
      {"audio", Refused{"[]"}},
  };
  if (!value.is_object()) return WrongType(value, path, "an object");
  const json::object& object = value.get_object();
  Message& message = draft.messages.emplace_back();
  RETURN_IF_ERROR(ReadRole(object, path.Member("role"), message));
  RETURN_IF_ERROR(ReadFields(object, kFields, path, draft));
  return ReadContent(object.if_contains("content"), path.Member("content"), message);
}

absl::Status ReadMessages(const json::value& value, const Path& path, Draft& draft) {
  ASSIGN_OR_RETURN(const json::array* messages,
                   ReadArray(value, path, 1, std::numeric_limits<size_t>::max()));
  for (size_t i = 0; i < messages->size(); ++i) {
    RETURN_IF_ERROR(ReadMessage((*messages)[i], path.Element(i), draft));
  }
  return absl::OkStatus();
}

// --- the tables

constexpr Field kSharedFields[] = {
    {"model", String{&Draft::model}},
    {"stream", Boolean{&Draft::stream}},
    {"stream_options", Custom{ReadStreamOptions}},
    {"max_tokens", Integer{&Draft::max_tokens_field, 1, kMaxTokens}},
    {"n", Integer{&Draft::n, 1, kMaxChoices}},
    {"stop", Custom{ReadStop}},
    {"temperature", Number{&Draft::temperature, 0, 2}},
    {"top_p", Number{&Draft::top_p, 0, 1}},
    {"top_k", Integer{&Draft::top_k, -1, kMaxTokens}},  // vLLM's -1: off
    {"min_p", Number{&Draft::min_p, 0, 1}},
    {"presence_penalty", Number{&Draft::presence_penalty, -2, 2}},
    {"frequency_penalty", Number{&Draft::frequency_penalty, -2, 2}},
    {"repetition_penalty", Number{&Draft::repetition_penalty, 0.01, 100}},
    {"logit_bias", Custom{ReadLogitBias}},
    {"seed", Custom{[](const json::value& value, const Path& path, Draft& draft) {
       return ReadInteger(value, path, std::numeric_limits<int64_t>::min(),
                          std::numeric_limits<int64_t>::max(), &draft.seed.emplace());
     }}},
    {"user", String{&Draft::label}},
    {"metadata", Custom{ReadMetadata}},
};

constexpr Field kChatFields[] = {
    {"messages", Custom{ReadMessages}},
    {"max_completion_tokens", Integer{&Draft::max_completion_tokens, 1, kMaxTokens}},
    {"logprobs", Boolean{&Draft::logprobs}},
    {"top_logprobs", Integer{&Draft::top_logprobs, 0, 20}},
    {"safety_identifier", String{&Draft::label}},
    {"prompt_cache_key", String{&Draft::label}},
    {"audio", Refused{"[]"}},
    {"function_call", Refused{R"(["none","auto"])"}},
    {"functions", Refused{"[[]]"}},
    {"modalities", Refused{R"([["text"]])"}},
    {"moderation", Refused{"[]"}},
    {"parallel_tool_calls", Refused{"[true,false]"}},
    {"prediction", Refused{"[]"}},
    {"prompt_cache_options", Refused{R"([{},{"mode":"implicit"}])"}},
    {"prompt_cache_retention", Refused{R"(["in_memory"])"}},
    {"reasoning_effort", Refused{R"(["none"])"}},
    {"response_format", Custom{[](const json::value& value, const Path& path, Draft& draft) {
       const auto format = ReadResponseFormat(value, path);
       if (format.ok()) draft.response_format = *format;
       return format.status();
     }}},
    {"service_tier", Refused{R"(["auto","default"])"}},
    {"store", Refused{"[false]"}},
    {"tool_choice", Refused{R"(["none","auto"])"}},
    {"tools", Refused{"[[]]"}},
    {"verbosity", Refused{R"(["medium"])"}},
    {"web_search_options", Refused{"[]"}},
};

constexpr Field kCompletionFields[] = {
    {"prompt", Custom{ReadPrompt}},
    {"logprobs", Custom{ReadCompletionLogprobs}},
    {"best_of", Integer{&Draft::best_of, 1, 20}},
    {"echo", Refused{"[false]"}},
    {"suffix", Refused{R"([""])"}},
};

const Field* Find(absl::Span<const Field> fields, absl::string_view name) {
  const auto field =
      std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == name; });
  return field == fields.end() ? nullptr : &*field;
}

struct RuleReader {
  const json::value& value;
  const Path& path;
  Draft& draft;

  absl::Status operator()(const Boolean& rule) const {
    return ReadBoolean(value, path, &(draft.*rule.to));
  }
  absl::Status operator()(const Integer& rule) const {
    return ReadInteger(value, path, rule.min, rule.max, &(draft.*rule.to));
  }
  absl::Status operator()(const Number& rule) const {
    return ReadNumber(value, path, rule.min, rule.max, &(draft.*rule.to));
  }
  absl::Status operator()(const String& rule) const {
    return ReadString(value, path, &(draft.*rule.to));
  }
  absl::Status operator()(const Custom& rule) const { return rule.read(value, path, draft); }
  absl::Status operator()(const Refused& rule) const {
    return IsOneOf(value, rule.neutral) ? absl::OkStatus() : Unsupported(value, path);
  }
};

absl::Status ReadFields(const json::object& object, absl::Span<const Field> fields,
                        const Path& path, Draft& draft, absl::Span<const Field> more) {
  for (const json::key_value_pair& member : object) {
    if (member.value().is_null()) continue;
    const absl::string_view name = View(member.key());
    const Path at = path.Member(name);
    const Field* field = Find(fields, name);
    if (field == nullptr) field = Find(more, name);
    if (field == nullptr) return Unrecognized(at);
    RETURN_IF_ERROR(std::visit(RuleReader{member.value(), at, draft}, field->rule));
  }
  return absl::OkStatus();
}

// What one field says about another.
absl::Status Reconcile(Draft& draft) {
  if (draft.model.empty())
    return RequestError("model", "invalid_value", "Invalid 'model': the name may not be empty.");
  if (draft.has_stream_options && !draft.stream) {
    return RequestError("stream_options", "invalid_value",
                        "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
  }
  if (draft.max_tokens_field > 0 && draft.max_completion_tokens > 0) {
    return RequestError(
        "max_tokens", "invalid_parameter_combination",
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.");
  }
  if (const int64_t max = std::max(draft.max_tokens_field, draft.max_completion_tokens); max > 0) {
    draft.max_tokens = max;
    if (draft.max_completion_tokens > 0) draft.max_tokens_param = "max_completion_tokens";
  }
  if (draft.top_logprobs > 0 && !draft.logprobs) {
    return RequestError(
        "top_logprobs", "invalid_value",
        "Invalid 'top_logprobs': 'logprobs' must be true where 'top_logprobs' is used.");
  }
  if (draft.best_of > 0 && draft.best_of != draft.n) {
    return RequestError(
        "best_of", "unsupported_parameter",
        absl::StrCat("Unsupported parameter: 'best_of' may only be equal to 'n', which is ",
                     draft.n, ", but got ", draft.best_of, "."));
  }
  if (draft.prompts.size() * draft.n > kMaxSequences) {
    return RequestError(
        "prompt", "array_above_max_length",
        absl::StrCat("Invalid 'prompt': ", draft.prompts.size(), " prompts times 'n' of ", draft.n,
                     " are more than ", kMaxSequences, " choices."));
  }
  if (draft.top_k < 0) draft.top_k = 0;
  if (draft.top_p < kTopOfOneToken) draft.top_p = kTopOfOneToken;
  return absl::OkStatus();
}

absl::StatusOr<Draft> ParseDraft(absl::string_view body, absl::Span<const Field> fields,
                                 absl::string_view required) {
  ASSIGN_OR_RETURN(const json::value value, ParseBody(body));
  const json::object& object = value.get_object();
  Draft draft;
  const Path path;
  RETURN_IF_ERROR(ReadFields(object, kSharedFields, path, draft, fields));
  for (const absl::string_view name : {absl::string_view("model"), required}) {
    if (Present(object, name) == nullptr) return Missing(path.Member(name));
  }
  RETURN_IF_ERROR(Reconcile(draft));
  return draft;
}

}  // namespace

absl::StatusOr<ChatRequest> ParseChatRequest(absl::string_view body) {
  ASSIGN_OR_RETURN(Draft draft, ParseDraft(body, kChatFields, "messages"));
  GenerationRequest& shared = draft;
  return ChatRequest{std::move(shared), std::move(draft.messages), std::move(draft.response_format)};
}

absl::StatusOr<CompletionRequest> ParseCompletionRequest(absl::string_view body) {
  ASSIGN_OR_RETURN(Draft draft, ParseDraft(body, kCompletionFields, "prompt"));
  if (!draft.max_tokens) draft.max_tokens = 16;
  GenerationRequest& shared = draft;
  return CompletionRequest{std::move(shared), std::move(draft.prompts)};
}

}  // namespace spotinference::openai
