#include "gateway/openai/response.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/openai/json_text.h"

namespace spotinference::openai {
namespace {

absl::string_view Name(FinishReason reason) {
  return reason == FinishReason::kStop ? "\"stop\"" : "\"length\"";
}

// The head's members, from the opening brace to the comma before "choices".
void AppendHead(const ResponseHead& head, absl::string_view object, std::string* out) {
  out->append("{\"id\":");
  AppendJsonString(head.id, out);
  absl::StrAppend(out, ",\"object\":\"", object, "\",\"created\":", head.created, ",\"model\":");
  AppendJsonString(head.model, out);
  out->append(",\"system_fingerprint\":");
  AppendJsonStringOrNull(head.system_fingerprint, out);
}

void AppendUsageObject(const Usage& usage, std::string* out) {
  absl::StrAppend(out, "{\"prompt_tokens\":", usage.prompt,
                  ",\"completion_tokens\":", usage.completion,
                  ",\"total_tokens\":", usage.prompt + usage.completion,
                  ",\"prompt_tokens_details\":{\"cached_tokens\":", usage.cached, "}}");
}

void AppendToken(absl::string_view token, absl::string_view partial_prefix, std::string* out) {
  if (IsUtf8(token)) return AppendJsonString(token, out);
  std::string shown(partial_prefix);
  for (const char c : token)
    absl::StrAppend(&shown, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
  AppendJsonString(shown, out);
}

// The members that a token and one of its alternatives have in common.
void AppendTokenMembers(absl::string_view token, float logprob, std::string* out) {
  out->append("\"token\":");
  AppendToken(token, "", out);
  out->append(",\"logprob\":");
  AppendJsonFloat(logprob, out);
  out->append(",\"bytes\":[");
  for (size_t i = 0; i < token.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendJsonInteger(static_cast<unsigned char>(token[i]), out);
  }
  out->push_back(']');
}

void AppendChatLogprobs(absl::Span<const TokenLogprob> logprobs, std::string* out) {
  out->append("{\"content\":[");
  for (size_t i = 0; i < logprobs.size(); ++i) {
    out->append(i > 0 ? ",{" : "{");
    AppendTokenMembers(logprobs[i].token, logprobs[i].logprob, out);
    out->append(",\"top_logprobs\":[");
    for (size_t k = 0; k < logprobs[i].top.size(); ++k) {
      out->append(k > 0 ? ",{" : "{");
      AppendTokenMembers(logprobs[i].top[k].token, logprobs[i].top[k].logprob, out);
      out->push_back('}');
    }
    out->append("]}");
  }
  out->append("],\"refusal\":null}");
}

// One member of the completions' form, an array with a value for each token.
template <typename Append>
void AppendColumn(absl::string_view name, size_t size, const Append& append, std::string* out) {
  absl::StrAppend(out, "\"", name, "\":[");
  for (size_t i = 0; i < size; ++i) {
    if (i > 0) out->push_back(',');
    append(i);
  }
  out->push_back(']');
}

// `offset`: characters of the answer before the first of these tokens; moved past the last.
void AppendCompletionLogprobs(absl::Span<const TokenLogprob> logprobs, int64_t* offset,
                              std::string* out) {
  constexpr absl::string_view kPartial = "bytes:";
  out->push_back('{');
  AppendColumn(
      "tokens", logprobs.size(), [&](size_t i) { AppendToken(logprobs[i].token, kPartial, out); },
      out);
  out->push_back(',');
  AppendColumn(
      "token_logprobs", logprobs.size(),
      [&](size_t i) { AppendJsonFloat(logprobs[i].logprob, out); }, out);
  out->push_back(',');
  const auto top = [&](size_t i) {
    out->push_back('{');
    for (size_t k = 0; k < logprobs[i].top.size(); ++k) {
      if (k > 0) out->push_back(',');
      AppendToken(logprobs[i].top[k].token, kPartial, out);
      out->push_back(':');
      AppendJsonFloat(logprobs[i].top[k].logprob, out);
    }
    out->push_back('}');
  };
  AppendColumn("top_logprobs", logprobs.size(), top, out);
  out->push_back(',');
  const auto text_offset = [&](size_t i) {
    AppendJsonInteger(*offset, out);
    *offset += CodePoints(logprobs[i].token);
  };
  AppendColumn("text_offset", logprobs.size(), text_offset, out);
  out->push_back('}');
}

void AppendChoice(Endpoint endpoint, const Choice& choice, std::string* out) {
  absl::StrAppend(out, "{\"index\":", choice.index);
  if (endpoint == Endpoint::kChat) {
    out->append(",\"message\":{\"role\":\"assistant\",\"content\":");
    AppendJsonString(choice.text, out);
    out->append(",\"refusal\":null}");
  } else {
    out->append(",\"text\":");
    AppendJsonString(choice.text, out);
  }
  out->append(",\"logprobs\":");
  int64_t offset = 0;
  if (!choice.has_logprobs) {
    out->append("null");
  } else if (endpoint == Endpoint::kChat) {
    AppendChatLogprobs(choice.logprobs, out);
  } else {
    AppendCompletionLogprobs(choice.logprobs, &offset, out);
  }
  absl::StrAppend(out, ",\"finish_reason\":", Name(choice.finish_reason), "}");
}

}  // namespace

std::string ResponseBody(Endpoint endpoint, const ResponseHead& head,
                         absl::Span<const Choice> choices, const Usage& usage) {
  std::string body;
  AppendHead(head, endpoint == Endpoint::kChat ? "chat.completion" : "text_completion", &body);
  body.append(",\"choices\":[");
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) body.push_back(',');
    AppendChoice(endpoint, choices[i], &body);
  }
  body.append("],\"usage\":");
  AppendUsageObject(usage, &body);
  body.push_back('}');
  return body;
}

