#include "engine/notice/silence_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace spotinference {
namespace {

constexpr absl::Duration kTouch = absl::Seconds(10);

class SilenceSource : public NoticeSource {
 public:
  SilenceSource(const Silence& silence, std::string contact_file, const Clock& clock, absl::Duration poll)
      : silence_(silence), contact_file_(std::move(contact_file)), clock_(clock), poll_(poll) {}

  ~SilenceSource() override {
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

  const std::string& name() const override { return name_; }

  void Watch(absl::AnyInvocable<void(const std::optional<Notice>&)> changed) override {
    changed_ = std::move(changed);
    thread_ = std::thread([this] { Run(); });
  }

  void Drained() override {}

 private:
  void Run() {
    absl::MutexLock lock(&mutex_);
    do {
      Look();
    } while (!mutex_.AwaitWithTimeout(absl::Condition(&stop_), poll_));
  }

  void Look() {
    const absl::Duration left = silence_.left();
    const absl::Duration lead = std::min(kSilenceNotice, silence_.limit() / 2);
    if (!stands_ && left <= lead) {
      stands_ = true;
      const std::string silent = absl::FormatDuration(silence_.limit() - left);
      changed_(Notice{name_, Notice::Kind::kStop, clock_.Elapsed() + left,
                      absl::StrCat("nobody has spoken to this machine for ", silent)});
    } else if (stands_ && left > lead) {
      stands_ = false;
      changed_(std::nullopt);
    }
    if (!contact_file_.empty() && silence_.heard_at() >= touched_at_ + kTouch) {
      touched_at_ = clock_.Elapsed();
      close(open(contact_file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
      utimensat(AT_FDCWD, contact_file_.c_str(), nullptr, 0);
    }
  }

  const std::string name_ = kSilence;
  const Silence& silence_;
  const std::string contact_file_;
  const Clock& clock_;
  const absl::Duration poll_;
  absl::AnyInvocable<void(const std::optional<Notice>&)> changed_;
  // The thread's own.
  bool stands_ = false;
  absl::Duration touched_at_ = clock_.Elapsed();

  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<NoticeSource> NewSilenceSource(const Silence& silence, std::string contact_file, const Clock& clock,
                                               absl::Duration poll) {
  return std::make_unique<SilenceSource>(silence, std::move(contact_file), clock, poll);
}

}  // namespace spotinference
