#include "gateway/handlers/answer.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/filters/reply.h"
#include "gateway/openai/api_error.h"

namespace spotinference {
namespace {

namespace api = engine::v1;

openai::FinishReason FinishReasonOf(api::FinishReason reason) {
  return reason == api::FINISH_REASON_LENGTH ? openai::FinishReason::kLength : openai::FinishReason::kStop;
}

// What both forms of an answer share: who it is for and what is measured.
class Answer : public AnswerSink {
 public:
  Answer(const AnswerOptions& options, std::shared_ptr<http::Exchange> exchange, const Clock& clock, Metrics& metrics)
      : options_(options), exchange_(std::move(exchange)), clock_(clock), metrics_(metrics) {}

  void OnStart(const fleet::Endpoint& endpoint) override {
    head_.id = options_.id;
    head_.created = absl::ToUnixSeconds(clock_.Now());
    head_.model = options_.model->name;
    head_.system_fingerprint = endpoint.numerics_id;
    metrics_.TimeToFirstToken(options_.model->name, Processing());
  }

  void OnResume(std::string_view reason, bool exact) override {
    metrics_.StreamResume(options_.model->name, reason, exact);
  }

  bool OnText(int index, std::string_view text, absl::Span<const AnswerToken> tokens) override {
    const absl::Duration now = clock_.Elapsed();
    if (last_text_.has_value()) metrics_.InterToken(options_.model->name, now - *last_text_);
    last_text_ = now;
    std::vector<openai::TokenLogprob> logprobs;
    if (options_.logprobs) {
      for (const AnswerToken& token : tokens) logprobs.push_back(LogprobOf(token));
    }
    return Deliver(index, text, std::move(logprobs));
  }

  void OnDone(const AnswerUsage& usage) override {
    metrics_.Tokens(options_.model->name, "prompt", usage.prompt_tokens);
    metrics_.Tokens(options_.model->name, "cached", usage.cached_tokens);
    metrics_.Tokens(options_.model->name, "generated", usage.generated_tokens);
    exchange_->Note("prompt_tokens", absl::StrCat(usage.prompt_tokens));
    exchange_->Note("generated_tokens", absl::StrCat(usage.generated_tokens));
    Complete({usage.prompt_tokens, usage.generated_tokens, usage.cached_tokens});
  }

 protected:
  virtual bool Deliver(int index, std::string_view text, std::vector<openai::TokenLogprob> logprobs) = 0;
  virtual void Complete(const openai::Usage& usage) = 0;

  absl::Duration Processing() const { return clock_.Now() - exchange_->request().received; }

  const AnswerOptions options_;
  const std::shared_ptr<http::Exchange> exchange_;
  const Clock& clock_;
  Metrics& metrics_;
  openai::ResponseHead head_;

 private:
  openai::TokenLogprob LogprobOf(const AnswerToken& token) const {
    const Tokenizer& tokenizer = options_.model->text->tokenizer();
    openai::TokenLogprob out;
    out.token = std::string(tokenizer.Piece(token.id));
    out.logprob = token.logprob;
    for (const AnswerToken::Top& top : token.top) {
      out.top.push_back({std::string(tokenizer.Piece(top.id)), top.logprob});
    }
    return out;
  }

  std::optional<absl::Duration> last_text_;
};

class StreamAnswer : public Answer {
 public:
  using Answer::Answer;

  void OnStart(const fleet::Endpoint& endpoint) override {
    Answer::OnStart(endpoint);
    writer_ = std::make_unique<openai::ChunkWriter>(options_.endpoint, head_, options_.include_usage);
    Open();
    if (options_.endpoint == openai::Endpoint::kChat) {
      for (int i = 0; i < options_.choices; ++i) writer_->AppendRole(i, &out_);
    }
    Write();
  }

  bool Deliver(int index, std::string_view text, std::vector<openai::TokenLogprob> logprobs) override {
    writer_->AppendDelta(index, absl::string_view(text.data(), text.size()), logprobs, &out_);
    return Write();
  }

  bool OnFinish(int index, api::FinishReason reason) override {
    writer_->AppendFinish(index, FinishReasonOf(reason), &out_);
    return Write();
  }

  void OnSilence(const std::optional<fleet::WakeProgress>& waking) override {
    Open();
    if (waking.has_value()) {
      openai::AppendComment(absl::StrCat("waking ", options_.model->name, " stage=", waking->stage,
                                         " eta_s=",
                                         absl::ToInt64Seconds(absl::Ceil(waking->eta, absl::Seconds(1)))),
                            &out_);
    } else {
      openai::AppendComment("working", &out_);
    }
    Write();
  }

  void Complete(const openai::Usage& usage) override {
    if (options_.include_usage) writer_->AppendUsage(usage, &out_);
    openai::AppendDone(&out_);
    Write();
    exchange_->Finish();
  }

  void OnError(const absl::Status& status) override {
    if (!open_) return exchange_->Reply(ErrorReply(status, Processing()));
    exchange_->Write(openai::ErrorEvent(openai::ToApiError(status)));
    exchange_->Abort();  // a clean end would count as success
  }

 private:
  void Open() {
    if (std::exchange(open_, true)) return;
    http::Headers headers{{"content-type", "text/event-stream; charset=utf-8"},
                          {"cache-control", "no-cache"},
                          {"x-accel-buffering", "no"}};
    AddOpenAiHeaders(Processing(), headers);
    exchange_->StartStream(200, std::move(headers));
  }

  bool Write() {
    const bool more = exchange_->Write(out_);
    out_.clear();
    return more;
  }

  std::unique_ptr<openai::ChunkWriter> writer_;
  bool open_ = false;
  std::string out_;
};

class WholeAnswer : public Answer {
 public:
  WholeAnswer(const AnswerOptions& options, std::shared_ptr<http::Exchange> exchange, const Clock& clock,
              Metrics& metrics)
      : Answer(options, std::move(exchange), clock, metrics), choices_(options.choices) {
    for (int i = 0; i < options.choices; ++i) {
      choices_[i].index = i;
      choices_[i].has_logprobs = options.logprobs;
    }
  }

  bool Deliver(int index, std::string_view text, std::vector<openai::TokenLogprob> logprobs) override {
    choices_[index].text += text;
    std::move(logprobs.begin(), logprobs.end(), std::back_inserter(choices_[index].logprobs));
    return true;
  }

  bool OnFinish(int index, api::FinishReason reason) override {
    choices_[index].finish_reason = FinishReasonOf(reason);
    return true;
  }

  void OnSilence(const std::optional<fleet::WakeProgress>&) override {}  // it waits for its true status

  void Complete(const openai::Usage& usage) override {
    exchange_->Reply(JsonReply(200, openai::ResponseBody(options_.endpoint, head_, choices_, usage), Processing()));
  }

  void OnError(const absl::Status& status) override { exchange_->Reply(ErrorReply(status, Processing())); }

 private:
  std::vector<openai::Choice> choices_;
};

}  // namespace

std::unique_ptr<AnswerSink> NewAnswer(const AnswerOptions& options, std::shared_ptr<http::Exchange> exchange,
                                      const Clock& clock, Metrics& metrics) {
  if (options.stream) return std::make_unique<StreamAnswer>(options, std::move(exchange), clock, metrics);
  return std::make_unique<WholeAnswer>(options, std::move(exchange), clock, metrics);
}

}  // namespace spotinference
