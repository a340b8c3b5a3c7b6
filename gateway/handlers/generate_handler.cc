#include "gateway/handlers/generate_handler.h"

#include <openssl/rand.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"
#include "gateway/filters/reply.h"
#include "gateway/handlers/answer.h"
#include "gateway/openai/api_error.h"
#include "gateway/openai/request.h"

namespace spotinference {
namespace {

namespace api = engine::v1;
using openai::GenerationRequest;
using openai::Reason;
using openai::ReasonError;
using openai::RequestError;

using Ids = std::vector<uint32_t>;

uint64_t RandomSeed() {
  uint64_t seed = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof(seed));
  return seed;
}

absl::Status TooLong(const ServedModel& model, absl::string_view param, absl::string_view what) {
  return ReasonError(Reason::kContextLength,
                     absl::StrCat("This model's maximum context length is ", model.context_tokens, " tokens; ", what, "."),
                     {.param = std::string(param)});
}

// What the model's text layer says of a prompt.
absl::Status PromptError(const ServedModel& model, absl::string_view param, const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOutOfRange:  // so long that it was not even tokenized
      return TooLong(model, param, status.message());
    case absl::StatusCode::kFailedPrecondition:  // roles that do not alternate, say: the request's affair
    case absl::StatusCode::kUnimplemented:
      return RequestError(param, "invalid_value", status.message());
    default:
      return status;
  }
}

// The tokens that the answer may have.
absl::StatusOr<uint32_t> MaxTokens(const ServedModel& model, absl::string_view param, size_t prompt_tokens,
                                   const GenerationRequest& request) {
  const std::optional<int64_t>& asked = request.max_tokens;
  if (prompt_tokens >= model.context_tokens) {
    return TooLong(model, param, absl::StrCat("your prompt has ", prompt_tokens, " tokens and leaves no room for an answer"));
  }
  const uint32_t room = model.context_tokens - static_cast<uint32_t>(prompt_tokens);
  if (!asked.has_value()) return room;
  if (*asked > room) {
    return TooLong(model, request.max_tokens_param, absl::StrCat("you asked for ", *asked, " tokens of answer after ", prompt_tokens,
                                                     " of prompt; at most ", room, " are left"));
  }
  return static_cast<uint32_t>(*asked);
}

absl::StatusOr<api::Sampling> SamplingOf(const GenerationRequest& request, const ServedModel& model) {
  api::Sampling out;
  out.set_temperature(static_cast<float>(request.temperature));
  out.set_top_k(static_cast<uint32_t>(request.top_k));
  out.set_top_p(static_cast<float>(request.top_p));
  out.set_min_p(static_cast<float>(request.min_p));
  out.set_presence_penalty(static_cast<float>(request.presence_penalty));
  out.set_frequency_penalty(static_cast<float>(request.frequency_penalty));
  out.set_repetition_penalty(static_cast<float>(request.repetition_penalty));
  for (const auto& [id, bias] : request.logit_bias) {
    if (id >= model.text->tokenizer().vocabulary_size()) {
      return RequestError("logit_bias", "invalid_value",
                          absl::StrCat("Invalid key in 'logit_bias': ", id, ". Token ids of this model are below ",
                                       model.text->tokenizer().vocabulary_size(), "."));
    }
    (*out.mutable_logit_bias())[id] = bias;
  }
  out.set_seed(request.seed.has_value() ? static_cast<uint64_t>(*request.seed) : RandomSeed());
  return out;
}

absl::StatusOr<std::vector<Ids>> Prompts(const openai::ChatRequest& request, const ServedModel& model,
                                         absl::Time now) {
  std::vector<ChatMessage> messages;
  for (const openai::Message& message : request.messages) messages.push_back({message.role, message.content});
  absl::StatusOr<Ids> ids = model.text->EncodeChat(messages, absl::ToCivilSecond(now, absl::UTCTimeZone()));
  if (!ids.ok()) return PromptError(model, "messages", ids.status());
  return std::vector<Ids>{*std::move(ids)};
}

absl::StatusOr<std::vector<Ids>> Prompts(const openai::CompletionRequest& request, const ServedModel& model,
                                         absl::Time) {
  std::vector<Ids> prompts;
  for (const openai::Prompt& prompt : request.prompts) {
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      absl::StatusOr<Ids> ids = model.text->EncodePrompt(*text);
      if (!ids.ok()) return PromptError(model, "prompt", ids.status());
      prompts.push_back(*std::move(ids));
      if (prompts.back().empty()) return RequestError("prompt", "invalid_value", "Invalid 'prompt': it is empty.");
      continue;
    }
    const Ids& ids = std::get<Ids>(prompt);
    for (const uint32_t id : ids) {
      if (id >= model.text->tokenizer().vocabulary_size()) {
        return RequestError("prompt", "invalid_value",
                            absl::StrCat("Invalid token id in 'prompt': ", id, ". Token ids of this model are below ",
                                         model.text->tokenizer().vocabulary_size(), "."));
      }
    }
    prompts.push_back(ids);
  }
  return prompts;
}

void SetConstraint(const openai::ChatRequest& request, api::GenerateRequest& sequence) {
  switch (request.response_format.type) {
    case openai::ResponseFormat::Type::kText: break;
    case openai::ResponseFormat::Type::kJsonObject: sequence.mutable_constraint()->set_json_object(true); break;
    case openai::ResponseFormat::Type::kJsonSchema:
      sequence.mutable_constraint()->set_json_schema(request.response_format.schema);
      break;
  }
}
void SetConstraint(const openai::CompletionRequest&, api::GenerateRequest&) {}

