// Arguments: a small GGUF file with a context of 512 tokens; the first of several; config.json of a model folder.
#include "engine/server/boot.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backends/cpu/cpu_device.h"
#include "backends/reference/reference_device.h"
#include "engine/base/fake_http_server.h"
#include "engine/base/model_files.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "engine/model/gguf.h"
#include "engine/model/open_checkpoint.h"
#include "engine/volume/fake_hub.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

std::string model_path, shard_path, folder_path;

std::vector<Backend> Backends() {
  Backend broken{"broken", [] { return absl::UnavailableError("no such card"); }, nullptr};
  return {broken, ReferenceBackend()};
}

absl::Status BootStatus(const BootOptions& options) { return Boot(options, Backends()).status(); }

BootOptions Options() {
  BootOptions options;
  options.model = model_path;
  options.kv_memory_bytes = 16 << 20;
  return options;
}

TEST(ChooseBackendTest, TakesTheFirstUsableOrSaysWhyNot) {
  const std::vector<Backend> backends = Backends();
  EXPECT_EQ((*ChooseBackend(backends, "auto"))->name, "reference");
  EXPECT_EQ((*ChooseBackend(backends, "reference"))->name, "reference");
  const absl::Status broken = ChooseBackend(backends, "broken").status();
  EXPECT_EQ(broken.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(broken.message(), "no usable backend: broken: no such card");
  EXPECT_EQ(ChooseBackend({&backends[0], 1}, "auto").status().code(), absl::StatusCode::kFailedPrecondition);
  const absl::Status unknown = ChooseBackend(backends, "gpu").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(unknown.message(), "backend 'gpu' is not in this build; it has: auto, broken, reference");
}

TEST(ChooseBackendTest, PassesOverWhatOnlyItsNameMayChoose) {
  std::vector<Backend> backends = Backends();
  Backend slow = backends[1];
  slow.name = "slow";
  slow.passed_over = [] { return absl::FailedPreconditionError("it is slow"); };
  backends.insert(backends.begin(), slow);
  EXPECT_EQ((*ChooseBackend(backends, "auto"))->name, "reference");
  EXPECT_EQ((*ChooseBackend(backends, "slow"))->name, "slow");
  EXPECT_EQ(ChooseBackend({&backends[0], 1}, "auto").status().message(), "no usable backend: slow: it is slow");
  backends[0].passed_over = [] { return absl::OkStatus(); };
  EXPECT_EQ((*ChooseBackend(backends, "auto"))->name, "slow");
}

// Another device, but for what it says of itself.
class ForwardingDevice : public Device {
 public:
  ForwardingDevice(std::unique_ptr<Device> device, const std::function<void(DeviceInfo&)>& say)
      : device_(std::move(device)), info_(device_->info()) {
    say(info_);
  }
  const DeviceInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Buffer>> LoadWeight(const TensorView& view, WeightUse use, CompileCache*) override {
    return device_->LoadWeight(view, use, nullptr);
  }
  absl::StatusOr<std::unique_ptr<Buffer>> AllocateKv(const AttentionAttributes& shape, int blocks) override {
    return device_->AllocateKv(shape, blocks);
  }
  absl::Status ReadKv(absl::Span<const Buffer* const> layers, int block, absl::Span<std::byte> to) const override {
    return device_->ReadKv(layers, block, to);
  }
  absl::Status WriteKv(absl::Span<Buffer* const> layers, int block, absl::Span<const std::byte> from) override {
    return device_->WriteKv(layers, block, from);
  }
  absl::StatusOr<std::unique_ptr<Program>> Compile(const Graph& graph, CompileCache*) override {
    return device_->Compile(graph, nullptr);
  }
  int64_t compiled() const override { return 0; }

 private:
  const std::unique_ptr<Device> device_;
  DeviceInfo info_;
};

// So that no answer that goes on at another engine is called exact.
TEST(BootTest, TwoEnginesOfADeviceThatVariesHaveTwoNumericsIds) {
  for (const bool varies : {false, true}) {
    SCOPED_TRACE(varies);
    Backend backend = ReferenceBackend();
    if (varies) {
      backend.create = [create = backend.create](int threads) -> absl::StatusOr<std::unique_ptr<Device>> {
        ASSIGN_OR_RETURN(std::unique_ptr<Device> device, create(threads));
        return std::make_unique<ForwardingDevice>(std::move(device), [](DeviceInfo& info) { info.batch_invariant = false; });
      };
    }
    std::set<std::string> ids;
    for (int boot = 0; boot < 2; ++boot) {
      const absl::StatusOr<BootedEngine> booted = Boot(Options(), {backend});
      ASSERT_TRUE(booted.ok()) << booted.status();
      ids.insert(booted->engine->info().numerics_id);
    }
    EXPECT_EQ(ids.size(), varies ? 2 : 1);
  }
}

TEST(BootTest, AutoGoesOnWhereAModelDoesNotFitACard) {
  std::vector<Backend> backends = Backends();
  backends[0] = {"card", [] { return absl::OkStatus(); },
                 [](int) { return absl::ResourceExhaustedError("8 GB of 9"); }, nullptr, /*own_memory=*/true};
  BootOptions options = Options();
  const absl::StatusOr<BootedEngine> booted = Boot(options, backends);
  ASSERT_TRUE(booted.ok()) << booted.status();
  EXPECT_EQ(booted->engine->info().backend, "reference");
  options.backend = "card";
  EXPECT_EQ(Boot(options, backends).status(), absl::ResourceExhaustedError("8 GB of 9"));
  options.backend = "auto";
  EXPECT_EQ(Boot(options, {backends.data(), 1}).status(), absl::ResourceExhaustedError("8 GB of 9"));
  backends[0].own_memory = false;
  EXPECT_EQ(Boot(options, backends).status(), absl::ResourceExhaustedError("8 GB of 9"));
}

// A device that keeps something of its own.
class KeepingDevice : public ForwardingDevice {
 public:
  KeepingDevice(std::unique_ptr<Device> device, bool keeps_weights, int* found)
      : ForwardingDevice(std::move(device), [&](DeviceInfo& info) { info.keeps_weights = keeps_weights; }),
        found_(*found) {}
  absl::StatusOr<std::unique_ptr<Program>> Compile(const Graph& graph, CompileCache* cache) override {
    if (cache->Find("shaders").owner != nullptr) ++found_;
    const auto bytes = std::make_shared<const std::string>("compiled");
    cache->Keep("shaders", {{reinterpret_cast<const std::byte*>(bytes->data()), bytes->size()}, bytes});
    return ForwardingDevice::Compile(graph, nullptr);
  }

 private:
  int& found_;
};

TEST(BootTest, WhatIsNoWeightServesEveryModel) {
  for (const bool keeps_weights : {false, true}) {
    int found = 0;
    Backend keeping = ReferenceBackend();
    keeping.create = [&, create = keeping.create](int threads) -> absl::StatusOr<std::unique_ptr<Device>> {
      return std::make_unique<KeepingDevice>(*create(threads), keeps_weights, &found);
    };
    BootOptions options = Options();
    options.volume = testing::TempDir() + (keeps_weights ? "/of_a_model" : "/of_all");
    for (const std::string& model : {model_path, shard_path, model_path}) {
      options.model = model;
      const absl::StatusOr<BootedEngine> booted = Boot(options, {&keeping, 1});
      ASSERT_TRUE(booted.ok()) << booted.status();
    }
    EXPECT_EQ(found, keeps_weights ? 1 : 2);
  }
}

TEST(BootTest, SaysWhatIsServed) {
  BootOptions options = Options();
  options.context_tokens = 100;
  const absl::StatusOr<BootedEngine> booted = Boot(options, Backends());
  ASSERT_TRUE(booted.ok()) << booted.status();
  const EngineInfo& info = booted->engine->info();
  EXPECT_EQ(info.backend, "reference");
  EXPECT_EQ(info.context_tokens, 100);
  EXPECT_EQ(info.vocabulary_size, 131);
  EXPECT_EQ(info.model_hash.size(), 64);
  EXPECT_EQ(info.model_hash.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(info.numerics_id.find(' '), std::string::npos);
}

TEST(BootTest, WeightsFromElsewhereNeedAVolume) {
  BootOptions options = Options();
  options.model = "hf://org/repo/a.gguf";
  EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(BootStatus(options).message(), "weights 'hf://org/repo/a.gguf': a volume is needed to keep them on");
  options.model = "ftp://host/a.gguf";
  EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kInvalidArgument);
}

void FlipBit(const std::string& path, size_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const int byte = file.seekg(at).get();
  file.seekp(at).put(static_cast<char>(byte ^ 1));
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

TEST(BootTest, ServesModelsOfTheHubInSeveralFiles) {
  FakeHub hub;
  for (const std::string& model : {shard_path, folder_path}) {
    const std::vector<std::string> files = *ModelFiles(model);
    for (const std::string& file : files) {
      const std::string name = std::filesystem::path(file).filename();
      name == "config.json" ? hub.AddInGit(name, Read(file)) : hub.AddInLfs(name, Read(file));
    }
  }
  BootOptions options = Options();
  options.hub_url = hub.url();
  options.hub_token = FakeHub::kToken;
  const std::string first = std::filesystem::path(shard_path).filename();
  const std::pair<std::string, std::string> sources[] = {{"hf://org/repo/" + first, shard_path},
                                                         {"hf://org/repo", folder_path}};
  for (const auto& [source, model] : sources) {
    SCOPED_TRACE(source);
    std::string root = testing::TempDir() + "/volume-XXXXXX";
    options.volume = mkdtemp(root.data());
    options.model = source;
    const std::string hash = *ModelHash(model);
    int asked = 0;
    for (const bool again : {false, true}) {
      const absl::StatusOr<BootedEngine> booted = Boot(options, Backends());
      ASSERT_TRUE(booted.ok()) << booted.status();
      EXPECT_EQ(booted->engine->info().model_hash, hash);
      EXPECT_TRUE(!again || hub.hub_requests() == asked);
      asked = hub.hub_requests();
    }
    const std::vector<std::string> files = *ModelFiles(model);
    for (const std::string& file : files) {
      const std::string path =
          root + "/weights/" + hash + "/" + std::string(std::filesystem::path(file).filename());
      const size_t size = std::filesystem::file_size(path);
      for (const bool has_hashes : {true, false}) {
        for (const size_t at : {size_t{1}, size / 2, size - 1}) {
          FlipBit(path, at);
          if (!has_hashes) std::filesystem::remove(path + ".hashes");
          EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kDataLoss) << path << " " << at;
          const size_t before = hub.cdn_files().size();
          const absl::Status once_more = BootStatus(options);
          EXPECT_TRUE(once_more.ok()) << "fetched again: " << once_more;
          EXPECT_LE(hub.cdn_files().size(), before + 1) << "and no other file";
        }
      }
    }
    std::filesystem::remove_all(root);
  }
}

TEST(BootTest, ServesWeightsOfAWebServer) {
  const std::string bytes = Read(model_path);
  std::atomic<int> requests = 0;
  const FakeHttpServer server([&](const FakeHttpRequest&) {
    ++requests;
    return FakeHttpReply{.body = bytes};
  });
  BootOptions options = Options();
  std::string folder = testing::TempDir() + "/volume-XXXXXX";
  options.volume = mkdtemp(folder.data());
  const std::string hash = *ModelHash(model_path);
  options.model = server.url() + "/model.gguf#sha256=" + hash;
  for (int boot = 0; boot < 2; ++boot) {
    const absl::StatusOr<BootedEngine> booted = Boot(options, Backends());
    ASSERT_TRUE(booted.ok()) << booted.status();
    EXPECT_EQ(booted->engine->info().model_hash, hash);
    EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kUnavailable) << "one engine a volume";
  }
  EXPECT_EQ(requests, 2) << "a look at the size and the download, once";

  options.head_hash = std::string(64, 'a');
  EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kFailedPrecondition) << "another head than the gateway's";
  options.head_hash = Sha256Hex(absl::string_view(bytes).substr(0, (*GgufFile::Open(model_path))->head_bytes()));
  EXPECT_TRUE(BootStatus(options).ok());

  const std::string path = options.volume + "/weights/" + hash + "/model.gguf";
  for (const bool has_hashes : {true, false}) {
    for (const size_t at : {size_t{1}, size_t{1000}, bytes.size() / 2, bytes.size() - 1}) {
      std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(at).put(static_cast<char>(bytes[at] ^ 1));
      if (!has_hashes) std::filesystem::remove(path + ".hashes");
      EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kDataLoss) << at;
      const absl::Status again = BootStatus(options);
      EXPECT_TRUE(again.ok()) << "fetched again: " << again;
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(BootTest, AFileIsTheOneWhoseHashWasSaid) {
  BootOptions options = Options();
  for (const std::string& model : {model_path, shard_path, folder_path}) {
    const std::string path = "file://" + std::string(std::filesystem::absolute(model));
    options.model = path + "#sha256=" + *ModelHash(model);
    EXPECT_TRUE(BootStatus(options).ok()) << BootStatus(options);
    options.model = path + "#sha256=" + std::string(64, 'a');
    EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kFailedPrecondition);
  }
}

