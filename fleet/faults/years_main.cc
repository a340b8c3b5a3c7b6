// ./bazelw run //fleet:years -- --years 1000 --seed S: so many years of simulated fleets, each a fifth of one and drawn
// from a seed of its own, S, S + 1, …; what broke is told with its seed, which breaks again.
#include <glog/logging.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "engine/base/flags.h"
#include "fleet/faults/fleet_life.h"

ABSL_FLAG(double, years, 1, "of simulated time; a fleet lives for a fifth of one");
ABSL_FLAG(uint64_t, seed, 1, "of the first fleet");
ABSL_FLAG(size_t, events, 60, "of a fleet whose invariant broke: so many of the last");
ABSL_FLAG(int, threads, 1, "fleets at a time");

namespace spotinference::fleet {
namespace {

constexpr double kYears = 0.2;  // of one fleet

struct Tally {
  std::mutex mutex;
  int64_t done = 0;
  std::vector<uint64_t> broken;
  FleetLife::Counts sum;

  void Add(const FleetLife::Counts& counts) {
    sum.served += counts.served;
    sum.refused += counts.refused;
    sum.resumed += counts.resumed;
    sum.cut_off += counts.cut_off;
    sum.launches += counts.launches;
    sum.restores += counts.restores;
    sum.deaths += counts.deaths;
    sum.reclaims += counts.reclaims;
    sum.orphans += counts.orphans;
    sum.discards += counts.discards;
    sum.dollars += counts.dollars;
    sum.untold += counts.untold;
    sum.storage_dollars += counts.storage_dollars;
    sum.storage_untold += counts.storage_untold;
    sum.upkeep_dollars += counts.upkeep_dollars;
    sum.upkeep_untold += counts.upkeep_untold;
  }
};

void RunOne(uint64_t seed, int64_t fleets, Tally& tally) {
  FleetLife life({.seed = seed, .length = kYears * absl::Hours(24 * 365), .events = absl::GetFlag(FLAGS_events)});
  life.Run();
  const std::lock_guard<std::mutex> lock(tally.mutex);
  tally.Add(life.counts());
  ++tally.done;
  if (life.broken().has_value()) {
    tally.broken.push_back(seed);
    for (const std::string& event : life.events()) std::cerr << "  " << event << "\n";
    std::cerr << "seed " << seed << " breaks: " << *life.broken() << "\n  again: --years " << kYears << " --seed "
              << seed << "\n";
  }
  if (tally.done % 50 == 0) std::cerr << tally.done << " of " << fleets << " fleets\n";
}

int Main() {
  FLAGS_minloglevel = google::GLOG_FATAL;
  setenv("TZ", "UTC", /*overwrite=*/0);  // else libc asks for /etc/localtime at each line that is not logged
  // Debian's Abseil looks for cycles of locks whenever one is taken, under a lock of all threads; tests have it do so.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const auto fleets = static_cast<int64_t>(std::ceil(absl::GetFlag(FLAGS_years) / kYears));
  const uint64_t first = absl::GetFlag(FLAGS_seed);
  const absl::Time began = absl::Now();
  Tally tally;
  std::atomic<int64_t> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < std::max(1, absl::GetFlag(FLAGS_threads)); ++i) {
    threads.emplace_back([&] {
      for (int64_t fleet = next++; fleet < fleets; fleet = next++) RunOne(first + fleet, fleets, tally);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const FleetLife::Counts& sum = tally.sum;
  const auto tell = [](const char* what, auto value) { std::cout << absl::StrFormat("%-21s%12d\n", what, value); };
  const auto tell_real = [](const char* what, double value) {
    std::cout << absl::StrFormat("%-21s%12.2f\n", what, value);
  };
  tell_real("fleet-years", tally.done * kYears);
  tell("fleets", tally.done);
  tell("machines bought", sum.launches);
  tell("machines restored", sum.restores);
  tell("machines taken away", sum.reclaims);
  tell("unknown ones stopped", sum.orphans);
  tell("volumes deleted", sum.discards);
  tell("controllers killed", sum.deaths);
  tell("requests served", sum.served);
  tell("  refused", sum.refused);
  tell("  went on elsewhere", sum.resumed);
  tell("  died with gateways", sum.cut_off);
  tell_real("billed, dollars", sum.dollars);
  tell_real("  runs not all told", sum.untold);
  tell_real("volumes, dollars", sum.storage_dollars);
  tell_real("  not all told", sum.storage_untold);
  tell_real("disks, dollars", sum.upkeep_dollars);
  tell_real("  not all told", sum.upkeep_untold);
  tell_real("seconds", absl::ToDoubleSeconds(absl::Now() - began));
  tell("broken invariants", tally.broken.size());
  return tally.broken.empty() ? 0 : 1;
}

}  // namespace
}  // namespace spotinference::fleet

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv, "Simulates years of fleets with faults, and says which invariant broke.");
  return spotinference::fleet::Main();
}