absl::StatusOr<openai::ChatRequest> Parse(absl::string_view body, const openai::ChatRequest*) {
  return openai::ParseChatRequest(body);
}
absl::StatusOr<openai::CompletionRequest> Parse(absl::string_view body, const openai::CompletionRequest*) {
  return openai::ParseCompletionRequest(body);
}

template <typename Request>
class GenerateHandler : public http::Handler {
 public:
  explicit GenerateHandler(const GenerateContext& context) : context_(context) {}

  void Handle(std::shared_ptr<http::Exchange> exchange) override {
    const absl::Status status = TryHandle(exchange);
    if (!status.ok()) {
      exchange->Reply(ErrorReply(status, context_.session.clock.Now() - exchange->request().received));
    }
  }

 private:
  static constexpr bool kChat = std::is_same_v<Request, openai::ChatRequest>;

  absl::Status TryHandle(const std::shared_ptr<http::Exchange>& exchange) {
    http::Request& http_request = exchange->request();
    const size_t body_bytes = http_request.body.size();
    ASSIGN_OR_RETURN(const Request request, Parse(http_request.body, static_cast<const Request*>(nullptr)));
    http_request.body = std::string();
    const ServedModel* const model = context_.models.Find(request.model);
    if (model == nullptr) {
      return ReasonError(Reason::kModelNotFound, absl::StrCat("The model '", request.model, "' does not exist."),
                         {.param = "model"});
    }
    http_request.captures.emplace_back("model", model->name);
    ASSIGN_OR_RETURN(SessionRequest session_request, SessionOf(request, *model, http_request.principal, context_.session.clock.Now()));
    session_request.parked_bytes += body_bytes;
    session_request.key = http_request.principal;

    AnswerOptions options;
    options.endpoint = kChat ? openai::Endpoint::kChat : openai::Endpoint::kCompletion;
    options.id = absl::StrCat(kChat ? "chatcmpl-" : "cmpl-", absl::StripPrefix(http_request.id, "req_"));
    options.model = model;
    options.choices = static_cast<int>(session_request.sequences.size());
    options.stream = request.stream;
    options.include_usage = request.include_usage;
    options.logprobs = request.logprobs;
    const std::optional<std::string_view> progress = http_request.headers.Get("x-wake-progress");
    if (progress == "now") session_request.first_silence = absl::ZeroDuration();
    if (progress == "never") session_request.first_silence = absl::InfiniteDuration();
    if (!request.stream) session_request.first_silence = session_request.silence = absl::InfiniteDuration();

    const auto session =
        std::make_shared<Session>(context_.session, std::move(session_request),
                                  NewAnswer(options, exchange, context_.session.clock, context_.metrics));
    const std::weak_ptr<Session> weak = session;
    exchange->OnWritable([weak] {
      if (const auto s = weak.lock()) s->Continue();
    });
    exchange->OnShutdown([weak] {
      if (const auto s = weak.lock()) s->Fail(ReasonError(Reason::kShuttingDown, "the server is shutting down"));
    });
    session->Start();
    exchange->OnClosed([weak] {
      if (const auto s = weak.lock()) s->Cancel();
    });
    return absl::OkStatus();
  }

  static absl::StatusOr<SessionRequest> SessionOf(const Request& request, const ServedModel& model,
                                                  const std::string& principal, absl::Time now) {
    ASSIGN_OR_RETURN(const std::vector<Ids> prompts, Prompts(request, model, now));
    ASSIGN_OR_RETURN(const api::Sampling sampling, SamplingOf(request, model));
    SessionRequest out;
    out.model = model.name;
    out.tokenizer = std::shared_ptr<const Tokenizer>(model.text, &model.text->tokenizer());
    out.text = kChat ? Detokenizer::Text::kWhole : Detokenizer::Text::kGoesOn;
    out.sequences_per_prompt = static_cast<int>(request.n);
    out.stop = request.stop;
    for (const Ids& prompt : prompts) {
      ASSIGN_OR_RETURN(const uint32_t max_tokens,
                       MaxTokens(model, kChat ? "messages" : "prompt", prompt.size(), request));
      for (int64_t n = 0; n < request.n; ++n) {
        api::GenerateRequest& sequence = out.sequences.emplace_back();
        sequence.mutable_prompt_ids()->Add(prompt.begin(), prompt.end());
        *sequence.mutable_sampling() = sampling;
        sequence.mutable_sampling()->set_choice(static_cast<uint32_t>(out.sequences.size()) - 1);
        sequence.set_max_tokens(max_tokens);
        sequence.mutable_stop_ids()->Add(model.text->stop_ids().begin(), model.text->stop_ids().end());
        SetConstraint(request, sequence);
        sequence.set_logprobs(request.logprobs);
        sequence.set_top_logprobs(static_cast<uint32_t>(request.top_logprobs));
        sequence.set_cache_salt(model.share_prefixes_all ? "" : principal);
        out.parked_bytes += sequence.SpaceUsedLong();
      }
    }
    return out;
  }

  const GenerateContext context_;
};

}  // namespace

std::unique_ptr<http::Handler> ChatHandler(const GenerateContext& context) {
  return std::make_unique<GenerateHandler<openai::ChatRequest>>(context);
}

std::unique_ptr<http::Handler> CompletionHandler(const GenerateContext& context) {
  return std::make_unique<GenerateHandler<openai::CompletionRequest>>(context);
}

}  // namespace spotinference
