#include "engine/notice/metadata_source.h"

#include <glog/logging.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace spotinference {
namespace {

class MetadataSource : public NoticeSource {
 public:
  MetadataSource(MetadataService service, const Clock& clock) : service_(std::move(service)), clock_(clock) {}

  ~MetadataSource() override {
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
    }
    client_.Cancel();
    if (thread_.joinable()) thread_.join();
  }

  const std::string& name() const override { return service_.name; }

  void Watch(absl::AnyInvocable<void(const std::optional<Notice>&)> changed) override {
    changed_ = std::move(changed);
    thread_ = std::thread([this] { Run(); });
  }

  void Drained() override {
    absl::MutexLock lock(&mutex_);
    drained_ = true;
  }

 private:
  void Run() {
    int failures = 0;
    while (!stopped()) {
      absl::Status status = Read();
      if (status.ok()) status = Acknowledge();
      if (stopped()) return;
      // Once, not every second: a machine may run for months where there is no such service.
      LOG_IF(WARNING, !status.ok() && failures == 0) << "notices of " << service_.name << ": " << status;
      LOG_IF(INFO, status.ok() && failures > 0) << "notices of " << service_.name << ": heard again";
      failures = status.ok() ? 0 : failures + 1;
      Wait(PauseAfter(service_, failures));
    }
  }

  absl::Status Read() {
    const absl::StatusOr<MetadataReading> reading = service_.read(client_);
    if (!reading.ok()) return reading.status();
    const bool doubted = std::exchange(doubted_, reading->notice != standing_ && reading->notice == before_);
    if (reading->notice == standing_ || (doubted_ && !doubted)) return absl::OkStatus();
    doubted_ = false;
    const bool stood = stops();
    before_ = std::exchange(standing_, reading->notice);
    acknowledged_ = false;
    if (!stood || !stops()) {
      absl::MutexLock lock(&mutex_);
      drained_ = false;  // the engine serves, or has to drain anew
    }
    if (!standing_.has_value()) {
      changed_(std::nullopt);
    } else {
      const absl::Duration left = TimeLeft(*standing_, reading->headers, clock_.Now());
      changed_(Notice{service_.name, standing_->kind, clock_.Elapsed() + left, standing_->reason});
    }
    return absl::OkStatus();
  }

  absl::Status Acknowledge() {
    {
      absl::MutexLock lock(&mutex_);
      if (!drained_) return absl::OkStatus();
    }
    if (acknowledged_ || doubted_ || service_.acknowledge == nullptr) return absl::OkStatus();
    if (!standing_.has_value() || standing_->event_id.empty()) return absl::OkStatus();
    const absl::Status told = service_.acknowledge(client_, standing_->event_id);
    acknowledged_ = told.ok();
    LOG_IF(INFO, told.ok()) << "notices of " << service_.name << ": event " << standing_->event_id << " may begin";
    return told;
  }

  bool stops() const { return standing_.has_value() && standing_->kind == Notice::Kind::kStop; }
  bool stopped() {
    absl::MutexLock lock(&mutex_);
    return stop_;
  }
  void Wait(absl::Duration d) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&stop_), d);
  }

  const MetadataService service_;
  const Clock& clock_;
  HttpClient client_;
  absl::AnyInvocable<void(const std::optional<Notice>&)> changed_;
  // The thread's own.
  std::optional<MetadataNotice> standing_, before_;
  bool doubted_ = false;  // the latest reading was as before_
  bool acknowledged_ = false;

  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool drained_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

absl::Duration PauseAfter(const MetadataService& service, int failures) {
  if (failures == 0) return service.interval;
  return std::min(service.retry * (int64_t{1} << std::min(failures - 1, 16)), service.max_retry);
}

std::unique_ptr<NoticeSource> NewMetadataSource(MetadataService service, const Clock& clock) {
  return std::make_unique<MetadataSource>(std::move(service), clock);
}

}  // namespace spotinference
