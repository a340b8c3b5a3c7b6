// The first invariant of ARCHITECTURE.md on real models: what an answer's tokens and logprobs are, to the bit, does not
// depend on company, chunks, threads, preemption, prefix hits or cuts. Arguments: GGUF files.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "backends/cpu/cpu_device.h"
#include "backends/reference/reference_device.h"
#include "engine/server/boot.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using Ids = std::vector<uint32_t>;

std::vector<std::string> model_paths;

constexpr int kContext = 128;
constexpr uint32_t kTokens = 40;

// Ids, and the bits of all logprobs that came with them.
struct Trace {
  Ids ids;
  std::vector<std::vector<uint32_t>> logprobs;
  bool operator==(const Trace&) const = default;

  Trace From(size_t index) const {
    return {Ids(ids.begin() + index, ids.end()), {logprobs.begin() + index, logprobs.end()}};
  }
};

class TraceSink : public TokenSink {
 public:
  bool OnToken(const TokenEvent& event) override {
    trace_.ids.push_back(event.id);
    std::vector<uint32_t>& bits = trace_.logprobs.emplace_back();
    bits.push_back(std::bit_cast<uint32_t>(event.logprob));
    for (const TokenLogprob& top : event.top_logprobs) {
      bits.push_back(top.id);
      bits.push_back(std::bit_cast<uint32_t>(top.logprob));
    }
    cached_tokens_ = event.cached_tokens;
    return true;
  }
  void OnEnd(const absl::Status& status) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(status.ok()) << status;
    ended_ = true;
  }
  const Trace& AwaitTrace() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ended_));
    return trace_;
  }
  uint32_t cached_tokens() const { return cached_tokens_; }

 private:
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  Trace trace_;  // of the engine's thread until the end
  uint32_t cached_tokens_ = 0;
};

EngineRequest Request(Ids prompt, uint64_t seed, Ids generated = {}, std::string salt = "") {
  EngineRequest request;
  request.sequence = {std::move(prompt), std::move(generated), kTokens, std::move(salt)};
  request.sampling.temperature = 1;
  request.sampling.seed = seed;
  request.sampling.frequency_penalty = 0.5;  // counts have to survive a cut too
  request.sampling.logprobs = true;
  request.sampling.top_logprobs = 3;
  return request;
}

std::shared_ptr<TraceSink> Submit(Engine& engine, EngineRequest request) {
  auto sink = std::make_shared<TraceSink>();
  const auto id = engine.Submit(std::move(request), sink);
  EXPECT_TRUE(id.ok()) << id.status();
  return sink;
}

Ids RandomIds(std::mt19937& random, size_t count, uint32_t vocabulary) {
  Ids ids(count);
  for (uint32_t& id : ids) id = random() % vocabulary;
  return ids;
}

// Turns a bit in the middle of every file.
void DamageFiles(const std::string& folder) {
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
    if (!file.is_regular_file() || file.file_size() == 0) continue;
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(file.file_size() / 2);
    const char byte = static_cast<char>(bytes.get() ^ 16);
    bytes.seekp(file.file_size() / 2);
    bytes.put(byte);
  }
}

struct Variation {
  int threads = 1;
  int step_tokens = 0;
  int max_sequences = 0;
  int64_t kv_memory_bytes = 16 << 20;  // room for all
  std::string volume;
};

class InvariantsTest : public testing::TestWithParam<const char*> {
 protected:
  BootedEngine BootWith(const std::string& path, const Variation& variation) {
    const std::vector<Backend> backends = {CpuBackend(), ReferenceBackend()};
    BootOptions options;
    options.model = path;
    options.backend = GetParam();
    options.context_tokens = kContext;
    options.threads = variation.threads;
    options.step_tokens = variation.step_tokens;
    options.max_sequences = variation.max_sequences;
    options.kv_memory_bytes = variation.kv_memory_bytes;
    options.volume = variation.volume;
    absl::StatusOr<BootedEngine> booted = Boot(options, backends);
    if (!booted.ok()) ADD_FAILURE() << booted.status();
    return *std::move(booted);
  }

