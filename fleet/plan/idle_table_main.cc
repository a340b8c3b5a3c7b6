// What idle time-outs cost: ./bazelw run //fleet/plan:idle_table [-- --requests FILE --wake 60s]
//
// One model on one machine that serves any number of requests at once, replayed against each policy. Arrivals are
// either a recorded hour (Azure's LLM inference trace: TIMESTAMP,ContextTokens,GeneratedTokens), thinned by seed and
// told again as many times as hours are wanted, each time another thinning; or made: sessions begin as a Poisson
// process whose rate follows the hour of the day, 1 + sin between 0 at 3 h and twice the mean at 15 h; a session has 8
// requests in the mean (geometric), 30 s apart (exponential). Prints Markdown.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "engine/base/flags.h"
#include "fleet/plan/idle_timeout.h"

ABSL_FLAG(std::string, requests, "", "a recorded hour of requests, to be thinned; none: only the made ones");
ABSL_FLAG(absl::Duration, wake, absl::Seconds(60), "from the first request to its first token on a hibernated machine");
ABSL_FLAG(int, hours, 240, "of each kind of arrivals");
ABSL_FLAG(int, seed, 1, "of thinning and making");

namespace spotinference::fleet {
namespace {

struct Request {
  double at, seconds;  // its arrival; how long it is served
};

constexpr double kSecondsPerToken = 0.02;  // 50 tokens a second and stream

std::vector<Request> ReadHour(const std::string& path) {
  std::ifstream file(path);
  std::vector<Request> requests;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    const std::vector<std::string> fields = absl::StrSplit(line, ',');
    absl::Time at;
    int tokens = 0;
    if (fields.size() != 3 || !absl::SimpleAtoi(fields[2], &tokens) ||
        !absl::ParseTime("%Y-%m-%d %H:%M:%E*S", fields[0], &at, nullptr)) {
      std::fprintf(stderr, "%s: not TIMESTAMP,ContextTokens,GeneratedTokens: '%s'\n", path.c_str(), line.c_str());
      std::exit(1);
    }
    requests.push_back({absl::ToDoubleSeconds(at - absl::UnixEpoch()), kSecondsPerToken * tokens});
  }
  if (requests.empty()) {
    std::fprintf(stderr, "%s: no requests\n", path.c_str());
    std::exit(1);
  }
  const double first = requests.front().at;
  for (Request& request : requests) request.at -= first;
  return requests;
}

std::vector<Request> Thinned(const std::vector<Request>& hour, double per_hour, int hours, std::mt19937_64& random) {
  std::bernoulli_distribution kept(std::min(1.0, per_hour / hour.size()));
  std::vector<Request> out;
  for (int h = 0; h < hours; ++h) {
    for (const Request& request : hour) {
      if (kept(random)) out.push_back({3600.0 * h + request.at, request.seconds});
    }
  }
  return out;
}

std::vector<Request> Made(double sessions_per_hour, int hours, std::mt19937_64& random) {
  std::exponential_distribution<double> next(2 * sessions_per_hour / 3600), pause(1 / 30.0);
  std::uniform_real_distribution<double> uniform;
  std::geometric_distribution<int> more(1 / 8.0);
  std::vector<Request> out;
  for (double at = next(random); at < 3600.0 * hours; at += next(random)) {
    const double hour = std::fmod(at / 3600, 24);
    if (uniform(random) > (1 + std::sin((hour - 9) * std::numbers::pi / 12)) / 2) continue;
    double when = at;
    for (int left = more(random) + 1; left > 0; --left, when += pause(random)) out.push_back({when, 2});
  }
  std::sort(out.begin(), out.end(), [](const Request& a, const Request& b) { return a.at < b.at; });
  return out;
}

struct Outcome {
  double busy = 0, idle = 0, waking = 0, waited = 0;  // seconds; of the machine, then of clients
  int wakes = 0;
};

// `timeout` is asked when the machine becomes idle, with the gap that will follow. It begins hibernated.
Outcome Replay(const std::vector<Request>& requests, double wake, const std::function<double(double gap)>& timeout) {
  Outcome out;
  double up_at = 0, free_at = 0;  // when the machine serves, and when it has nothing left to serve
  for (const Request& request : requests) {
    if (const double gap = request.at - free_at; gap > 0) {
      const double keep = out.wakes == 0 ? 0 : timeout(gap);
      out.idle += std::min(gap, keep);
      if (gap > keep) {
        out.waking += wake;
        ++out.wakes;
        up_at = request.at + wake;
      }
    }
    const double begin = std::max(request.at, up_at), end = begin + request.seconds;
    out.waited += begin - request.at;
    out.busy += std::max(0.0, end - std::max(free_at, begin));
    free_at = std::max(free_at, end);
  }
  return out;
}

void Print(const std::string& arrivals, const std::vector<Request>& requests, absl::Duration wake_time) {
  const double wake = absl::ToDoubleSeconds(wake_time);
  IdleTimeout learning;
  const auto fixed = [](double seconds) { return [seconds](double) { return seconds; }; };
  const double break_even = absl::ToDoubleSeconds(BreakEvenIdleTimeout(wake_time));
  const std::vector<std::pair<std::string, std::function<double(double)>>> policies = {
      {"1 min", fixed(60)},
      {"5 min", fixed(300)},
      {"20 min", fixed(1200)},
      {absl::StrCat("break-even, ", absl::FormatDuration(BreakEvenIdleTimeout(wake_time))), fixed(break_even)},
      {"`auto`",
       [&](double gap) {
         const double chosen = absl::ToDoubleSeconds(learning.Choose(wake_time));
         learning.AddGap(absl::Seconds(gap));
         return chosen;
       }},
      {"who knows the future", [&](double gap) { return gap <= break_even ? gap : 0; }},
  };
  for (const auto& [name, policy] : policies) {
    const Outcome o = Replay(requests, wake, policy);
    const double billed = o.busy + o.idle + o.waking, cost = o.idle + o.wakes * break_even;
    std::printf("| %s | %s | %.1f | %.1f | %d | %.2f | %.2f |\n", arrivals.c_str(), name.c_str(), billed / 3600,
                o.idle / 3600, o.wakes, o.waited / requests.size(), cost / 3600);
  }
}

int Main() {
  const int hours = absl::GetFlag(FLAGS_hours);
  const absl::Duration wake = absl::GetFlag(FLAGS_wake);
  std::mt19937_64 random(absl::GetFlag(FLAGS_seed));
  std::printf("| arrivals, %d h | idle time-out | machine h billed | of these idle | wakes | waited a request, s | "
              "idle + wakes at break-even, h |\n|---|---|---|---|---|---|---|\n", hours);
  if (const std::string path = absl::GetFlag(FLAGS_requests); !path.empty()) {
    const std::vector<Request> hour = ReadHour(UserPath(path));
    for (const double rate : {4.0, 12.0, 60.0}) {
      Print(absl::StrCat("recorded, thinned to ", rate, "/h"), Thinned(hour, rate, hours, random), wake);
    }
  }
  for (const double rate : {0.5, 2.0, 8.0}) {
    Print(absl::StrCat("made, ", rate, " sessions/h"), Made(rate, hours, random), wake);
  }
  return 0;
}

}  // namespace
}  // namespace spotinference::fleet

int main(int argc, char** argv) {
  spotinference::ParseFlags(argc, argv, "What idle time-outs cost, and how long clients wait.");
  return spotinference::fleet::Main();
}
