#include "engine/base/thread_pool.h"

#include <immintrin.h>

#include <algorithm>

namespace spotinference {
namespace {

// About 20 µs of `pause`, at 40–140 cycles each: longer than the unequal ends of a stage, shorter than anyone notices. A
// futex wake costs 5–50 µs, which a decode step of some 300 stages could not pay each time.
constexpr int kSpins = 1000;

constexpr uint64_t kPieceBits = 20;
constexpr uint64_t kPieceMask = (uint64_t{1} << kPieceBits) - 1;
constexpr uint64_t kRunShift = 2 * kPieceBits;
constexpr uint64_t kRunMask = (uint64_t{1} << (64 - kRunShift)) - 1;

uint64_t Run(uint64_t word) { return word >> kRunShift; }
uint64_t Pieces(uint64_t word) { return (word >> kPieceBits) & kPieceMask; }
uint64_t Low(uint64_t word) { return word & kPieceMask; }

}  // namespace

ThreadPool::ThreadPool(int threads) : stages_(new Stage[kMaxStages]()) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { WorkerLoop(i); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  run_.fetch_add(uint64_t{1} << 16);
  run_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::WorkerLoop(int thread) {
  uint64_t seen = 0;
  for (;;) {
    uint64_t now = run_.load(std::memory_order_acquire);
    for (int i = 0; now == seen && i < kSpins; ++i) {
      _mm_pause();
      now = run_.load(std::memory_order_acquire);
    }
    while (now == seen) {
      run_.wait(seen, std::memory_order_acquire);
      now = run_.load(std::memory_order_acquire);
    }
    if (stop_.load()) return;
    seen = now;
    RunStages((now >> 16) & kRunMask, static_cast<int>(now & 0xffff), thread);
  }
}

bool ThreadPool::RunStages(uint64_t run, int stages, int thread) {
  for (int s = 0; s < stages; ++s) {
    Stage& stage = stages_[s];
    uint64_t next = stage.next.load(std::memory_order_acquire);
    while (spotinference::Run(next) == run && Low(next) < Pieces(next)) {
      if (!stage.next.compare_exchange_weak(next, next + 1, std::memory_order_acq_rel)) continue;
      (*work_.load(std::memory_order_acquire))(s, static_cast<int>(Low(next)), thread);
      const uint64_t done = stage.done.fetch_add(1, std::memory_order_acq_rel) + 1;
      if (Low(done) == Pieces(done)) stage.done.notify_all();
      next = stage.next.load(std::memory_order_acquire);
    }
    for (int i = 0;; ++i) {
      const uint64_t done = stage.done.load(std::memory_order_acquire);
      if (spotinference::Run(done) != run) return false;
      if (Low(done) == Pieces(done)) break;
      if (i < kSpins) _mm_pause();
      else stage.done.wait(done, std::memory_order_acquire);
    }
  }
  return true;
}

void ThreadPool::Run(absl::Span<const int> pieces, Work work) {
  if (workers_.empty()) {
    for (int s = 0; s < static_cast<int>(pieces.size()); ++s) {
      for (int piece = 0; piece < pieces[s]; ++piece) work(s, piece, 0);
    }
    return;
  }
  const uint64_t run = ((run_.load(std::memory_order_relaxed) >> 16) + 1) & kRunMask;
  work_.store(&work, std::memory_order_relaxed);
  for (size_t s = 0; s < pieces.size(); ++s) {
    const uint64_t word = run << kRunShift | static_cast<uint64_t>(pieces[s]) << kPieceBits;
    stages_[s].done.store(word, std::memory_order_relaxed);
    stages_[s].next.store(word, std::memory_order_release);
  }
  run_.store(run << 16 | pieces.size(), std::memory_order_release);
  run_.notify_all();
  RunStages(run, static_cast<int>(pieces.size()), 0);
}

void ThreadPool::ParallelFor(int64_t count, int64_t step, absl::FunctionRef<void(int64_t, int64_t)> fn) {
  const int pieces = static_cast<int>((count + step - 1) / step);
  Run({&pieces, 1}, [&](int, int piece, int) { fn(piece * step, std::min((piece + 1) * step, count)); });
}

}  // namespace spotinference
