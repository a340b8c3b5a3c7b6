// engine:generate — text from one model on stdout, without a server: for debugging and golden files.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "engine/base/clock.h"
#include "engine/base/flags.h"
#include "engine/base/status.h"
#include "engine/server/backends.h"
#include "engine/server/boot.h"
#include "engine/text/detokenizer.h"
#include "engine/text/model_text.h"

ABSL_FLAG(std::string, model, "", "GGUF file, the first of several, or a folder with config.json and safetensors");
ABSL_FLAG(std::string, prompt, "", "what to continue, or with --chat what the user says");
ABSL_FLAG(bool, chat, false, "render the prompt with the model's chat template");
ABSL_FLAG(uint32_t, max_tokens, 128, "at most so many tokens");
ABSL_FLAG(float, temperature, 0, "0: always the likeliest token");
ABSL_FLAG(double, top_p, 0, "0: off");
ABSL_FLAG(uint64_t, seed, 0, "of the sampling noise");
ABSL_FLAG(int, draft_tokens, spotinference::kDraftTokens, "guesses that a step verifies; 0: none. Changes speed, no token");
ABSL_FLAG(std::string, volume, "", "folder to keep packed weights in; \"\": none");
ABSL_FLAG(std::string, backend, "auto", "auto, or one that //engine:devices lists");
ABSL_FLAG(int, threads, 0, "0: all that the process may use");

namespace spotinference {
namespace {

class Printer : public TokenSink {
 public:
  explicit Printer(const Tokenizer& tokenizer, Detokenizer::Text text) : text_(tokenizer, text) {}
  bool OnToken(const TokenEvent& event) override {
    if (event.finish != TokenEvent::Finish::kStop) Print(text_.Feed(event.id));
    return true;
  }
  void OnEnd(const absl::Status& status) override {
    Print(text_.Flush());
    std::fputc('\n', stdout);
    status_ = status;
    done_.Notify();
  }
  absl::Status Wait() {
    done_.WaitForNotification();
    return status_;
  }

 private:
  static void Print(absl::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  Detokenizer text_;
  absl::Status status_;
  absl::Notification done_;
};

absl::Status Generate() {
  const std::string path = UserPath(absl::GetFlag(FLAGS_model));
  ASSIGN_OR_RETURN(const std::unique_ptr<const ModelText> text, LoadModelText(path));
  EngineRequest request;
  const std::string prompt = absl::GetFlag(FLAGS_prompt);
  if (absl::GetFlag(FLAGS_chat)) {
    const ChatMessage message{"user", prompt};
    ASSIGN_OR_RETURN(request.sequence.prompt_ids,
                     text->EncodeChat({&message, 1}, absl::ToCivilSecond(absl::Now(), absl::LocalTimeZone())));
  } else {
    ASSIGN_OR_RETURN(request.sequence.prompt_ids, text->EncodePrompt(prompt));
  }
  request.stop_ids = text->stop_ids();
  request.sequence.max_tokens = absl::GetFlag(FLAGS_max_tokens);
  request.sampling.temperature = absl::GetFlag(FLAGS_temperature);
  request.sampling.top_p = static_cast<float>(absl::GetFlag(FLAGS_top_p));
  request.sampling.seed = absl::GetFlag(FLAGS_seed);

  BootOptions options;
  options.model = path;
  options.volume = UserPath(absl::GetFlag(FLAGS_volume));
  options.backend = absl::GetFlag(FLAGS_backend);
  options.threads = absl::GetFlag(FLAGS_threads);
  options.draft_tokens = absl::GetFlag(FLAGS_draft_tokens);
  const std::vector<Backend> backends = AllBackends();
  ASSIGN_OR_RETURN(const BootedEngine booted, Boot(options, backends));
  const auto kind = absl::GetFlag(FLAGS_chat) ? Detokenizer::Text::kWhole : Detokenizer::Text::kGoesOn;
  const auto printer = std::make_shared<Printer>(text->tokenizer(), kind);
  const absl::Duration start = RealClock().Elapsed();
  RETURN_IF_ERROR(booted.engine->Submit(std::move(request), printer).status());
  RETURN_IF_ERROR(printer->Wait());
  const double seconds = absl::ToDoubleSeconds(RealClock().Elapsed() - start);
  const EngineStats stats = booted.engine->Stats();
  absl::FPrintF(stderr, "%d tokens of prompt, %d generated in %d steps, %.2f s; of %d guesses %d held\n",
                stats.scheduler.prompt_tokens, stats.scheduler.generated_tokens, stats.steps, seconds,
                stats.scheduler.drafted_tokens, stats.scheduler.accepted_tokens);
  if (stats.selected_rows > 0) {
    absl::FPrintF(stderr, "%d picked from candidates, %d of them after a second look at the row\n",
                  stats.selected_rows, stats.looked_again_rows);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv,
                            "Text from one model on stdout.\n"
                            "  engine:generate -- --model FILE --prompt TEXT [--chat] [--max_tokens N] …");
  if (absl::GetFlag(FLAGS_model).empty()) {
    std::fprintf(stderr, "generate: --model FILE is needed; see --help\n");
    return 2;
  }
  if (const absl::Status status = spotinference::Generate(); !status.ok()) {
    std::fprintf(stderr, "generate: %s\n", std::string(status.message()).c_str());
    return 1;
  }
}
