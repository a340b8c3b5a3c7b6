// The volume on the machine's own file system: processes that really die, and what only a real disk does.
//
//   bazel run //engine/volume:volume_kill_test -- --kills 1000
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/model_files.h"
#include "engine/volume/fake_hub.h"
#include "engine/volume/file_system.h"
#include "engine/volume/kv_store.h"
#include "engine/volume/volume.h"
#include "engine/volume/volume_cache.h"
#include "engine/volume/weights.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

constexpr uint64_t kMaxBytes = 3 << 20;  // of cache and KV, so that some of it always makes room
constexpr uint64_t kBlockBytes = 30000;
constexpr uint32_t kBlocks = 200;
constexpr char kCacheKey[] = "cpu-x";
const char* const kParts[] = {"one", "two", "three"};
constexpr ObjectKind kKind{"test", 1};

int kills = 40;

// Whose payload says what it must be: a seed and as many bytes drawn from it as there are.
std::string Payload(uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(4 + random() % 400000, '\0');
  for (size_t at = 0; at < bytes.size(); ++at) bytes[at] = static_cast<char>(at < 4 ? seed >> 8 * at : random());
  return bytes;
}

BlockHash Hash(uint32_t block) { return ChildHash(BlockHash{}, {&block, 1}); }

std::string Block(uint32_t block) {
  std::mt19937 random(block);
  std::string bytes(kBlockBytes, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

KvStore::Options KvOptions() { return {.model_hash = "model", .numerics_id = "cpu-1", .block_bytes = kBlockBytes}; }

absl::StatusOr<FetchedWeights> Fetch(FileSystem& files, const std::string& root, const std::string& hub_url,
                                     const std::string& source) {
  const FetchOptions options{.remote = {.hub_url = hub_url, .hub_token = FakeHub::kToken},
                             .connections = 2,
                             .piece_bytes = 10000};
  return FetchWeights(files, root, *ParseWeightsSource(source), options);
}

const char* const kSources[] = {"hf://org/repo/model.gguf", "hf://org/repo"};

// Passes on to the real one, and dies by SIGKILL before its n-th change.
class DyingFileSystem : public FileSystem {
 public:
  explicit DyingFileSystem(int64_t changes) : left_(changes) {}

  void Change() {
    if (left_-- == 0) kill(getpid(), SIGKILL);  // with all its threads
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    Change();
    auto file = real_.Create(path);
    if (!file.ok()) return file.status();
    return std::make_unique<File>(*this, *std::move(file));
  }
  absl::StatusOr<std::unique_ptr<WritableFile>> Reopen(const std::string& path) override {
    auto file = real_.Reopen(path);
    if (!file.ok()) return file.status();
    return std::make_unique<File>(*this, *std::move(file));
  }
  absl::StatusOr<std::unique_ptr<MappedBytes>> Map(const std::string& path) override { return real_.Map(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    Change();
    return real_.Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override {
    Change();
    return real_.Remove(path);
  }
  absl::Status CreateFolder(const std::string& path) override {
    Change();
    return real_.CreateFolder(path);
  }
  absl::Status SyncFolder(const std::string& path) override {
    Change();
    return real_.SyncFolder(path);
  }
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override { return real_.List(path); }
  absl::Status SetModified(const std::string& path, absl::Time time) override { return real_.SetModified(path, time); }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override { return real_.FreeBytes(path); }
  absl::StatusOr<uint64_t> SizeBytes(const std::string& path) override { return real_.SizeBytes(path); }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override { return real_.Lock(path); }

 private:
  class File : public WritableFile {
   public:
    File(DyingFileSystem& files, std::unique_ptr<WritableFile> real) : files_(files), real_(std::move(real)) {}
    absl::Status Write(uint64_t offset, absl::Span<const std::byte> bytes) override {
      // In two parts, so that a death may fall between them.
      for (const auto part : {bytes.first(bytes.size() / 2), bytes.subspan(bytes.size() / 2)}) {
        files_.Change();
        const absl::Status written = real_->Write(offset, part);
        if (!written.ok()) return written;
        offset += part.size();
      }
      return absl::OkStatus();
    }
    absl::Status Sync() override {
      files_.Change();
      return real_->Sync();
    }

   private:
    DyingFileSystem& files_;
    const std::unique_ptr<WritableFile> real_;
  };

  FileSystem& real_ = RealFileSystem();
  std::atomic<int64_t> left_;
};

// What engines write, over and over, until this process dies.
class Life {
 public:
  Life(const std::string& root, int64_t changes, uint32_t seed, const std::string& hub_url)
      : root_(root), hub_url_(hub_url), files_(changes), random_(seed) {}

  // The exit status: something went wrong before it died.
  int Run() {
    const auto volume = Volume::Open(files_, {root_, kMaxBytes}, RealClock());
    if (!volume.ok()) return 1;
    for (uint32_t step = random_();; ++step) {
      if (step % 3 == 0 && !Weights()) return 2;
      if (step % 3 == 1) Cache(**volume);
      if (step % 3 == 2) Kv(**volume);
    }
  }

 private:
  bool Weights() {
    const absl::StatusOr<FetchedWeights> fetched = Fetch(files_, root_, hub_url_, kSources[random_() % 2]);
    if (!fetched.ok()) {
      std::fprintf(stderr, "%s\n", fetched.status().ToString().c_str());
      return false;
    }
    for (const FetchedWeights::File& file : fetched->files) files_.Remove(file.path).IgnoreError();  // and again
    return true;
  }

  void Cache(Volume& volume) {
    VolumeCache cache(volume, kCacheKey, 1);
    for (const char* name : kParts) {
      auto bytes = std::make_shared<const std::string>(Payload(random_()));
      cache.Keep(name, {{reinterpret_cast<const std::byte*>(bytes->data()), bytes->size()}, bytes});
    }
    cache.Write();
  }

  void Kv(Volume& volume) {
    KvStore store(volume, KvOptions(), RealClock());
    std::vector<uint32_t> blocks(20);
    std::iota(blocks.begin(), blocks.end(), random_() % (kBlocks - blocks.size()));
    std::vector<BlockHash> hashes;
    for (const uint32_t block : blocks) hashes.push_back(Hash(block));
    store.Save(hashes, absl::InfiniteDuration(), [&](size_t i, absl::Span<std::byte> to) {
      std::memcpy(to.data(), Block(blocks[i]).data(), to.size());
      return absl::OkStatus();
    });
  }

  const std::string root_, hub_url_;
  DyingFileSystem files_;
  std::mt19937 random_;
};

class VolumeKillTest : public testing::Test {
 protected:
  VolumeKillTest() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/volume-XXXXXX");
    root_ = mkdtemp(pattern.data());
    hub_.AddInGit("config.json", "{}");
    hub_.AddInLfs("tokenizer.json", FakeHub::RandomBytes(5000, "tokenizer"));
    hub_.AddInLfs("model.safetensors", FakeHub::RandomBytes(25000, "model"));
  }
  ~VolumeKillTest() override { std::filesystem::remove_all(root_); }

  // A process of this program that dies before its n-th change.
  void Die(int64_t changes, uint32_t seed) {
    const std::string numbers[] = {absl::StrCat(changes), absl::StrCat(seed)}, url = hub_.url();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      execl("/proc/self/exe", "life", "--life", root_.c_str(), numbers[0].c_str(), numbers[1].c_str(), url.c_str(),
            nullptr);
      _exit(3);
    }
    int status;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended by itself: " << status;
  }

  // What is found is what was committed, or nothing, and nothing half done is left of cache and KV.
  void ExpectClean() {
    const auto volume = Volume::Open(RealFileSystem(), {root_, kMaxBytes}, RealClock());
    ASSERT_TRUE(volume.ok()) << volume.status();
    EXPECT_LE((*volume)->used_bytes(), kMaxBytes);
    for (const char* folder : {"/cache", "/kv"}) {
      std::error_code none;
      for (const auto& file : std::filesystem::recursive_directory_iterator(root_ + folder, none)) {
        EXPECT_FALSE(absl::EndsWith(file.path().string(), ".tmp")) << file.path();
      }
    }
    VolumeCache cache(**volume, kCacheKey, 1);
    for (const char* name : kParts) {
      const CachedBytes part = cache.Find(name);
      if (part.owner == nullptr) continue;
      ++parts_;
      uint32_t seed;
      ASSERT_GE(part.bytes.size(), sizeof(seed));
      std::memcpy(&seed, part.bytes.data(), sizeof(seed));
      ExpectBytes(part.bytes, Payload(seed), name);
    }
    KvStore store(**volume, KvOptions(), RealClock());
    std::vector<std::byte> bytes(kBlockBytes);
    for (uint32_t block = 0; block < kBlocks; ++block) {
      if (!store.Contains(Hash(block))) continue;
      ++blocks_;
      ASSERT_TRUE(store.Read(Hash(block), absl::MakeSpan(bytes)).ok()) << block;
      ExpectBytes(bytes, Block(block), "a block");
    }
    ExpectWeights();
  }

  // A file that has its name is whole.
  void ExpectWeights() {
    std::error_code none;
    for (const auto& file : std::filesystem::recursive_directory_iterator(root_ + "/weights", none)) {
      const std::string name = file.path().filename();
      if (!hub_.files.contains(name)) continue;
      ++weights_;
      EXPECT_EQ(*ModelHash(file.path()), FakeHub::Sha256(hub_.files[name].content)) << file.path();
    }
  }

  // A download that goes on is whole, and of those before it nothing half done is left.
  void FetchAll() {
    for (const char* source : kSources) {
      const absl::StatusOr<FetchedWeights> fetched = Fetch(RealFileSystem(), root_, hub_.url(), source);
      ASSERT_TRUE(fetched.ok()) << fetched.status();
      for (const FetchedWeights::File& file : fetched->files) EXPECT_EQ(*ModelHash(file.path), file.sha256);
      const std::string folder = fetched->files[0].path.substr(0, fetched->files[0].path.rfind('/'));
      for (const auto& file : std::filesystem::directory_iterator(folder)) {
        EXPECT_FALSE(absl::StrContains(file.path().filename().string(), ".p")) << file.path();
      }
    }
  }

  static void ExpectBytes(absl::Span<const std::byte> bytes, const std::string& expected, const char* what) {
    EXPECT_TRUE(absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == expected) << what;
  }

  FakeHub hub_;
  std::string root_;
  int parts_ = 0, blocks_ = 0, weights_ = 0;  // that were found and checked
};

TEST_F(VolumeKillTest, OpensCleanAfterEachDeath) {
  std::mt19937 random(1);
  for (int life = 0; life < kills; ++life) {
    SCOPED_TRACE(life);
    Die(random() % 100, random());
    ExpectClean();
    if (life % 10 == 9) FetchAll();
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(parts_, kills);
  EXPECT_GT(blocks_, kills);
  EXPECT_GT(weights_, kills / 4);
  std::printf("%d kills: %d parts of the cache, %d blocks of KV and %d files of weights were there, and right\n", kills,
              parts_, blocks_, weights_);
}

TEST_F(VolumeKillTest, ADeadEnginesLockIsFree) {
  const auto volume = Volume::Open(RealFileSystem(), {root_}, RealClock());
  ASSERT_TRUE(volume.ok());
  EXPECT_EQ(Volume::Open(RealFileSystem(), {root_}, RealClock()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(VolumeKillTest, WhatIsNoObjectIsAMiss) {
  std::filesystem::create_directories(root_ + "/cache/a/folder");
  std::ofstream(root_ + "/cache/a/empty");
  std::ofstream(root_ + "/cache/a/text") << "text";
  ASSERT_EQ(mkfifo((root_ + "/cache/a/pipe").c_str(), 0600), 0);
  const auto volume = *Volume::Open(RealFileSystem(), {root_}, RealClock());
  for (const char* name : {"empty", "text", "folder", "pipe", "nothing"}) {
    EXPECT_EQ(volume->Find("cache/a", name, kKind).status().code(), absl::StatusCode::kNotFound) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(root_ + "/cache/a/empty"));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/cache/a/text"));
}

}  // namespace
}  // namespace spotinference

// "--kills N", or how a test starts a life: "--life ROOT CHANGES SEED HUB_URL".
int main(int argc, char** argv) {
  if (argc == 6 && std::string(argv[1]) == "--life") {
    return spotinference::Life(argv[2], std::atoll(argv[3]), std::strtoul(argv[4], nullptr, 10), argv[5]).Run();
  }
  testing::InitGoogleTest(&argc, argv);
  if (argc == 3 && std::string(argv[1]) == "--kills") spotinference::kills = std::atoi(argv[2]);
  return RUN_ALL_TESTS();
}
