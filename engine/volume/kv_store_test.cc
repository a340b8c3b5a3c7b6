#include "engine/volume/kv_store.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/base/fake_clock.h"
#include "engine/volume/simulated_file_system.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

constexpr uint64_t kBlockBytes = 300000;  // 56 in a segment

BlockHash Hash(uint32_t i) { return ChildHash(BlockHash{}, {&i, 1}); }

// Block i's bytes are all its own.
std::vector<std::byte> Content(uint32_t i) {
  return std::vector<std::byte>(kBlockBytes, static_cast<std::byte>(i * 7 + 1));
}

std::vector<BlockHash> Hashes(uint32_t first, uint32_t count) {
  std::vector<BlockHash> hashes;
  for (uint32_t i = first; i < first + count; ++i) hashes.push_back(Hash(i));
  return hashes;
}

class KvStoreTest : public testing::Test {
 protected:
  KvStoreTest() { Reopen(); }

  void Reopen(const std::string& numerics_id = "cpu-1", uint64_t block_bytes = kBlockBytes,
              uint64_t max_bytes = KvStore::kMaxBytes, size_t max_segments = KvStore::kMaxSegments) {
    store_.reset();
    volume_.reset();
    volume_ = *Volume::Open(files_, {"/v"}, clock_);
    const KvStore::Options options{"model", numerics_id, block_bytes, max_bytes, max_segments};
    store_ = std::make_unique<KvStore>(*volume_, options, clock_);
  }
  size_t Save(uint32_t first, uint32_t count, absl::Duration budget = absl::Hours(1), absl::Duration each = {}) {
    return store_->Save(Hashes(first, count), budget, [&](size_t i, absl::Span<std::byte> to) {
      clock_.Advance(each);
      std::memcpy(to.data(), Content(first + i).data(), to.size());
      return absl::OkStatus();
    });
  }
  // Of `count` blocks from `first` on, those that are found, each checked.
  std::vector<uint32_t> Found(uint32_t first, uint32_t count) {
    std::vector<uint32_t> found;
    std::vector<std::byte> bytes(kBlockBytes);
    for (uint32_t i = first; i < first + count; ++i) {
      if (!store_->Read(Hash(i), absl::MakeSpan(bytes)).ok()) continue;
      EXPECT_TRUE(bytes == Content(i)) << i;
      found.push_back(i);
    }
    return found;
  }

  FakeClock clock_;
  SimulatedFileSystem files_;
  std::unique_ptr<Volume> volume_;
  std::unique_ptr<KvStore> store_;
};

TEST_F(KvStoreTest, ALaterOpeningFindsWhatWasSaved) {
  EXPECT_EQ(Save(0, 60), 60);
  EXPECT_EQ(Found(0, 61).size(), 60);
  Reopen();
  EXPECT_EQ(store_->blocks(), 60);
  EXPECT_EQ(Found(0, 61).size(), 60);
  EXPECT_FALSE(store_->Contains(Hash(60)));
  EXPECT_EQ(files_.Paths().size(), 2);
}

TEST_F(KvStoreTest, WhatIsThereIsNotWrittenAgain) {
  EXPECT_EQ(Save(0, 3), 3);
  EXPECT_EQ(Save(1, 3), 1);
  Reopen();
  EXPECT_EQ(Save(0, 5), 1);
  EXPECT_EQ(Found(0, 6).size(), 5);
}

TEST_F(KvStoreTest, AnotherNumericsIdOrBlockSizeFindsNothing) {
  Save(0, 3);
  Reopen("cpu-2");
  EXPECT_EQ(store_->blocks(), 0);
  Reopen("cpu-1", kBlockBytes + 1);
  EXPECT_EQ(store_->blocks(), 0);
  EXPECT_TRUE(files_.Paths().empty()) << "of no use to anybody";
}

TEST_F(KvStoreTest, ADamagedBlockIsAMissAndItsSegmentGoes) {
  Save(0, 60);
  const std::string path = files_.Paths()[0];
  for (const bool reopened : {false, true}) {
    if (reopened) Reopen();
    else EXPECT_EQ(Found(0, 60).size(), 60);
  }
  files_.Contents(path)[kObjectHeaderBytes + 4096 + 20 * kBlockBytes + 5] ^= 4;
  Reopen();
  EXPECT_EQ(store_->blocks(), 60) << "not read yet";
  const std::vector<uint32_t> found = Found(0, 60);
  EXPECT_LT(found.size(), 60);
  EXPECT_EQ(std::count(found.begin(), found.end(), 20), 0);
  EXPECT_EQ(files_.Paths().size(), 1);
  EXPECT_EQ(Found(0, 60), std::vector<uint32_t>({56, 57, 58, 59}));
}

