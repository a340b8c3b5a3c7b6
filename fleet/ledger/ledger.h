// The seconds that machines existed and what they cost, by model, market and what they were used for.
#ifndef FLEET_LEDGER_LEDGER_H_
#define FLEET_LEDGER_LEDGER_H_

#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference::fleet {

enum class Use { kBusy, kIdle, kWaking, kLost };

absl::string_view UseName(Use use);

// Not thread-safe. Times are Clock::Elapsed() and never step back.
class Ledger {
 public:
  struct Item {
    std::string model;
    std::string market;         // "spot" or "on_demand"
    double price_per_hour = 0;  // dollars
  };
  struct Line {
    std::string model, market;
    Use use;
    absl::Duration time;
    double dollars = 0;
  };

  // From `now` on the machine is used so, at this price. A machine is first heard of here.
  void Set(absl::string_view machine, const Item& item, Use use, absl::Duration now);

  // From `now` on the machine costs nothing; what it cost stays. A no-op for an unknown machine.
  void End(absl::string_view machine, absl::Duration now);

  // All that was billed up to `now`, by model, market and use.
  std::vector<Line> Totals(absl::Duration now) const;
  double Dollars(absl::Duration now) const;  // of all of it

 private:
  using Key = std::tuple<std::string, std::string, Use>;  // model, market, use
  struct Total {
    absl::Duration time;
    double dollars = 0;
  };
  struct Open {
    Key key;
    double price_per_hour = 0;
    absl::Duration since;
  };
  static void Add(const Open& open, absl::Duration now, Total& total);

  std::map<std::string, Open, std::less<>> open_;  // by machine
  std::map<Key, Total> closed_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_LEDGER_LEDGER_H_
