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

StopSignal::Ends::Ends(const StopSignal& stop) : stop_(stop) { pthread_sigmask(SIG_UNBLOCK, &stop.signals_, nullptr); }
StopSignal::Ends::~Ends() { pthread_sigmask(SIG_BLOCK, &stop_.signals_, nullptr); }

}  // namespace spotinference