  void TestModel(const std::string& path);
};

void InvariantsTest::TestModel(const std::string& path) {
  SCOPED_TRACE(path);
  std::mt19937 random(7);
  Ids prompt;
  Trace alone;
  int64_t smallest_kv = 0;
  uint32_t vocabulary = 0;
  {
    const BootedEngine booted = BootWith(path, {});
    vocabulary = booted.engine->info().vocabulary_size;
    prompt = RandomIds(random, 77, vocabulary);
    smallest_kv = static_cast<int64_t>(*booted.model->KvBlockBytes()) * kContext / kBlockTokens;
    alone = Submit(*booted.engine, Request(prompt, 1))->AwaitTrace();
    ASSERT_EQ(alone.ids.size(), kTokens);
    ASSERT_NE(Submit(*booted.engine, Request(prompt, 2))->AwaitTrace().ids, alone.ids) << "the seed changes nothing";

    const auto again = Submit(*booted.engine, Request(prompt, 1));
    EXPECT_EQ(again->AwaitTrace(), alone) << "with a prefix hit";
    EXPECT_EQ(again->cached_tokens(), 64);  // the prompt's full blocks
  }
  for (const Variation& variation : {Variation{.threads = 2}, Variation{.step_tokens = 4, .max_sequences = 2},
                             Variation{.step_tokens = 20, .max_sequences = 3}}) {
    const BootedEngine booted = BootWith(path, variation);
    EXPECT_EQ(Submit(*booted.engine, Request(prompt, 1))->AwaitTrace(), alone)
        << variation.threads << " threads, steps of " << variation.step_tokens << " tokens";
  }
  // 31 others beside it: first with room for all, then with so little that they take blocks from each other.
  for (const bool scarce : {false, true}) {
    Variation variation{.threads = 2, .step_tokens = 64, .max_sequences = 32};
    if (scarce) variation.kv_memory_bytes = 2 * smallest_kv;
    const BootedEngine booted = BootWith(path, variation);
    std::vector<std::shared_ptr<TraceSink>> company;
    std::shared_ptr<TraceSink> sink;
    for (int i = 0; i < 32; ++i) {
      if (i == 16) sink = Submit(*booted.engine, Request(prompt, 1));
      else company.push_back(Submit(*booted.engine, Request(RandomIds(random, 1 + random() % 80, vocabulary), i)));
    }
    EXPECT_EQ(sink->AwaitTrace(), alone) << "in company";
    for (const auto& other : company) other->AwaitTrace();
    EXPECT_EQ(booted.engine->Stats().scheduler.preemptions > 0, scarce);
  }
  // All cuts at once, each with its own salt so that it computes everything anew, and each with a prefix hit.
  const BootedEngine booted = BootWith(path, {.threads = 2});
  Submit(*booted.engine, Request(prompt, 1))->AwaitTrace();
  for (const bool hit : {false, true}) {
    std::vector<std::shared_ptr<TraceSink>> sinks;
    for (uint32_t cut = 1; cut < kTokens; ++cut) {
      sinks.push_back(Submit(*booted.engine, Request(prompt, 1, Ids(alone.ids.begin(), alone.ids.begin() + cut),
                                                     hit ? "" : std::to_string(cut))));
    }
    for (uint32_t cut = 1; cut < kTokens; ++cut) {
      EXPECT_EQ(sinks[cut - 1]->AwaitTrace(), alone.From(cut)) << "cut at " << cut << (hit ? ", prefix hit" : "");
      EXPECT_EQ(sinks[cut - 1]->cached_tokens() >= 64, hit);
    }
  }
}

TEST_P(InvariantsTest, AnAnswerDependsOnItsOwnTokensAlone) {
  // The reference is slow, and does the same with every type.
  const size_t count = GetParam() == std::string("reference") ? 1 : model_paths.size();
  for (size_t i = 0; i < count; ++i) TestModel(model_paths[i]);
}