// One file, several files, and a folder.
TEST(BootTest, AModelOfThisMachineIsProvedAtEveryBoot) {
  for (const std::string& model : {model_path, shard_path, folder_path}) {
    SCOPED_TRACE(model);
    std::string root = testing::TempDir() + "/volume-XXXXXX";
    BootOptions options = Options();
    options.volume = mkdtemp(root.data());
    const std::string folder = root + "/model/";
    std::filesystem::create_directory(folder);
    std::vector<std::string> files = *ModelFiles(model);
    for (std::string& file : files) {
      const std::string from = std::exchange(file, folder + std::string(std::filesystem::path(file).filename()));
      std::filesystem::copy_file(from, file);
    }
    options.model = model == folder_path ? folder.substr(0, folder.size() - 1) : files[0];
    options.model_hash = *ModelHash(options.model);
    {
      const std::string tensors = (*OpenCheckpoint(options.model))->files().back().path;
      const size_t last = std::filesystem::file_size(tensors) - 1;
      FlipBit(tensors, last);
      EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kFailedPrecondition) << "damaged before the first boot";
      EXPECT_FALSE(std::filesystem::exists(root + "/weights"));
      EXPECT_FALSE(std::filesystem::exists(root + "/cache"));
      FlipBit(tensors, last);
    }
    ASSERT_TRUE(BootStatus(options).ok());
    for (const std::string& file : files) {
      const std::string name = std::filesystem::path(file).filename();
      EXPECT_TRUE(std::filesystem::exists(root + "/weights/" + options.model_hash + "/" + name + ".hashes"));
    }
    ASSERT_TRUE(BootStatus(options).ok());
    std::map<std::string, size_t> heads;
    for (const Checkpoint::File& file : (*OpenCheckpoint(options.model))->files()) heads[file.path] = file.head_bytes;
    for (const std::string& file : files) {
      SCOPED_TRACE(file);
      const size_t head = heads.contains(file) ? heads[file] : 20, size = std::filesystem::file_size(file);
      for (const size_t at : {head, (head + size) / 2, size - 1}) {  // what a parser may not see
        FlipBit(file, at);
        const absl::StatusCode code = BootStatus(options).code();
        EXPECT_TRUE(code == absl::StatusCode::kDataLoss || !heads.contains(file)) << at;
        EXPECT_NE(code, absl::StatusCode::kOk) << at;
        FlipBit(file, at);
        EXPECT_TRUE(BootStatus(options).ok()) << "it is the user's, and stays";
      }
    }
    std::filesystem::remove_all(root);
  }
}

