// Prints one line a response form, "<form> <the bytes in base64>", for response_test.py to check
// against the official types. The text is chosen to hurt: every kind of character that JSON, SSE or
// UTF-8 makes trouble about.
#include <cmath>
#include <cstdio>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/openai/api_error.h"
#include "gateway/openai/response.h"

namespace spotinference::openai {
namespace {

constexpr char kText[] = "\"q\\\" \n\r\t\x01\x7f é € 😀 \xc2\x85\xe2\x80\xa8\xe2\x80\xa9 </script>";

void Print(absl::string_view form, absl::string_view bytes) {
  std::printf("%s %s\n", std::string(form).c_str(), absl::Base64Escape(bytes).c_str());
}

std::vector<TokenLogprob> Logprobs() {
  // € in two tokens, neither of which is UTF-8.
  return {{"A\n", -0.25f, {{"A\n", -0.25f}, {"\xff", -INFINITY}}},
          {"\xe2\x82", -1.5f, {{"\xe2\x82", -1.5f}}},
          {"\xac", -0.0f, {}}};
}

void PrintAll(Endpoint endpoint, absl::string_view name) {
  const ResponseHead head = {"id-1", 1700000000, "a \"model\"", "cpu/1"};
  const Usage usage = {12, 34, 5};
  Choice plain = {.index = 0, .text = kText};
  Choice cut = {.index = 1,
                .text = "A\n€",
                .finish_reason = FinishReason::kLength,
                .has_logprobs = true,
                .logprobs = Logprobs()};
  Print(absl::StrCat(name, ".whole"), ResponseBody(endpoint, head, {plain, cut}, usage));
  for (const bool include_usage : {false, true}) {
    ChunkWriter writer(endpoint, head, include_usage);
    std::string stream;
    AppendComment("waking", &stream);
    if (endpoint == Endpoint::kChat) {
      writer.AppendRole(0, &stream);
      writer.AppendRole(1, &stream);
    }
    writer.AppendDelta(0, kText, {}, &stream);
    AppendComment("going on", &stream);
    const std::vector<TokenLogprob> logprobs = Logprobs();
    writer.AppendDelta(1, "A\n", absl::MakeSpan(logprobs).subspan(0, 1), &stream);
    writer.AppendDelta(1, "€", absl::MakeSpan(logprobs).subspan(1), &stream);
    writer.AppendFinish(0, FinishReason::kStop, &stream);
    writer.AppendFinish(1, FinishReason::kLength, &stream);
    if (include_usage) writer.AppendUsage(usage, &stream);
    AppendDone(&stream);
    Print(absl::StrCat(name, include_usage ? ".stream_usage" : ".stream"), stream);
  }
}

}  // namespace
}  // namespace spotinference::openai

int main() {
  using namespace spotinference::openai;
  PrintAll(Endpoint::kChat, "chat");
  PrintAll(Endpoint::kCompletion, "completion");
  const ModelEntry model = {"smollm2-135m-instruct", 1700000000, "spotinference"};
  Print("model", ModelBody(model));
  Print("models", ModelListBody({model, {"b", 1, "me"}}));
  Print("models_none", ModelListBody({}));
  const ApiError named =
      ToApiError(RequestError("messages[0].role", "invalid_value", "Bad \"role\"."));
  const ApiError bare = ToApiError(absl::InternalError("secret"));
  Print("error_named", ErrorBody(named));
  Print("error_bare", ErrorBody(bare));
  Print("error_event", ErrorEvent(named));
}
