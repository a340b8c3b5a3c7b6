#include "engine/base/stop_signal.h"

#include <cstring>

namespace spotinference {

StopSignal::StopSignal() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

std::string StopSignal::Wait() const {
  int number = 0;
  sigwait(&signals_, &number);
  return strsignal(number);
}

}  // namespace spotinference
