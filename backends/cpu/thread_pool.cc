#include "backends/cpu/thread_pool.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>

namespace spotinference::cpu {
namespace {

// About 20 µs of `pause` at 40–140 cycles each: longer than the unequal ends of a stage, shorter than a person's idea of
// a busy machine. A futex wake costs 5–50 µs, which a decode step of some 300 barriers could not pay.
constexpr int kSpins = 1000;

}  // namespace

int UsableThreads() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
  return std::max(1, CPU_COUNT(&set));
}

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { Work(i); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  started_.fetch_add(1, std::memory_order_release);
  started_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Await(const std::atomic<uint32_t>& word, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

void ThreadPool::Work(int thread) {
  for (uint32_t seen = 0;; ++seen) {
    Await(started_, seen);
    if (stop_) return;
    (*job_)(thread);
    Barrier();
  }
}

void ThreadPool::Run(const std::function<void(int)>& job) {
  if (workers_.empty()) return job(0);
  job_ = &job;
  started_.fetch_add(1, std::memory_order_release);
  started_.notify_all();
  job(0);
  Barrier();
}

void ThreadPool::Barrier() {
  if (workers_.empty()) return;
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == workers_.size()) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
  } else {
    Await(phase_, phase);
  }
}

void ThreadPool::ParallelFor(int64_t count, int64_t piece, const std::function<void(int64_t, int64_t)>& fn) {
  std::atomic<int64_t> next{0};
  Run([&](int) {
    for (int64_t at; (at = next.fetch_add(piece, std::memory_order_relaxed)) < count;) {
      fn(at, std::min(at + piece, count));
    }
  });
}

}  // namespace spotinference::cpu
