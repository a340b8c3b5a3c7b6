// The seconds that GPUs were there and what they cost, by model, market and what they were used for. Beside them, and in
// no sum of theirs, what their machines' public addresses and own disks cost.
#ifndef FLEET_LEDGER_LEDGER_H_
#define FLEET_LEDGER_LEDGER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference::fleet {

enum class Use { kBusy, kIdle, kWaking, kLost };

absl::string_view UseName(Use use);
std::optional<Use> ParseUse(absl::string_view name);

// Not thread-safe. Times are Clock::Elapsed() and never step back.
class Ledger {
 public:
  struct Item {
    std::string model;
    std::string market;             // "spot" or "on_demand"
    double price_per_hour = 0;      // dollars
    double on_demand_per_hour = 0;  // what the same machine costs on demand; 0: not known
    double address_per_hour = 0;    // of its public address; 0: it has none, or that is free
    bool replaces = false;          // it starts in the place of one that was taken away or died
    int accelerators = 1;           // its time counts once for each

    friend bool operator==(const Item&, const Item&) = default;
  };
  struct Line {
    std::string model, market;
    Use use;
    absl::Duration time;  // of GPUs
    double dollars = 0;
  };

  // From `now` on the machine is used so, at this price. A machine is first heard of here.
  void Set(absl::string_view machine, const Item& item, Use use, absl::Duration now);

  // Line in detail.
  struct Entry {
    std::string model, market;
    Use use = Use::kIdle;
    std::string key;  // of busy time whose answers were told of; else ""
    absl::Duration time;
    double dollars = 0;
    double on_demand_dollars = 0;
    int64_t tokens = 0;
    std::string machine;  // of EntriesByMachine: whose run is not over; else ""
    double address_dollars = 0;
    double replacing_dollars = 0;  // of `dollars`, those of time with Item::replaces
  };

  // The answers on the machine from `now` on, by their keys: busy time is divided among them. A no-op for an unknown
  // machine.
  void SetAnswers(absl::string_view machine, std::map<std::string, int> by_key, absl::Duration now);

  // So many were generated for the key on a machine of the model's and market's, which may be gone by now.
  void CountTokens(const std::string& model, const std::string& market, const std::string& key, int64_t tokens);

  // From `now` on, which may have been some time ago, the machine costs nothing, whatever was told of it since, as far as
  // its last 32 changes reach. `charged`, where it is known: the dollars that the whole run has cost, from the first Set
  // on; what was booked of it is made to be as much, and what was booked of its address `address`. `on_demand`: what
  // such a run costs on demand; else in the proportion of what it has cost. A no-op for an unknown machine.
  void End(absl::string_view machine, absl::Duration now, std::optional<double> charged = std::nullopt,
           double address = 0, std::optional<double> on_demand = std::nullopt);

  // The run has never been: what was booked of it is taken back. A no-op for an unknown machine.
  void Drop(absl::string_view machine) { open_.erase(std::string(machine)); }

  // A machine was used so for a time that no Set tells of.
  void Book(absl::string_view machine, const Item& item, Use use, absl::Duration from, absl::Duration to);

  // What was not, or not yet, for as long as a run lasts; by model and kind, as StorageLine has them.
  struct Storage {
    double gigabyte_hours = 0, dollars = 0;
  };
  using StorageSums = std::map<std::pair<std::string, std::string>, Storage>;
  void BookStorage(const StorageSums& storage);
  const StorageSums& storage() const { return storage_; }

  // What a former life of the process had in its EntriesByMachine. Runs that were not over go on with their next Set.
  void Recall(const std::vector<Entry>& entries);

  // The machine's time in the run, which is not over; nullopt for an unknown machine.
  std::optional<absl::Duration> Time(absl::string_view machine, absl::Duration now) const;

  // The machines whose runs are not over and whose names begin with `prefix`.
  std::vector<std::string> OpenWithPrefix(absl::string_view prefix) const;

  // All that was billed up to `now`, by model, market and use.
  std::vector<Line> Totals(absl::Duration now) const;
  // By model, market, use and key.
  std::vector<Entry> Entries(absl::Duration now) const;
  std::vector<Entry> EntriesByMachine(absl::Duration now) const;
  double Dollars(absl::Duration now) const;  // of all of it
  double DollarsOf(absl::string_view model, absl::Duration now) const;

 private:
  using Key = std::tuple<std::string, std::string, Use, std::string>;  // model, market, use, key
  struct Sum {
    absl::Duration time;
    double dollars = 0, on_demand_dollars = 0;
    int64_t tokens = 0;
    double address_dollars = 0, replacing_dollars = 0;

    Sum& operator+=(const Sum& other);
  };
  using Sums = std::map<Key, Sum>;
  struct Piece {
    absl::Duration from, to;
    Sums sums;
  };
  struct Open {
    Item item;
    Use use = Use::kIdle;
    std::map<std::string, int> answers;  // by key
    absl::Duration since = absl::InfiniteDuration();  // infinite: it was recalled, and no Set has come yet
    Sums booked;         // up to `since`
    std::deque<Piece> latest;  // of these, the last few: the end may turn out to have been before
    double dollars = 0;  // the sum of these
  };

  static void Add(const Open& open, absl::Duration now, Sums& sums);
  static double Dollars(const Open& open, absl::Duration now);
  static void AddEntries(const Sums& sums, const std::string& machine, std::vector<Entry>& entries);
  static void TakeBack(Open& open, absl::Duration end);
  static void Charge(Open& open, double dollars, std::optional<double> on_demand);
  static void ChargeAddress(Open& open, double dollars);
  // Books what is open up to `now`; nullptr for an unknown machine.
  Open* Settle(absl::string_view machine, absl::Duration now);
  Sums All(absl::Duration now) const;

  std::map<std::string, Open, std::less<>> open_;  // by machine, while its run is not over
  Sums closed_;
  double closed_dollars_ = 0;  // its sum
  StorageSums storage_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_LEDGER_LEDGER_H_
