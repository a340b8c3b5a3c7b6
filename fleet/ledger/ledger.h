// The seconds that machines existed, by model and by what they were used for.
#ifndef FLEET_LEDGER_LEDGER_H_
#define FLEET_LEDGER_LEDGER_H_

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference::fleet {

enum class Use { kBusy, kIdle, kWaking, kLost };

absl::string_view UseName(Use use);

// Not thread-safe. Times are Clock::Elapsed() and never step back.
class Ledger {
 public:
  struct Line {
    std::string model;
    Use use;
    absl::Duration time;
  };

  // From `now` on the machine is used so. A machine is first heard of here.
  void Set(absl::string_view machine, absl::string_view model, Use use, absl::Duration now);

  // From `now` on the machine costs nothing; what it cost stays. A no-op for an unknown machine.
  void End(absl::string_view machine, absl::Duration now);

  // All that was billed up to `now`, by model and use.
  std::vector<Line> Totals(absl::Duration now) const;

 private:
  using Key = std::pair<std::string, Use>;  // model, use
  struct Open {
    Key key;
    absl::Duration since;
  };

  std::map<std::string, Open, std::less<>> open_;  // by machine
  std::map<Key, absl::Duration> closed_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_LEDGER_LEDGER_H_
