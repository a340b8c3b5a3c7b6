#include "engine/volume/volume.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <random>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "engine/volume/simulated_file_system.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

using Cut = SimulatedFileSystem::Cut;

constexpr ObjectKind kKind{"test", 1};
constexpr uint64_t kOverhead = kObjectHeaderBytes + 8;  // of an object of one chunk, with the table

std::string RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes((size + 3) / 4 * 4, '\0');
  for (size_t at = 0; at < bytes.size(); at += 4) {
    const uint32_t word = random();
    std::memcpy(bytes.data() + at, &word, sizeof(word));
  }
  bytes.resize(size);
  return bytes;
}

absl::Span<const std::byte> Bytes(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

class VolumeTest : public testing::Test {
 protected:
  VolumeTest() {
    EXPECT_TRUE(files_.CreateFolder("/v").ok());
    files_.Restart(Cut::kKill, 0);
  }

  absl::StatusOr<std::unique_ptr<Volume>> Open(uint64_t max_bytes = 0) {
    return Volume::Open(files_, {"/v", max_bytes}, clock_);
  }

  static absl::Status Write(Volume& volume, const std::string& folder, const std::string& name,
                            const std::string& payload) {
    return volume.Write(folder, name, kKind, payload.size(), [&](ObjectWriter& writer) -> absl::Status {
      // In parts, so that a cut may fall between them.
      for (size_t at = 0; at < payload.size(); at += 100000) {
        const absl::Status appended = writer.Append(Bytes(payload).subspan(at, 100000));
        if (!appended.ok()) return appended;
      }
      return absl::OkStatus();
    });
  }

  // The payload, proved, or "" for a miss.
  static std::string Read(Volume& volume, const std::string& folder, const std::string& name) {
    const auto object = volume.Find(folder, name, kKind);
    if (!object.ok() || !(*object)->VerifyAll(1).ok()) return "";
    return std::string(reinterpret_cast<const char*>((*object)->payload().data()), (*object)->payload().size());
  }

  void ExpectNothingTemporary() {
    for (const std::string& path : files_.Paths()) EXPECT_FALSE(absl::EndsWith(path, ".tmp")) << path;
  }

  FakeClock clock_;
  SimulatedFileSystem files_;
};

TEST_F(VolumeTest, OneEngineAtATime) {
  auto first = Open();
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = Open().status();
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.message(), "volume '/v': another engine has it");
  first->reset();
  EXPECT_TRUE(Open().ok());
}

TEST_F(VolumeTest, FindsWhatAnEarlierOpeningWrote) {
  ASSERT_TRUE(Write(**Open(), "cache/a", "weights", "one").ok());
  const auto volume = *Open();
  EXPECT_EQ(Read(*volume, "cache/a", "weights"), "one");
  EXPECT_EQ(Read(*volume, "cache/b", "weights"), "");
  ASSERT_TRUE(Write(*volume, "cache/a", "weights", "two").ok());
  EXPECT_EQ(Read(*volume, "cache/a", "weights"), "two");
  EXPECT_EQ(volume->List("").size(), 1);
}

