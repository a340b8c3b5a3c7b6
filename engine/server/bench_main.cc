// engine:bench — how fast one model prefills and decodes here; one JSON object a row on stdout.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/blocking_counter.h"
#include "engine/base/clock.h"
#include "engine/base/flags.h"
#include "engine/base/processors.h"
#include "engine/base/status.h"
#include "engine/base/thread_pool.h"
#include "engine/server/backends.h"
#include "engine/server/boot.h"
#include "engine/volume/driver_cache.h"

ABSL_FLAG(std::string, model, "", "GGUF file, the first of several, or a folder with config.json and safetensors");
ABSL_FLAG(std::string, volume, "", "folder to keep what was prepared in: packed weights, compiled shaders; \"\": none");
ABSL_FLAG(std::string, backend, "auto", "auto, or one that //engine:devices lists");
ABSL_FLAG(int, threads, 0, "0: all that the process may use");
ABSL_FLAG(int, prompt_tokens, 512, "of each stream");
ABSL_FLAG(int, generate_tokens, 128, "of each stream");
ABSL_FLAG(std::vector<std::string>, streams, {"1"}, "at once; a row for each of a list such as 1,8,16");
ABSL_FLAG(int, step_tokens, 0, "computed in one step; 0: the engine's default");
ABSL_FLAG(int, draft_tokens, 0, "guesses verified in a step; the bench's prompts repeat, so that they flatter");
ABSL_FLAG(double, temperature, 0, "0: the likeliest id");
ABSL_FLAG(double, top_p, 0, "0: off");
ABSL_FLAG(int, repeat, 3, "runs; the row has the fastest");
ABSL_FLAG(double, memory_gb_per_s, 0, "what this machine can read; 0: it is measured");

namespace spotinference {
namespace {

double Seconds(absl::Duration d) { return absl::ToDoubleSeconds(d); }

class Stream : public TokenSink {
 public:
  Stream(absl::BlockingCounter& first, absl::BlockingCounter& ended) : first_(first), ended_(ended) {}
  bool OnToken(const TokenEvent& event) override {
    if (event.index == 0) first_.DecrementCount();
    return true;
  }
  void OnEnd(const absl::Status& status) override {
    if (!status.ok()) std::fprintf(stderr, "bench: %s\n", status.ToString().c_str());
    ended_.DecrementCount();
  }

