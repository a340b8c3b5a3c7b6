// Any bytes as either body: a struct that keeps the promises of request.h, or a 4xx that says why.
#include <cstdint>
#include <cstdlib>

#include "gateway/openai/api_error.h"
#include "gateway/openai/request.h"

using namespace spotinference::openai;

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckError(const absl::Status& status) {
  const ApiError error = ToApiError(status);
  Require(error.http_status == 400 || error.http_status == 413);
  Require(!error.message.empty());
}

void CheckShared(const GenerationRequest& request) {
  Require(!request.model.empty());
  Require(!request.max_tokens || *request.max_tokens >= 1);
  Require(request.n >= 1 && request.n <= kMaxChoices);
  Require(request.stop.size() <= kMaxStopStrings);
  for (const std::string& stop : request.stop) Require(!stop.empty() && stop.size() <= kMaxStopBytes);
  Require(request.stream || !request.include_usage);
  Require(request.temperature >= 0 && request.temperature <= 2);
  Require(request.top_p > 0 && request.top_p <= 1);
  Require(request.top_k >= 0 && request.min_p >= 0 && request.min_p <= 1);
  Require(request.repetition_penalty > 0);
  Require(request.logprobs || request.top_logprobs == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto chat = ParseChatRequest(body); chat.ok()) {
    CheckShared(*chat);
    Require(!chat->messages.empty());
  } else {
    CheckError(chat.status());
  }
  if (const auto completion = ParseCompletionRequest(body); completion.ok()) {
    CheckShared(*completion);
    Require(!completion->prompts.empty() &&
            completion->prompts.size() * completion->n <= kMaxSequences);
    Require(completion->max_tokens.has_value());
  } else {
    CheckError(completion.status());
  }
  return 0;
}