TEST(BootTest, AVolumeTakesNoMoreThanItWasGiven) {
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{1000}}) {
    SCOPED_TRACE(bytes);
    std::string root = testing::TempDir() + "/volume-XXXXXX";
    BootOptions options = Options();
    options.volume = mkdtemp(root.data());
    options.volume_bytes = bytes;
    ASSERT_TRUE(Boot(options, {CpuBackend()}).ok());
    EXPECT_EQ(std::filesystem::exists(root + "/cache"), bytes == 0) << "of packed weights";
    std::filesystem::remove_all(root);
  }
}

// Puts all of `model` on the hub; returns the source that names it there.
std::string Serve(FakeHub& hub, const std::string& model) {
  const std::vector<std::string> paths = *ModelFiles(model);
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    hub.AddInLfs(std::filesystem::path(path).filename(), {std::istreambuf_iterator<char>(file), {}});
  }
  if (model != folder_path) return "hf://org/repo/" + std::string(std::filesystem::path(model).filename());
  if (!hub.files.contains("tokenizer.json")) hub.AddInGit("tokenizer.json", "{}");
  return "hf://org/repo";
}

TEST(BootTest, FetchedFilesAreProvedOneByOne) {
  for (const std::string& model : {shard_path, folder_path}) {
    SCOPED_TRACE(model);
    FakeHub hub;
    std::string root = testing::TempDir() + "/volume-XXXXXX";
    BootOptions options = Options();
    options.volume = mkdtemp(root.data());
    options.model = Serve(hub, model);
    options.hub_url = hub.url();
    options.hub_token = FakeHub::kToken;
    std::string folder;
    {
      const absl::StatusOr<BootedEngine> booted = Boot(options, Backends());
      ASSERT_TRUE(booted.ok()) << booted.status();
      folder = root + "/weights/" + booted->engine->info().model_hash;
    }
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".hashes") files.push_back(entry.path());
    }
    EXPECT_GE(files.size(), 3);
    for (const bool has_hashes : {true, false}) {
      // The machine may end between a file's coming and its hashes.
      const auto forget = [&] {
        for (const std::string& file : files) std::filesystem::remove(file + ".hashes");
      };
      if (!has_hashes) forget();
      const int asked = hub.hub_requests();
      const absl::Status whole = BootStatus(options);
      ASSERT_TRUE(whole.ok()) << whole;
      EXPECT_EQ(hub.hub_requests(), asked) << "what is here and right does not come again";
      for (const std::string& file : files) {
        SCOPED_TRACE(file);
        if (!has_hashes) forget();
        FlipBit(file, std::filesystem::file_size(file) / 2);
        EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kDataLoss);
        const absl::Status again = BootStatus(options);
        EXPECT_TRUE(again.ok()) << "fetched again: " << again;
      }
    }
    std::filesystem::remove_all(root);
  }
}

