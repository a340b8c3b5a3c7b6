// What becomes of one life of a machine, from its start to its end: the word of the fleet to those who hold leases on it,
// and theirs to the fleet.
#ifndef FLEET_API_MACHINE_LIFE_H_
#define FLEET_API_MACHINE_LIFE_H_

#include <atomic>

#include "absl/strings/string_view.h"

namespace spotinference::fleet {

// Thread-safe.
class MachineLife {
 public:
  enum class End {
    kNone,        // it goes on, as far as the fleet knows
    kNotice,      // it will be taken away
    kHang,        // its engine does not even answer a question about its health
    kStalled,     // its engine answers, but takes no step any more: what it works on may be why
    kKilled,      // an admin's order
    kHibernated,  // the same, or nobody needed it
    kLost,        // gone without a word
    kCrashed,     // its engine died by itself, the machine lives: what the engine worked on may be why
  };

  End end() const { return end_.load(); }
  // The first word counts.
  void EndBy(End end) {
    End none = End::kNone;
    end_.compare_exchange_strong(none, end);
  }

  // It may have ended; nobody knows yet.
  bool doubted() const { return doubted_.load() && end() == End::kNone; }
  void Doubt(bool doubted) { doubted_.store(doubted); }

  // Which request crashed it is known; no other one is blamed for it.
  bool explained() const { return explained_.load(); }
  void Explain() { explained_.store(true); }

  // An answer has got an id from its engine: it can serve.
  bool served() const { return served_.load(); }
  void NoteServed() { served_.store(true); }

 private:
  std::atomic<End> end_{End::kNone};
  std::atomic<bool> doubted_{false};
  std::atomic<bool> explained_{false};
  std::atomic<bool> served_{false};
};

// As in stream_resumes_total{reason}.
inline absl::string_view EndName(MachineLife::End end) {
  switch (end) {
    case MachineLife::End::kNotice: return "notice";
    case MachineLife::End::kHang:
    case MachineLife::End::kStalled: return "hang";
    case MachineLife::End::kKilled: return "killed";
    case MachineLife::End::kHibernated: return "hibernated";
    case MachineLife::End::kNone:  // it is not known yet
    case MachineLife::End::kLost:
    case MachineLife::End::kCrashed: break;
  }
  return "lost";
}

}  // namespace spotinference::fleet

#endif  // FLEET_API_MACHINE_LIFE_H_