// A folder of this test's own, gone with it.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_(testing::TempDir() + "/volume-XXXXXX") { path_ = mkdtemp(path_.data()); }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST_P(InvariantsTest, PackedWeightsFromAVolumeChangeNoBit) {
  for (const std::string& path : model_paths) {
    SCOPED_TRACE(path);
    const TemporaryFolder folder;
    std::mt19937 random(7);
    const Ids prompt = RandomIds(random, 40, 100);
    const Trace plain = Submit(*BootWith(path, {}).engine, Request(prompt, 1))->AwaitTrace();
    // A volume that is empty, filled, damaged, filled again.
    for (const bool compiles : {true, false, true, false}) {
      const bool damaged = compiles && !std::filesystem::is_empty(folder.path());
      if (damaged) DamageFiles(folder.path());
      const BootedEngine booted = BootWith(path, {.threads = 2, .volume = folder.path()});
      EXPECT_EQ(Submit(*booted.engine, Request(prompt, 1))->AwaitTrace(), plain) << "damaged " << damaged;
      // The reference packs nothing and so keeps nothing.
      const bool packs = GetParam() == std::string("cpu");
      EXPECT_EQ(booted.engine->Stats().programs_compiled, packs ? compiles : 1);
    }
    if (GetParam() == std::string("reference")) break;
  }
}

// A sequence cut on one engine goes on at another one that has nothing but the volume.
TEST_P(InvariantsTest, KvFromAVolumeChangesNoBit) {
  for (const std::string& path : model_paths) {
    SCOPED_TRACE(path);
    const TemporaryFolder folder;
    std::mt19937 random(7);
    const Ids prompt = RandomIds(random, 77, 100);
    const Variation variation{.threads = 2, .volume = folder.path()};
    Trace alone;
    {
      const BootedEngine booted = BootWith(path, variation);
      alone = Submit(*booted.engine, Request(prompt, 1))->AwaitTrace();
      EXPECT_EQ(booted.engine->SaveKv(absl::InfiniteDuration()), (77 + kTokens - 1) / kBlockTokens);
      EXPECT_EQ(booted.engine->SaveKv(absl::InfiniteDuration()), 0) << "all is there";
    }
    for (const uint32_t cut : {0u, 1u, 20u, kTokens - 1}) {
      const BootedEngine booted = BootWith(path, variation);
      const Ids generated(alone.ids.begin(), alone.ids.begin() + cut);
      const auto other = Submit(*booted.engine, Request(prompt, 1, generated, "another salt"));
      EXPECT_EQ(other->AwaitTrace(), alone.From(cut));
      EXPECT_EQ(booted.engine->Stats().kv_blocks_restored, 0) << "another key's";
      const auto sink = Submit(*booted.engine, Request(prompt, 1, generated));
      EXPECT_EQ(sink->AwaitTrace(), alone.From(cut)) << "cut at " << cut;
      const uint32_t restored = (77 + cut - 1) / kBlockTokens;
      EXPECT_EQ(booted.engine->Stats().kv_blocks_restored, restored);
      EXPECT_EQ(sink->cached_tokens(), std::min<uint32_t>(77, restored * kBlockTokens)) << "of the prompt";
    }
    DamageFiles(folder.path() + "/kv");
    const BootedEngine booted = BootWith(path, variation);
    EXPECT_EQ(Submit(*booted.engine, Request(prompt, 1))->AwaitTrace(), alone) << "with a damaged block";
    EXPECT_EQ(booted.engine->Stats().kv_blocks_restored, 0);
    if (GetParam() == std::string("reference")) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, InvariantsTest, testing::Values("cpu", "reference"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  spotinference::model_paths.assign(argv + 1, argv + argc);
  if (spotinference::model_paths.empty()) {
    std::fprintf(stderr, "no model to test\n");
    return 1;
  }
  return RUN_ALL_TESTS();
}
