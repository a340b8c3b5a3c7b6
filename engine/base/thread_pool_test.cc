#include "engine/base/thread_pool.h"

#include <gtest/gtest.h>

#include <vector>

namespace spotinference {
namespace {

// Every piece runs once, and no stage begins before the one before it has ended; many runs, so that late threads meet new
// ones.
TEST(ThreadPool, RunsEveryPieceOnceAndStagesInOrder) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (int run = 0; run < 2000; ++run) {
      const std::vector<int> pieces{3, 1, 0, 7, 1 + run % 5, 2};
      std::vector<std::atomic<int>> done(pieces.size());
      std::atomic<bool> early{false};
      pool.Run(pieces, [&](int stage, int piece, int thread) {
        if (piece < 0 || piece >= pieces[stage] || thread < 0 || thread >= threads) early = true;
        for (int s = 0; s < stage; ++s) {
          if (done[s] != pieces[s]) early = true;
        }
        ++done[stage];
      });
      ASSERT_FALSE(early);
      for (size_t s = 0; s < pieces.size(); ++s) ASSERT_EQ(done[s], pieces[s]);
    }
  }
}

TEST(ThreadPool, ParallelForCoversTheRange) {
  ThreadPool pool(3);
  std::vector<int> seen(1001);
  pool.ParallelFor(1001, 10, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++seen[i];
  });
  for (const int n : seen) EXPECT_EQ(n, 1);
}

}  // namespace
}  // namespace spotinference