ChunkWriter::ChunkWriter(Endpoint endpoint, const ResponseHead& head, bool include_usage)
    : endpoint_(endpoint) {
  head_ = "data: ";
  AppendHead(head, endpoint == Endpoint::kChat ? "chat.completion.chunk" : "text_completion",
             &head_);
  head_.append(",\"choices\":[");
  usage_head_ = absl::StrCat(head_, "],\"usage\":");
  head_.append("{\"index\":");
  tail_ = include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n";
}

void ChunkWriter::AppendRole(int choice, std::string* out) const {
  out->append(head_);
  AppendJsonInteger(choice, out);
  out->append(
      ",\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,"
      "\"finish_reason\":null");
  out->append(tail_);
}

void ChunkWriter::AppendDelta(int choice, absl::string_view text,
                              absl::Span<const TokenLogprob> logprobs, std::string* out) {
  const bool chat = endpoint_ == Endpoint::kChat;
  out->append(head_);
  AppendJsonInteger(choice, out);
  out->append(chat ? ",\"delta\":{\"content\":\"" : ",\"text\":\"");
  AppendJsonEscaped(text, out);
  out->append(chat ? "\"}" : "\"");
  out->append(",\"logprobs\":");
  if (logprobs.empty()) {
    out->append("null");
  } else if (chat) {
    AppendChatLogprobs(logprobs, out);
  } else {
    if (text_offsets_.size() <= choice) text_offsets_.resize(choice + 1);
    AppendCompletionLogprobs(logprobs, &text_offsets_[choice], out);
  }
  out->append(",\"finish_reason\":null");
  out->append(tail_);
}

void ChunkWriter::AppendFinish(int choice, FinishReason reason, std::string* out) const {
  out->append(head_);
  AppendJsonInteger(choice, out);
  absl::StrAppend(out, endpoint_ == Endpoint::kChat ? ",\"delta\":{}" : ",\"text\":\"\"",
                  ",\"logprobs\":null,\"finish_reason\":", Name(reason), tail_);
}

void ChunkWriter::AppendUsage(const Usage& usage, std::string* out) const {
  out->append(usage_head_);
  AppendUsageObject(usage, out);
  out->append("}\n\n");
}

void AppendDone(std::string* out) { out->append("data: [DONE]\n\n"); }

void AppendComment(absl::string_view text, std::string* out) {
  absl::StrAppend(out, ": ", text, "\n");
}

std::string ModelBody(const ModelEntry& model) {
  std::string body = "{\"id\":";
  AppendJsonString(model.id, &body);
  absl::StrAppend(&body, ",\"object\":\"model\",\"created\":", model.created, ",\"owned_by\":");
  AppendJsonString(model.owned_by, &body);
  body.push_back('}');
  return body;
}

std::string ModelListBody(absl::Span<const ModelEntry> models) {
  std::string body = "{\"object\":\"list\",\"data\":[";
  for (size_t i = 0; i < models.size(); ++i) {
    if (i > 0) body.push_back(',');
    body.append(ModelBody(models[i]));
  }
  body.append("]}");
  return body;
}

}  // namespace spotinference::openai
