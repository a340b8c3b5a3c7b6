// Threads that work together on one thing after another, the caller's included. A job is a row of stages; a stage is a number of pieces that any
// thread may take; a stage begins when all pieces of the one before it are done.
//
// Nobody waits for a thread, only for a piece that a thread has taken: one that the system has put aside, on a machine
// with other work to do, costs nothing while it holds none.
#ifndef ENGINE_BASE_THREAD_POOL_H_
#define ENGINE_BASE_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

namespace spotinference {

// One caller at a time.
class ThreadPool {
 public:
  // fn(stage, piece, thread), thread = 0 … size − 1
  using Work = absl::FunctionRef<void(int, int, int)>;

  explicit ThreadPool(int threads);  // ≥ 1, the caller's included
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs pieces[s] pieces of each stage s, in order of the stages, and returns when all are done. At most kMaxStages
  // stages of fewer than 2^20 pieces.
  static constexpr int kMaxStages = 8192;
  void Run(absl::Span<const int> pieces, Work work);

  // One stage: fn(begin, end) over 0 … count in steps of `step`.
  void ParallelFor(int64_t count, int64_t step, absl::FunctionRef<void(int64_t, int64_t)> fn);

 private:
  // A stage's state in one word each, with the run's number, so that a thread which comes late from an earlier run takes
  // nothing from this one.
  struct Stage {
    std::atomic<uint64_t> next;  // run << 40 | pieces << 20 | first piece that nobody has taken
    std::atomic<uint64_t> done;  // run << 40 | pieces << 20 | pieces done
  };

  void WorkerLoop(int thread);
  // False: the run is over.
  bool RunStages(uint64_t run, int stages, int thread);

  std::vector<std::thread> workers_;
  std::unique_ptr<Stage[]> stages_;
  std::atomic<const Work*> work_{nullptr};   // read by who has taken a piece
  alignas(64) std::atomic<uint64_t> run_{0};  // run << 16 | stages; workers wait on it
  std::atomic<bool> stop_{false};
};

}  // namespace spotinference

#endif  // ENGINE_BASE_THREAD_POOL_H_
