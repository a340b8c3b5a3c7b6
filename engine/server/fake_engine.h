// The engine of tests.
#ifndef ENGINE_SERVER_FAKE_ENGINE_H_
#define ENGINE_SERVER_FAKE_ENGINE_H_

#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "engine/server/engine.h"
#include "gtest/gtest.h"

namespace spotinference {

// An engine that does nothing by itself: a test plays its thread.
class FakeEngine : public Engine {
 public:
  FakeEngine() { info_ = {"hash", "numerics", "fake", "a test", 100, 50}; }
  const EngineInfo& info() const override { return info_; }
  bool ReadsVolume(const EngineRequest&) const override { return false; }
  absl::StatusOr<SequenceId> Submit(EngineRequest request, std::shared_ptr<TokenSink> sink) override {
    absl::MutexLock lock(&mutex_);
    for (const absl::Status& refusal : {refusal_, handed_over_}) {
      if (!refusal.ok()) return refusal;
    }
    request_ = std::move(request);
    sink_ = std::move(sink);
    return SequenceId{7};
  }
  void Cancel(SequenceId id) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(id, SequenceId{7});
    cancelled_ = true;
    sink_ = nullptr;
  }
  void Resume(SequenceId id) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(id, SequenceId{7});
    ++resumed_;
  }
  void Drain(absl::Duration deadline, absl::AnyInvocable<void(uint32_t)> done) override {
    deadline_ = deadline;
    done(3);
  }
  uint32_t HandOver(const absl::Status& why) override {
    std::shared_ptr<TokenSink> sink;
    {
      absl::MutexLock lock(&mutex_);
      handed_over_ = why;
      sink = std::move(sink_);
    }
    if (sink != nullptr) sink->OnEnd(why);
    return sink != nullptr ? 1 : 0;
  }
  void Admit() override {
    absl::MutexLock lock(&mutex_);
    handed_over_ = absl::OkStatus();
  }
  EngineStats Stats() const override {
    EngineStats stats;
    stats.scheduler.running_sequences = 1;
    stats.scheduler.waiting_sequences = 2;
    stats.scheduler.cached_tokens = 3;
    stats.kv_blocks_total = 4;
    stats.weight_bytes = 5;
    stats.volume_full = true;
    stats.steps = 6;
    stats.busy = absl::Microseconds(7);
    stats.draining = deadline_ > absl::ZeroDuration() || !handed_over().ok();
    stats.active_sequences = 8;
    return stats;
  }

  void Refuse(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    refusal_ = std::move(status);
  }
  std::shared_ptr<TokenSink> AwaitSink() {
    absl::MutexLock lock(&mutex_);
    const auto there = [&] { return sink_ != nullptr; };
    mutex_.Await(absl::Condition(&there));
    return sink_;
  }
  EngineRequest request() {
    absl::MutexLock lock(&mutex_);
    return request_;
  }
  void AwaitCancelled() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&cancelled_));
  }
  int resumed() {
    absl::MutexLock lock(&mutex_);
    return resumed_;
  }
  void AwaitResumed(int count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return resumed_ >= count; };
    mutex_.Await(absl::Condition(&enough));
  }
  absl::Duration deadline() const { return deadline_; }
  absl::Status handed_over() const {  // OK: it admits
    absl::MutexLock lock(&mutex_);
    return handed_over_;
  }

 private:
  EngineInfo info_;
  absl::Duration deadline_;
  mutable absl::Mutex mutex_;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  absl::Status handed_over_ ABSL_GUARDED_BY(mutex_);
  EngineRequest request_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<TokenSink> sink_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  int resumed_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace spotinference

#endif  // ENGINE_SERVER_FAKE_ENGINE_H_