TEST(BootTest, RefusesWhatCannotWork) {
  BootOptions options = Options();
  options.model = "/no/such/file.gguf";
  EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kNotFound) << BootStatus(options);
  options.model = "/proc/self/exe";
  EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kInvalidArgument) << BootStatus(options);

  options = Options();
  options.context_tokens = 513;
  EXPECT_EQ(BootStatus(options).message(), "a context of 513 tokens: the model was made for at most 512");

  options = Options();
  options.step_tokens = options.max_sequences = 8;
  EXPECT_EQ(BootStatus(options).message(), "a step of 8 tokens: more than the 8 sequences of a step are needed");

  // The message tells how much would do, and that does.
  options = Options();
  options.kv_memory_bytes = 100000;
  const std::string message(BootStatus(options).message());
  const size_t at = message.find("give it ");
  ASSERT_NE(at, std::string::npos) << message;
  options.kv_memory_bytes = std::stoll(message.substr(at + 8));
  EXPECT_TRUE(BootStatus(options).ok());
  --options.kv_memory_bytes;
  EXPECT_EQ(BootStatus(options).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 4) {
    std::fprintf(stderr, "three models are needed\n");
    return 1;
  }
  spotinference::model_path = argv[1];
  spotinference::shard_path = argv[2];
  spotinference::folder_path = std::filesystem::path(argv[3]).parent_path();
  return RUN_ALL_TESTS();
}
