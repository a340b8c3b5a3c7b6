#include "engine/notice/signal_source.h"

#include <glog/logging.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <utility>

namespace spotinference {
namespace {

class SignalSource : public NoticeSource {
 public:
  SignalSource(const StopSignal& signals, absl::Duration grace, const Clock& clock)
      : grace_(grace),
        clock_(clock),
        signals_(signalfd(-1, &signals.set(), SFD_CLOEXEC)),
        stop_(eventfd(0, EFD_CLOEXEC)) {
    PCHECK(signals_ >= 0 && stop_ >= 0);
  }

  ~SignalSource() override {
    const uint64_t one = 1;
    PCHECK(write(stop_, &one, sizeof one) == sizeof one);
    if (thread_.joinable()) thread_.join();
    close(signals_);
    close(stop_);
  }

  const std::string& name() const override { return name_; }

  void Watch(absl::AnyInvocable<void(const std::optional<Notice>&)> changed) override {
    changed_ = std::move(changed);
    thread_ = std::thread([this] { Run(); });
  }

  void Drained() override {}

 private:
  void Run() {
    for (;;) {
      pollfd ready[] = {{signals_, POLLIN, 0}, {stop_, POLLIN, 0}};
      if (poll(ready, 2, -1) < 0) continue;  // EINTR
      if (ready[1].revents != 0) return;
      signalfd_siginfo signal;
      if (read(signals_, &signal, sizeof signal) != sizeof signal) continue;
      changed_(Notice{name_, Notice::Kind::kStop, clock_.Elapsed() + grace_,
                      strsignal(static_cast<int>(signal.ssi_signo))});
    }
  }

  const std::string name_ = "sigterm";
  const absl::Duration grace_;
  const Clock& clock_;
  const int signals_, stop_;
  absl::AnyInvocable<void(const std::optional<Notice>&)> changed_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<NoticeSource> NewSignalSource(const StopSignal& signals, absl::Duration grace, const Clock& clock) {
  return std::make_unique<SignalSource>(signals, grace, clock);
}

}  // namespace spotinference