 private:
  absl::BlockingCounter &first_, &ended_;
};

// Bytes a second that all threads together read from memory: the ceiling of a decode step.
double MemoryBandwidth() {
  const int threads = UsableThreads();
  ThreadPool pool(threads);
  std::vector<std::vector<uint64_t>> data(threads, std::vector<uint64_t>(8 << 20, 1));  // 64 MiB each
  std::atomic<uint64_t> sink{0};
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const absl::Duration start = RealClock().Elapsed();
    const int pieces = threads;
    pool.Run({&pieces, 1}, [&](int, int t, int) {
      uint64_t sums[8] = {};
      for (size_t at = 0; at < data[t].size(); at += 8) {
        for (int k = 0; k < 8; ++k) sums[k] += data[t][at + k];
      }
      for (const uint64_t s : sums) sink += s;
    });
    best = std::max(best, threads * double{8 << 23} / Seconds(RealClock().Elapsed() - start));
  }
  return best;
}

struct Rates {
  double prefill = 0, decode = 0;
};

absl::StatusOr<Rates> RunOnce(Engine& engine, int streams, int prompt_tokens, int generate_tokens, int run) {
  absl::BlockingCounter first(streams), ended(streams);
  const auto sink = std::make_shared<Stream>(first, ended);
  const absl::Duration start = RealClock().Elapsed();
  for (int s = 0; s < streams; ++s) {
    EngineRequest request;
    // Every stream and run has a prompt of its own, so that no prefix is cached.
    for (int i = 0; i < prompt_tokens; ++i) {
      request.sequence.prompt_ids.push_back((7919u * (run * streams + s + 1) + 104729u * i) % engine.info().vocabulary_size);
    }
    request.sequence.max_tokens = generate_tokens;
    request.sampling.temperature = static_cast<float>(absl::GetFlag(FLAGS_temperature));
    request.sampling.top_p = static_cast<float>(absl::GetFlag(FLAGS_top_p));
    RETURN_IF_ERROR(engine.Submit(std::move(request), sink).status());
  }
  first.Wait();
  const double prefill = Seconds(RealClock().Elapsed() - start);
  ended.Wait();
  const double decode = Seconds(RealClock().Elapsed() - start) - prefill;
  return Rates{streams * prompt_tokens / prefill, streams * (generate_tokens - 1) / decode};
}

absl::Status Bench() {
  BootOptions options;
  options.model = UserPath(absl::GetFlag(FLAGS_model));
  while (options.model.size() > 1 && options.model.back() == '/') options.model.pop_back();
  options.volume = UserPath(absl::GetFlag(FLAGS_volume));
  if (options.volume.empty()) options.model_hash = "bench";  // names nothing, and saves the reading
  options.backend = absl::GetFlag(FLAGS_backend);
  options.threads = absl::GetFlag(FLAGS_threads);
  options.step_tokens = absl::GetFlag(FLAGS_step_tokens);
  options.draft_tokens = absl::GetFlag(FLAGS_draft_tokens);
  const std::vector<Backend> backends = AllBackends();
  ASSIGN_OR_RETURN(const BootedEngine booted, Boot(options, backends));
  double bandwidth = absl::GetFlag(FLAGS_memory_gb_per_s) * 1e9;
  if (bandwidth == 0) bandwidth = MemoryBandwidth();
  const int prompt_tokens = absl::GetFlag(FLAGS_prompt_tokens), generate_tokens = absl::GetFlag(FLAGS_generate_tokens);
  int run = 0;
  for (const std::string& text : absl::GetFlag(FLAGS_streams)) {
    int streams;
    if (!absl::SimpleAtoi(text, &streams) || streams < 1) {
      return absl::InvalidArgumentError(absl::StrCat("--streams ", text, ": a number of streams is expected"));
    }
    // Unmeasured, as llama-bench does too: memory and code are met for the first time.
    RETURN_IF_ERROR(RunOnce(*booted.engine, streams, prompt_tokens, std::min(generate_tokens, 4), run++).status());
    Rates best;
    for (int i = 0; i < absl::GetFlag(FLAGS_repeat); ++i) {
      ASSIGN_OR_RETURN(const Rates rates, RunOnce(*booted.engine, streams, prompt_tokens, generate_tokens, run++));
      best = {std::max(best.prefill, rates.prefill), std::max(best.decode, rates.decode)};
    }
    // A step of all streams reads every weight once.
    const double share = best.decode / streams * booted.model->weight_bytes() / bandwidth;
    const int threads = absl::GetFlag(FLAGS_threads) > 0 ? absl::GetFlag(FLAGS_threads) : UsableThreads();
    absl::PrintF(
        "{\"model\":\"%s\",\"backend\":\"%s\",\"device\":\"%s\",\"threads\":%d,\"streams\":%d,\"prompt_tokens\":%d,"
        "\"generate_tokens\":%d,\"prefill_tokens_per_s\":%.1f,\"decode_tokens_per_s\":%.1f,\"weight_bytes\":%d,"
        "\"memory_gb_per_s\":%.1f,\"bandwidth_share\":%.3f,\"programs_compiled\":%d}\n",
        options.model.substr(options.model.rfind('/') + 1), booted.engine->info().backend,
        booted.engine->info().device, threads, streams, prompt_tokens, generate_tokens, best.prefill, best.decode,
        booted.model->weight_bytes(), bandwidth / 1e9, share, booted.device->compiled());
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv,
                            "Times one model: prefill, then decode.\n"
                            "  engine:bench -- --model FILE [--prompt_tokens 512] [--generate_tokens 128] [--streams 1,16]");
  if (absl::GetFlag(FLAGS_model).empty()) {
    std::fprintf(stderr, "bench: --model FILE is needed; see --help\n");
    return 2;
  }
  if (const std::string volume = spotinference::UserPath(absl::GetFlag(FLAGS_volume)); !volume.empty()) {
    spotinference::UseDriverCache(volume);
  }
  if (const absl::Status status = spotinference::Bench(); !status.ok()) {
    std::fprintf(stderr, "bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
}
