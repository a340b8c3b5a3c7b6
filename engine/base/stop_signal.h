// How a server is told to stop.
#ifndef ENGINE_BASE_STOP_SIGNAL_H_
#define ENGINE_BASE_STOP_SIGNAL_H_

#include <signal.h>

#include <string>

namespace spotinference {

// Makes SIGTERM and SIGINT something to wait for, and a write to a closed connection an error instead of an end. To be made
// before any thread starts: threads inherit it.
class StopSignal {
 public:
  StopSignal();

  // Returns when one has come, with its name.
  std::string Wait() const;

  // While it lives, they end the process as they do by default: for a start that may wait long and has nothing to save. On
  // the thread that made the StopSignal.
  class Ends {
   public:
    explicit Ends(const StopSignal& stop);
    ~Ends();
    Ends(const Ends&) = delete;
    Ends& operator=(const Ends&) = delete;

   private:
    const StopSignal& stop_;
  };

  // For signalfd; either that or Wait.
  const sigset_t& set() const { return signals_; }

 private:
  sigset_t signals_;
};

}  // namespace spotinference

#endif  // ENGINE_BASE_STOP_SIGNAL_H_
