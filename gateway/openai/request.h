// The bodies of POST /v1/chat/completions and /v1/completions as structs. Pure; JSON ends here.
//
// Which fields there are is in two tables in request.cc. A field that OpenAI knows and we do not
// support is a 400 that names it, unless its value asks for nothing (tools: []); a field that
// nobody knows is a 400 too; null counts as absent. Three fields come from outside OpenAI, under
// the names that vLLM gave them: top_k, min_p, repetition_penalty.
#ifndef GATEWAY_OPENAI_REQUEST_H_
#define GATEWAY_OPENAI_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/openai/response_format.h"

namespace spotinference::openai {

// Ours; OpenAI's is 128. One prompt's choices all live on one engine.
inline constexpr int kMaxChoices = 16;
// Prompts times n in one request.
inline constexpr int kMaxSequences = 128;
inline constexpr int kMaxStopStrings = 4;
// Of each. So many tokens may be held back at once, with their logprobs.
inline constexpr size_t kMaxStopBytes = 1024;
inline constexpr int kMaxLogitBias = 1024;

// What both endpoints share, each value checked to lie in the range given here.
struct GenerationRequest {
  std::string model;                  // not empty
  std::optional<int64_t> max_tokens;  // >= 1; none: as many as the context holds
  int64_t n = 1;                      // [1, kMaxChoices]
  absl::string_view max_tokens_param = "max_tokens";  // the field that it came in
  std::vector<std::string> stop;  // <= kMaxStopStrings of 1 to kMaxStopBytes bytes
  bool stream = false;
  bool include_usage = false;  // only with stream

  double temperature = 1;  // [0, 2]; 0: the likeliest token
  double top_p = 1;        // (0, 1]; a 0 in the body means the likeliest token and arrives as 1e-6
  int64_t top_k = 0;       // 0: off
  double min_p = 0;        // [0, 1]
  double presence_penalty = 0;    // [-2, 2]
  double frequency_penalty = 0;   // [-2, 2]
  double repetition_penalty = 1;  // [0.01, 100]; 1: off
  // (id, [-100, 100]), no id twice; not checked against a vocabulary.
  std::vector<std::pair<uint32_t, float>> logit_bias;
  std::optional<int64_t> seed;

  bool logprobs = false;
  int64_t top_logprobs = 0;  // chat [0, 20], completions [0, 5]; only with logprobs
};

struct Message {
  std::string role;     // "system", "user" or "assistant"; OpenAI's "developer" arrives as "system"
  std::string content;  // UTF-8; text parts are concatenated; an assistant's null is ""
};

struct ChatRequest : GenerationRequest {
  std::vector<Message> messages;  // at least one
  ResponseFormat response_format;
};

// Text in UTF-8, or token ids (at least one).
using Prompt = std::variant<std::string, std::vector<uint32_t>>;

// Choice `i` of the answer belongs to prompts[i / n]. max_tokens is always set: OpenAI's default
// here is 16.
struct CompletionRequest : GenerationRequest {
  std::vector<Prompt> prompts;  // at least one; prompts.size() * n <= kMaxSequences
};

// Errors are those of api_error.h.
absl::StatusOr<ChatRequest> ParseChatRequest(absl::string_view body);
absl::StatusOr<CompletionRequest> ParseCompletionRequest(absl::string_view body);

}  // namespace spotinference::openai

#endif  // GATEWAY_OPENAI_REQUEST_H_
