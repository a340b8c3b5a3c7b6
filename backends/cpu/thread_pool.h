// The cpu backend's own threads. A job runs on all of them at once, the caller's included, and its parts meet at barriers.
#ifndef BACKENDS_CPU_THREAD_POOL_H_
#define BACKENDS_CPU_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace spotinference::cpu {

// As many as this process may run on.
int UsableThreads();

// One caller at a time.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // ≥ 1, the caller's included
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs job(thread) for thread = 0 … size − 1 and returns when all have.
  void Run(const std::function<void(int)>& job);

  // Inside a job: waits until every thread of it has come here.
  void Barrier();

  // Runs fn(begin, end) over pieces of 0 … count on all threads, as fast threads come for more.
  void ParallelFor(int64_t count, int64_t piece, const std::function<void(int64_t, int64_t)>& fn);

 private:
  void Work(int thread);
  // Spins a while, then sleeps until `word` is no longer `old`.
  static void Await(const std::atomic<uint32_t>& word, uint32_t old);

  std::vector<std::thread> workers_;
  const std::function<void(int)>* job_ = nullptr;
  bool stop_ = false;
  alignas(64) std::atomic<uint32_t> started_{0};  // jobs so far; workers wait on it
  alignas(64) std::atomic<uint32_t> arrived_{0};  // at the current barrier
  alignas(64) std::atomic<uint32_t> phase_{0};    // barriers passed
};

}  // namespace spotinference::cpu

#endif  // BACKENDS_CPU_THREAD_POOL_H_
