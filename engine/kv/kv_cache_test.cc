#include "engine/kv/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "absl/strings/escaping.h"
#include "engine/kv/block_hash.h"

namespace spotinference {
namespace {

using ::testing::ElementsAre;

std::vector<uint32_t> Ids(int n, uint32_t first = 0) {
  std::vector<uint32_t> ids(n);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

std::string Hex(const BlockHash& hash) {
  return absl::BytesToHexString(
      {reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size()});
}

class KvCacheTest : public ::testing::Test {
 protected:
  // As a sequence with these ids does when it runs all of them in one step.
  KvSequence Run(const std::vector<uint32_t>& ids, absl::string_view salt = "") {
    KvSequence sequence = cache_.Open(salt);
    cache_.Extend(sequence, absl::MakeSpan(ids).first(ids.size() - 1));
    EXPECT_GE(cache_.Reserve(sequence, ids.size()), ids.size());
    cache_.Publish(sequence, ids);
    return sequence;
  }

  KvCache cache_{{.blocks = 6, .block_tokens = 4, .model_hash = "model", .numerics_id = "cpu"}};
};

// Expected values from Python's hashlib over the bytes that block_hash.h describes:
//   root = sha256(field(b"spotinference kv 1") + field(b"m") + field(b"n") + u32(4) + field(b"s"))
//   child = sha256(root + u32(1) + u32(2) + u32(3) + u32(0xfffffffe)); field(b) = u32(len(b)) + b;
//   u32 little-endian
TEST(BlockHashTest, IsSha256OfTheDocumentedBytes) {
  const BlockHash root = RootHash("m", "n", 4, "s");
  EXPECT_EQ(Hex(root), "f2a5b745983188fadefb9bf1f4d7df40675e2b23e4463bd49a1ef280793dafbd");
  EXPECT_EQ(Hex(ChildHash(root, {1, 2, 3, 0xfffffffe})),
            "dd817a4c5a227bac67cb9db6e3f7acb2159c467853b91cff3ddd1856c2723239");
}

TEST(BlockHashTest, FieldsDoNotRunIntoEachOther) {
  EXPECT_NE(RootHash("ab", "c", 16, ""), RootHash("a", "bc", 16, ""));
  EXPECT_NE(RootHash("m", "n", 16, "x"), RootHash("m", "nx", 16, ""));
  EXPECT_NE(RootHash("m", "n", 16, ""), RootHash("m", "n", 32, ""));
}

TEST_F(KvCacheTest, ALaterSequenceTakesTheFullBlocksOfAnEarlierOne) {
  KvSequence first = Run(Ids(10));
  KvSequence second = cache_.Open("");
  EXPECT_EQ(cache_.Extend(second, Ids(10)), 8);
  EXPECT_THAT(second.block_table(), ElementsAre(first.block_table()[0], first.block_table()[1]));
  EXPECT_EQ(cache_.references(second.block_table()[0]), 2);
  EXPECT_EQ(cache_.used(), 3);
  cache_.Release(first);
  EXPECT_EQ(cache_.used(), 2);
  cache_.Release(second);
  EXPECT_EQ(cache_.used(), 0);
  EXPECT_EQ(cache_.cached(), 2);
  EXPECT_TRUE(cache_.Verify({}).ok());
}

TEST_F(KvCacheTest, AnotherSaltSharesNothing) {
  KvSequence mine = Run(Ids(10), "mine");
  KvSequence yours = cache_.Open("yours");
  EXPECT_EQ(cache_.Extend(yours, Ids(10)), 0);
  cache_.Release(mine);
}

TEST_F(KvCacheTest, ABlockIsNotFoundBeforeItIsPublished) {
  KvSequence first = cache_.Open("");
  cache_.Reserve(first, 8);
  KvSequence second = cache_.Open("");
  EXPECT_EQ(cache_.Extend(second, Ids(8)), 0);
  cache_.Publish(first, Ids(7));
  EXPECT_EQ(cache_.Extend(second, Ids(8)), 4);
  cache_.Release(first);
  cache_.Release(second);
}

TEST_F(KvCacheTest, ExtendTakesNothingInTheMiddleOfAnOwnBlock) {
  KvSequence first = Run(Ids(8));
  KvSequence second = cache_.Open("");
  cache_.Reserve(second, 4);
  EXPECT_EQ(cache_.Extend(second, Ids(8)), 0);
  EXPECT_EQ(second.block_table().size(), 1);
  cache_.Release(first);
  cache_.Release(second);
}

TEST_F(KvCacheTest, OfTwoThatComputeTheSameBlockOneIsKept) {
  KvSequence first = cache_.Open("");
  KvSequence second = cache_.Open("");
  cache_.Reserve(first, 5);
  cache_.Reserve(second, 5);
  EXPECT_EQ(cache_.used(), 4);
  cache_.Publish(first, Ids(5));
  cache_.Publish(second, Ids(5));
  EXPECT_EQ(first.block_table()[0], second.block_table()[0]);
  EXPECT_NE(first.block_table()[1], second.block_table()[1]);
  EXPECT_EQ(cache_.used(), 3);
  EXPECT_TRUE(cache_.Verify({&first, &second}).ok()) << cache_.Verify({&first, &second});
  cache_.Release(first);
  cache_.Release(second);
  EXPECT_EQ(cache_.cached(), 1);
}

TEST_F(KvCacheTest, EvictsTheOldestLeafFirst) {
  KvSequence old = Run(Ids(12));
  KvSequence young = Run(Ids(12, 100));
  EXPECT_EQ(cache_.used(), 6);
  EXPECT_EQ(cache_.Reserve(young, 16), 12) << "all blocks are held";
  cache_.Release(old);
  cache_.Release(young);

  KvSequence other = cache_.Open("");
  EXPECT_EQ(cache_.Reserve(other, 8), 8);
  KvSequence again = cache_.Open("");
  EXPECT_EQ(cache_.Extend(again, Ids(12)), 4) << "two leaves of the older chain went";
  cache_.Release(again);  // now the younger chain is the older one
  EXPECT_EQ(cache_.Reserve(other, 16), 16);
  EXPECT_EQ(cache_.Extend(again, Ids(12)), 4);
  KvSequence young_again = cache_.Open("");
  EXPECT_EQ(cache_.Extend(young_again, Ids(12, 100)), 4);
  for (KvSequence* sequence : {&other, &again, &young_again}) cache_.Release(*sequence);
}

TEST_F(KvCacheTest, DropLastLeavesTheRestInUse) {
  KvSequence sequence = Run(Ids(10));
  EXPECT_EQ(cache_.DropLast(sequence), 8);
  EXPECT_EQ(cache_.DropLast(sequence), 4);
  EXPECT_EQ(cache_.cached(), 1);
  EXPECT_EQ(cache_.Extend(sequence, Ids(10)), 8) << "what was dropped is found again";
  EXPECT_TRUE(cache_.Verify({&sequence}).ok()) << cache_.Verify({&sequence});
  cache_.Release(sequence);
}

TEST_F(KvCacheTest, ListsWhatIsWorthMostFirst) {
  KvSequence old = Run(Ids(8));
  const int32_t root = old.block_table()[0], left = old.block_table()[1];
  std::vector<uint32_t> ids = Ids(8);
  ids[5] = 99;
  KvSequence live = Run(ids);  // shares the first block
  const int32_t right = live.block_table()[1];
  KvSequence gone = Run(Ids(4, 100));
  const int32_t last = gone.block_table()[0];
  cache_.Release(old);
  cache_.Release(gone);
  std::vector<int32_t> blocks;
  for (const KvCache::Named& named : cache_.PublishedBlocks()) {
    blocks.push_back(named.block);
    EXPECT_TRUE(cache_.Holds(named));
  }
  EXPECT_THAT(blocks, ElementsAre(root, right, last, left));
  const KvCache::Named evicted = cache_.PublishedBlocks().back();
  cache_.Reserve(live, 4 * 5);
  EXPECT_FALSE(cache_.Holds(evicted));
  cache_.Release(live);
}

TEST_F(KvCacheTest, WhatIsAwaitedIsWorthMoreThanWhatWasLetGoOfLast) {
  KvSequence first = Run(Ids(8));
  std::vector<uint32_t> ids = Ids(8);
  ids[5] = 99;
  KvSequence second = Run(ids);  // shares the first block
  KvSequence gone = Run(Ids(4, 100));
  const int32_t root = first.block_table()[0], left = first.block_table()[1], right = second.block_table()[1];
  const int32_t last = gone.block_table()[0];
  cache_.Release(first, /*comes_back=*/true);
  cache_.Release(second, /*comes_back=*/true);
  cache_.Release(gone);
  const auto blocks = [this] {
    std::vector<int32_t> blocks;
    for (const KvCache::Named& named : cache_.PublishedBlocks()) blocks.push_back(named.block);
    return blocks;
  };
  EXPECT_THAT(blocks(), testing::AnyOf(ElementsAre(root, left, right, last), ElementsAre(root, right, left, last)));
  cache_.ForgetAwaited();
  EXPECT_THAT(blocks(), ElementsAre(last, root, right, left));
}

TEST(KvCacheSimulationTest, HoldsItsInvariantsUnderRandomUse) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    KvCache cache({.blocks = 1 + static_cast<int32_t>(random() % 12), .block_tokens = 2});
    struct Live {
      KvSequence kv;
      std::vector<uint32_t> ids;
      int32_t computed;
    };
    std::vector<Live> live;
    for (int step = 0; step < 200; ++step) {
      if (live.empty() || random() % 4 == 0) {
        std::vector<uint32_t> ids(1 + random() % 12);
        for (uint32_t& id : ids) id = random() % 2;  // so that prefixes meet
        live.push_back({cache.Open(random() % 4 == 0 ? "other" : ""), ids, 0});
      }
      Live& one = live[random() % live.size()];
      switch (random() % 4) {
        case 0:
          one.computed = std::max(one.computed, cache.Extend(one.kv, one.ids));
          break;
        case 1:
        case 2:
          one.computed = std::max(
              one.computed, std::min<int32_t>(cache.Reserve(one.kv, 1 + random() % one.ids.size()),
                                              one.ids.size()));
          cache.Publish(one.kv, absl::MakeSpan(one.ids).first(one.computed));
          break;
        case 3:
          if (random() % 2 == 0 && !one.kv.block_table().empty()) {
            one.computed = std::min(one.computed, cache.DropLast(one.kv));
          } else {
            cache.Release(one.kv);
            std::swap(one, live.back());
            live.pop_back();
          }
      }
      std::vector<const KvSequence*> holders;
      for (const Live& each : live) holders.push_back(&each.kv);
      ASSERT_TRUE(cache.Verify(holders).ok())
          << "seed " << seed << " step " << step << ": " << cache.Verify(holders);
    }
    for (Live& each : live) cache.Release(each.kv);
    EXPECT_EQ(cache.used(), 0);
    EXPECT_TRUE(cache.Verify({}).ok());
  }
}

}  // namespace
}  // namespace spotinference
