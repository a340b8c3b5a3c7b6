// Bodies and stream events of /v1/chat/completions, /v1/completions and /v1/models. Pure text
// building; every form is checked against the types of the official Python package
// (response_test.py).
#ifndef GATEWAY_OPENAI_RESPONSE_H_
#define GATEWAY_OPENAI_RESPONSE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace spotinference::openai {

enum class Endpoint { kChat, kCompletion };

// Said in every chunk of one answer.
struct ResponseHead {
  std::string id;       // "chatcmpl-…", "cmpl-…"
  int64_t created = 0;  // Unix seconds
  std::string model;
  std::string system_fingerprint;  // the engine's numerics_id; "": null
};

enum class FinishReason { kStop, kLength };

// Tokens are bytes, perhaps a part of a character; such a token is shown as "\xe2\x82" with its
// true `bytes` beside it.
struct TopLogprob {
  std::string token;
  float logprob = 0;
};

struct TokenLogprob {
  std::string token;
  float logprob = 0;
  std::vector<TopLogprob> top;  // likeliest first
};

struct Choice {
  int index = 0;
  std::string text;
  FinishReason finish_reason = FinishReason::kStop;
  bool has_logprobs = false;
  std::vector<TokenLogprob> logprobs;
};

struct Usage {         // tokens
  int64_t prompt = 0;  // cached ones included
  int64_t completion = 0;
  int64_t cached = 0;
};

// The whole answer of a request that does not stream.
std::string ResponseBody(Endpoint endpoint, const ResponseHead& head,
                         absl::Span<const Choice> choices, const Usage& usage);

// The events of one stream, in this order: AppendRole for each choice (chat only), AppendDelta as
// text comes, AppendFinish once for each choice, AppendUsage where include_usage asks for it,
// AppendDone. What is the same in every chunk is made once, so that a token costs one escape and a
// few copies. Each call appends whole events to `out`. Not thread-safe.
class ChunkWriter {
 public:
  ChunkWriter(Endpoint endpoint, const ResponseHead& head, bool include_usage);

  void AppendRole(int choice, std::string* out) const;

  // `logprobs` of the tokens that this text came from; none: null.
  void AppendDelta(int choice, absl::string_view text, absl::Span<const TokenLogprob> logprobs,
                   std::string* out);

  void AppendFinish(int choice, FinishReason reason, std::string* out) const;
  void AppendUsage(const Usage& usage, std::string* out) const;

 private:
  const Endpoint endpoint_;
  std::string head_;                   // up to the first choice's index
  std::string usage_head_;             // up to the usage
  std::string tail_;                   // after the last choice
  std::vector<int64_t> text_offsets_;  // [choice], in characters; completions only
};

void AppendDone(std::string* out);

// ": text" and ONE newline: a blank line after it would dispatch an empty event in some SDKs.
// `text` has no line end.
void AppendComment(absl::string_view text, std::string* out);

struct ModelEntry {
  std::string id;
  int64_t created = 0;  // Unix seconds
  std::string owned_by;
};

std::string ModelBody(const ModelEntry& model);
std::string ModelListBody(absl::Span<const ModelEntry> models);

}  // namespace spotinference::openai

#endif  // GATEWAY_OPENAI_RESPONSE_H_