TEST_F(VolumeTest, ADamagedObjectIsAMissAndIsRemoved) {
  ASSERT_TRUE(Write(**Open(), "kv/a", "one", "payload").ok());
  files_.Contents("/v/kv/a/one")[3] ^= 1;
  const auto volume = *Open();
  EXPECT_EQ(volume->Find("kv/a", "one", kKind).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(files_.Paths().empty());
  EXPECT_EQ(volume->used_bytes(), 0);
}

TEST_F(VolumeTest, TheLeastValuableMakesRoom) {
  const std::string payload(1000, 'x');
  const uint64_t one = payload.size() + kOverhead;
  const auto volume = *Open(4 * one);
  volume->Keep("cache/mine");
  volume->Keep("kv/mine");
  for (const char* path : {"cache/mine", "kv/mine", "kv/other", "cache/other"}) {
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(Write(*volume, path, "1", payload).ok());
  }
  EXPECT_EQ(volume->used_bytes(), 4 * one);
  clock_.Advance(absl::Seconds(1));
  volume->MarkUsed("kv/other", "1");  // after cache/other now

  const auto paths = [&] {
    std::set<std::string> paths;
    for (const Volume::Entry& entry : volume->List("")) paths.insert(absl::StrCat(entry.folder, "/", entry.name));
    return paths;
  };
  std::vector<std::string> gone;
  for (int i = 2; i < 6; ++i) {
    clock_.Advance(absl::Seconds(1));
    const std::set<std::string> before = paths();
    ASSERT_TRUE(Write(*volume, "kv/mine", absl::StrCat(i), payload).ok());
    const std::set<std::string> after = paths();
    std::set_difference(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(gone));
  }
  EXPECT_EQ(gone, std::vector<std::string>({"cache/other/1", "kv/other/1", "kv/mine/1", "kv/mine/2"}));
  EXPECT_NE(Read(*volume, "cache/mine", "1"), "");
  EXPECT_LE(volume->used_bytes(), 4 * one);
  EXPECT_EQ(Write(*volume, "kv/mine", "large", std::string(5 * one, 'x')).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(VolumeTest, SavingKvRemovesNoCacheThatIsInUse) {
  const auto volume = *Open();
  volume->Keep("cache/mine");
  volume->Keep("kv/mine");
  ASSERT_TRUE(Write(*volume, "cache/mine", "packed", std::string(1'000'000, 'x')).ok());
  files_.set_free_bytes((64 << 20) - 500'000);  // below what is left free, with more than enough for this
  EXPECT_TRUE(Write(*volume, "kv/mine", "1", "saved").ok());
  EXPECT_EQ(Read(*volume, "cache/mine", "packed").size(), 1'000'000);
  EXPECT_EQ(Read(*volume, "kv/mine", "1"), "saved");
}

TEST_F(VolumeTest, TakesHalfOfAFileSystemAtMost) {
  files_.set_free_bytes(20'000'000'000);
  EXPECT_EQ((*Open())->max_bytes(), 10'000'000'000);
  EXPECT_EQ((*Open(1000))->max_bytes(), 1000);
}

TEST_F(VolumeTest, TheBoundIsOfWholeFiles) {
  const std::string payload(1000, 'x');
  const uint64_t bound = 2 * (payload.size() + kOverhead) - 1;
  {
    const auto volume = *Open(bound);
    for (const char* name : {"1", "2", "3"}) ASSERT_TRUE(Write(*volume, "kv/a", name, payload).ok());
  }
  EXPECT_LE((*Open(bound))->used_bytes(), bound);
}

TEST_F(VolumeTest, AFullDiskStopsTheWritingAndNothingElse) {
  const auto volume = *Open();
  ASSERT_TRUE(Write(*volume, "cache/a", "1", "one").ok());
  volume->Keep("cache/a");
  EXPECT_FALSE(volume->full());
  files_.set_free_bytes(5000);
  EXPECT_EQ(Write(*volume, "cache/a", "2", std::string(6000, 'x')).code(), absl::StatusCode::kResourceExhausted);
  ExpectNothingTemporary();
  EXPECT_TRUE(volume->full());
  files_.set_free_bytes(1 << 20);
  EXPECT_EQ(Write(*volume, "cache/b", "2", "two").code(), absl::StatusCode::kResourceExhausted)
      << "until the next opening";
}

TEST_F(VolumeTest, MakesRoomForOthersOnTheDisk) {
  const auto volume = *Open();
  for (const char* name : {"1", "2", "3"}) {
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(Write(*volume, "kv/a", name, std::string(1'000'000, 'x')).ok());
  }
  files_.set_free_bytes(64 << 20);  // and so much is left free
  volume->MakeRoomOnDisk(1'500'000);
  EXPECT_EQ(files_.Paths(), std::vector<std::string>{"/v/kv/a/3"});
}

TEST_F(VolumeTest, ErasesAFolder) {
  const auto volume = *Open();
  for (const char* name : {"1", "2"}) ASSERT_TRUE(Write(*volume, "kv/a", name, "x").ok());
  ASSERT_TRUE(Write(*volume, "kv/b", "1", "x").ok());
  volume->RemoveFolder("kv/a");
  EXPECT_EQ(files_.Paths(), std::vector<std::string>{"/v/kv/b/1"});
}

// One life after another on one disk, each cut at a random change. Whatever is found then was written whole, what was
// committed is there, and nothing half done is left.
TEST_F(VolumeTest, IsWholeAfterAnyCut) {
  const std::vector<std::pair<std::string, std::string>> places = {
      {"cache/a", "weights"}, {"kv/a", "segment-0"}, {"kv/a", "segment-1"}, {"kv/b", "segment-0"}};
  std::vector<std::set<std::string>> possible(places.size(), {""});  // contents of each place
  int64_t longest = 0;
  for (uint32_t seed = 0; seed < 1200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const Cut cut = seed % 3 == 0 ? Cut::kKill : Cut::kPower;
    files_.CutAfter(1 + random() % 70, seed);
    auto volume = Open();
    for (int i = 0; volume.ok() && i < 8; ++i) {
      const size_t place = random() % places.size();
      const auto& [folder, name] = places[place];
      // One in eight has several chunks.
      const size_t size = random() % 8 == 0 ? 250000 + random() % 300000 : 1 + random() % 5000;
      const std::string payload = RandomBytes(size, seed * 100 + i);
      possible[place].insert(payload);
      if (!Write(**volume, folder, name, payload).ok()) break;
      possible[place] = {payload};
    }
    longest = std::max(longest, files_.operations());
    if (volume.ok()) volume->reset();
    files_.Restart(cut, seed);

    volume = Open();
    ASSERT_TRUE(volume.ok()) << volume.status();
    ExpectNothingTemporary();
    for (size_t place = 0; place < places.size(); ++place) {
      const std::string found = Read(**volume, places[place].first, places[place].second);
      ASSERT_TRUE(possible[place].contains(found)) << places[place].first << ": " << found.size() << " bytes";
      possible[place] = {found};
    }
    volume->reset();
    files_.Restart(Cut::kKill, 0);
  }
  EXPECT_GT(longest, 60) << "the cuts fall into the writing";
}

}  // namespace
}  // namespace spotinference