TEST_F(KvStoreTest, ADamagedHeadIsAMiss) {
  Save(0, 3);
  const std::string path = files_.Paths()[0];
  files_.Contents(path)[kObjectHeaderBytes + 30] ^= 4;  // a hash
  Reopen();
  EXPECT_EQ(store_->blocks(), 0);
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(KvStoreTest, StopsInTime) {
  // A segment of 56 blocks takes 56 s.
  EXPECT_EQ(Save(0, 200, absl::Seconds(120), absl::Seconds(1)), 112) << "a third would end too late";
  Reopen();
  EXPECT_EQ(Found(0, 200).size(), 112) << "the first ones";
  EXPECT_EQ(Save(0, 200, absl::ZeroDuration()), 0);
}

TEST_F(KvStoreTest, WhatHasOutlivedItsTimeGoes) {
  Save(0, 3);
  clock_.Advance(absl::Hours(20));
  Save(10, 3);
  clock_.Advance(absl::Hours(5));
  Reopen();
  EXPECT_EQ(Found(0, 20), std::vector<uint32_t>({10, 11, 12}));
  EXPECT_EQ(files_.Paths().size(), 1);
}

TEST_F(KvStoreTest, WhatOutlivesItsTimeInARunningEngineIsNotUsed) {
  Save(0, 3);
  clock_.Advance(absl::Hours(25));
  EXPECT_FALSE(store_->Contains(Hash(0)));
  EXPECT_EQ(Save(0, 3), 3) << "it may be saved anew";
  EXPECT_EQ(files_.Paths().size(), 2);
  store_->DropOutlived();
  EXPECT_EQ(files_.Paths().size(), 1);
  EXPECT_EQ(Found(0, 3).size(), 3);
  clock_.Advance(absl::Hours(25));
  EXPECT_TRUE(Found(0, 3).empty());
  EXPECT_TRUE(files_.Paths().empty());
}

// Be it read to its last hour; and whoever it is of.
TEST_F(KvStoreTest, TimeCountsFromTheWriting) {
  Save(0, 3);
  clock_.Advance(absl::Hours(20));
  EXPECT_EQ(Found(0, 3).size(), 3);
  clock_.Advance(absl::Hours(3));
  Reopen("cpu-2");
  EXPECT_EQ(files_.Paths().size(), 1);
  clock_.Advance(absl::Hours(2));
  store_->DropOutlived();
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(KvStoreTest, TheLongestUnusedMakesRoom) {
  Reopen("cpu-1", kBlockBytes, 3'000'000);  // three segments of three
  for (const uint32_t first : {0, 10, 20}) {
    Save(first, 3);
    clock_.Advance(absl::Minutes(1));
  }
  EXPECT_EQ(Found(0, 1).size(), 1);
  clock_.Advance(absl::Minutes(1));
  Save(30, 3);
  EXPECT_EQ(Found(0, 40), std::vector<uint32_t>({0, 1, 2, 20, 21, 22, 30, 31, 32}));
  EXPECT_LE(volume_->used_bytes(), 3'000'000);
}

// Small ones, as short drains leave them, would use up the descriptors first.
TEST_F(KvStoreTest, SegmentsAreBounded) {
  for (const uint32_t first : {0, 10, 20, 30, 40}) {
    Save(first, 1);
    clock_.Advance(absl::Minutes(1));
  }
  Reopen("cpu-1", kBlockBytes, KvStore::kMaxBytes, /*max_segments=*/3);
  EXPECT_EQ(files_.Paths().size(), 3);
  Save(50, 1);
  EXPECT_EQ(files_.Paths().size(), 3);
  EXPECT_EQ(Found(0, 60), std::vector<uint32_t>({30, 40, 50}));
  EXPECT_EQ(Save(100, 250), 3 * 56) << "what was just saved does not make room for the rest";
}

TEST_F(KvStoreTest, WhatTheVolumeRemovesIsClosedAndNotFound) {
  Save(0, 3);
  for (const Volume::Entry& entry : volume_->List("")) volume_->Remove(entry.folder, entry.name);
  EXPECT_EQ(store_->blocks(), 0);
  Save(0, 3);
  EXPECT_EQ(Found(0, 3).size(), 3);
}

TEST_F(KvStoreTest, WhatAnotherBuildLeftGoesWithItsTime) {
  Save(0, 3);
  EXPECT_EQ(Found(0, 3).size(), 3);  // marks them as used now
  clock_.Advance(KvStore::kTimeToLive / 2);
  Reopen("cpu-2");
  EXPECT_FALSE(volume_->List("").empty());
  clock_.Advance(KvStore::kTimeToLive);
  Reopen("cpu-2");
  EXPECT_TRUE(volume_->List("").empty());
}

TEST_F(KvStoreTest, IsErased) {
  Save(0, 3);
  Reopen("cpu-2");
  Save(0, 3);
  EXPECT_TRUE(EraseKv(*volume_).ok());
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(KvStoreTest, AFullDiskLosesTheRestAndNothingElse) {
  Save(0, 3);
  files_.set_free_bytes(1'000'000);
  EXPECT_EQ(Save(10, 60), 0);
  EXPECT_TRUE(volume_->full());
  EXPECT_EQ(Found(0, 3).size(), 3);
}

}  // namespace
}  // namespace spotinference
