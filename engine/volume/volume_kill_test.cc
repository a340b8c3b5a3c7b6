// The volume on the machine's own file system: processes that really die, and what only a real disk does.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/volume/file_system.h"
#include "engine/volume/volume.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

constexpr ObjectKind kKind{"test", 1};

// Whose payload says what it must be: a seed and as many bytes drawn from it as there are.
std::string Payload(uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(4 + random() % 400000, '\0');
  for (size_t at = 0; at < bytes.size(); ++at) bytes[at] = static_cast<char>(at < 4 ? seed >> 8 * at : random());
  return bytes;
}

// Passes on to the real one, and dies by SIGKILL before its n-th change.
class DyingFileSystem : public FileSystem {
 public:
  explicit DyingFileSystem(int64_t changes) : left_(changes) {}

  void Change() {
    if (left_-- == 0) kill(getpid(), SIGKILL);
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    Change();
    auto file = real_.Create(path);
    if (!file.ok()) return file.status();
    return std::make_unique<File>(*this, *std::move(file));
  }
  absl::StatusOr<std::unique_ptr<WritableFile>> Reopen(const std::string& path) override { return real_.Reopen(path); }
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
  int64_t left_;
};

class VolumeKillTest : public testing::Test {
 protected:
  VolumeKillTest() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/volume-XXXXXX");
    root_ = mkdtemp(pattern.data());
  }
  ~VolumeKillTest() override { std::filesystem::remove_all(root_); }

  // Writes objects until it dies.
  [[noreturn]] void Child(int64_t changes, uint32_t seed) const {
    DyingFileSystem files(changes);
    const auto volume = Volume::Open(files, {root_, 3 << 20}, RealClock());
    if (!volume.ok()) _exit(1);
    for (;; ++seed) {
      const std::string payload = Payload(seed);
      const absl::Status written = (*volume)->Write(
          seed % 2 == 0 ? "cache/a" : "kv/a", absl::StrCat(seed % 5), kKind, payload.size(), [&](ObjectWriter& writer) {
            return writer.Append({reinterpret_cast<const std::byte*>(payload.data()), payload.size()});
          });
      if (!written.ok()) _exit(1);
    }
  }

  std::string root_;
};

TEST_F(VolumeKillTest, OpensCleanAfterEachDeath) {
  std::mt19937 random(1);
  int found = 0;
  for (uint32_t life = 0; life < 60; ++life) {
    const int64_t changes = random() % 60;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) Child(changes, life * 1000);
    int status;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << status;

    const auto volume = Volume::Open(RealFileSystem(), {root_, 3 << 20}, RealClock());
    ASSERT_TRUE(volume.ok()) << volume.status();
    for (const auto& file : std::filesystem::recursive_directory_iterator(root_)) {
      EXPECT_FALSE(absl::EndsWith(file.path().string(), ".tmp")) << file.path();
    }
    EXPECT_LE((*volume)->used_bytes(), 3 << 20);
    for (const Volume::Entry& entry : (*volume)->List("")) {
      const auto object = (*volume)->Find(entry.folder, entry.name, kKind);
      ASSERT_TRUE(object.ok()) << object.status();
      ASSERT_TRUE((*object)->VerifyAll(2).ok());
      const auto bytes = (*object)->payload();
      uint32_t seed;
      std::memcpy(&seed, bytes.data(), sizeof(seed));
      const std::string expected = Payload(seed);
      ASSERT_TRUE(absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == expected);
      ++found;
    }
  }
  EXPECT_GT(found, 60);
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

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
