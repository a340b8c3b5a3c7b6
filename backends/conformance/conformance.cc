#include "backends/conformance/conformance.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <random>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "backends/conformance/case.h"
#include "backends/conformance/op_cases.h"
#include "backends/conformance/picks.h"
#include "engine/base/status.h"

namespace spotinference::conformance {
namespace {

struct Devices {
  std::unique_ptr<Device> one_thread;
  std::unique_ptr<Device> two_threads;  // null: there is no such thing
  std::unique_ptr<Device> oracle;
};

double NormalisedError(absl::Span<const float> actual, absl::Span<const float> expected) {
  double error = 0, size = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    error += (double{actual[i]} - expected[i]) * (double{actual[i]} - expected[i]);
    size += double{expected[i]} * expected[i];
  }
  return size > 0 ? error / size : error;
}

// Whether the rows of the tokens in `schedule` have the same bits, or, where some normalised error is `allowed`, that.
absl::Status Same(const Case& test, const Schedule& schedule, int width,
                  const std::vector<float>& actual, const std::vector<float>& expected,
                  absl::string_view how, double allowed) {
  if (allowed > 0) {
    std::vector<float> some, wanted;
    for (const std::vector<int>& step : schedule) {
      for (int t : step) {
        some.insert(some.end(), &actual[static_cast<size_t>(t) * width], &actual[static_cast<size_t>(t + 1) * width]);
        wanted.insert(wanted.end(), &expected[static_cast<size_t>(t) * width], &expected[static_cast<size_t>(t + 1) * width]);
      }
    }
    const double error = NormalisedError(some, wanted);
    if (error <= allowed) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("normalised error ", error, " ", how, ", allowed ", allowed));
  }
  for (const std::vector<int>& step : schedule) {
    for (int t : step) {
      const size_t at = static_cast<size_t>(t) * width;
      if (std::memcmp(&actual[at], &expected[at], width * sizeof(float)) == 0) continue;
      return absl::InternalError(absl::StrCat(
          "other bits ", how, ": sequence ", test.tokens[t].sequence, ", position ",
          test.tokens[t].position, ", first element ", actual[at], " for ", expected[at]));
    }
  }
  return absl::OkStatus();
}

// Sequence 0 full of NaN and infinities, in a cache that is then full of them too.
absl::Status CheckPoison(const Case& test, CaseRun& run, const std::vector<float>& expected,
                         std::mt19937& random, double allowed) {
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity()};
  const auto poisoned = [&](auto is_bad) {
    std::vector<std::vector<float>> inputs = test.inputs;
    for (std::vector<float>& input : inputs) {
      const size_t width = input.size() / test.tokens.size();
      for (size_t i = 0; i < input.size(); ++i) {
        if (is_bad(test.tokens[i / width].sequence)) input[i] = bad[i % 3];
      }
    }
    return inputs;
  };
  const Schedule all = OneStep(test);
  for (int i = 0; i < 3; ++i) {  // three draws of blocks leave hardly one clean
    RETURN_IF_ERROR(run.Run(all, poisoned([](int) { return true; }), random).status());
  }
  ASSIGN_OR_RETURN(const std::vector<float> out,
                   run.Run(all, poisoned([](int s) { return s == 0; }), random));
  for (int s = 1; s < test.sequences(); ++s) {
    RETURN_IF_ERROR(
        Same(test, Alone(test, s), run.width(), out, expected, "beside NaN and infinity", allowed));
  }
  return absl::OkStatus();
}

absl::Status Check(const Case& test, const Devices& devices, const Registration& r, double* error) {
  std::mt19937 random(1);
  ASSIGN_OR_RETURN(const std::unique_ptr<CaseRun> oracle, CaseRun::Create(test, *devices.oracle));
  ASSIGN_OR_RETURN(const std::unique_ptr<CaseRun> run, CaseRun::Create(test, *devices.one_thread));
  const Schedule all = OneStep(test);
  ASSIGN_OR_RETURN(const std::vector<float> expected, oracle->Run(all, random));
  ASSIGN_OR_RETURN(const std::vector<float> out, run->Run(all, random));
  *error = NormalisedError(out, expected);
  const double tolerance = test.tolerance(r.rounding);
  if (!(*error <= tolerance)) {
    return absl::InternalError(absl::StrCat("normalised error ", *error, ", allowed ", tolerance));
  }

  // Two runs, each off by as much as it may be from what is right.
  const double allowed = r.batch_invariant ? 0 : 4 * tolerance;
  if (!test.inputs.empty()) RETURN_IF_ERROR(CheckPoison(test, *run, out, random, allowed));
  for (int s = 0; s < test.sequences(); ++s) {
    ASSIGN_OR_RETURN(const std::vector<float> alone, run->Run(Alone(test, s), random));
    RETURN_IF_ERROR(Same(test, Alone(test, s), run->width(), alone, out, "alone", allowed));
  }
  for (int i = 0; i < 3; ++i) {
    const Schedule chunks = RandomChunks(test, random);
    ASSIGN_OR_RETURN(const std::vector<float> chunked, run->Run(chunks, random));
    RETURN_IF_ERROR(Same(test, chunks, run->width(), chunked, out, absl::StrCat("in ", chunks.size(), " steps"), allowed));
  }
  if (devices.two_threads == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<CaseRun> threaded,
                   CaseRun::Create(test, *devices.two_threads));
  for (const Schedule& schedule : {all, RandomChunks(test, random)}) {
    ASSIGN_OR_RETURN(const std::vector<float> other, threaded->Run(schedule, random));
    RETURN_IF_ERROR(Same(test, schedule, run->width(), other, out, "with two threads", allowed));
  }
  return absl::OkStatus();
}

// Prints the time of a step with all tokens, the best of many.
absl::Status Time(const Case& test, Device& device) {
  std::mt19937 random(1);
  ASSIGN_OR_RETURN(const std::unique_ptr<CaseRun> run, CaseRun::Create(test, device));
  const Schedule all = OneStep(test);
  using Seconds = std::chrono::duration<double>;
  Seconds best{1e9}, total{0};
  while (total < Seconds(0.1)) {
    const auto begin = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(run->Run(all, random).status());
    const Seconds took = std::chrono::steady_clock::now() - begin;
    best = std::min(best, took);
    total += took;
  }
  std::printf("%-56s %10.1f us %8.2f GB/s %8.2f GFLOP/s\n", test.name.c_str(), best.count() * 1e6,
              test.bytes / best.count() * 1e-9, test.operations / best.count() * 1e-9);
  return absl::OkStatus();
}

const Exception* Find(const std::vector<Exception>& exceptions, absl::string_view name) {
  const auto found = absl::c_find_if(
      exceptions, [&](const Exception& e) { return absl::StartsWith(name, e.prefix); });
  return found == exceptions.end() ? nullptr : &*found;
}

struct Options {
  bool perf = false;
  std::string only;
  int shard = 0, shards = 1;  // of the cases: see InShard
  std::vector<Case> cases;
};

// As Bazel tells a test of several shards, and wants to be answered.
void ReadShard(Options& options) {
  const char* const total = std::getenv("TEST_TOTAL_SHARDS");
  const char* const index = std::getenv("TEST_SHARD_INDEX");
  if (total == nullptr || index == nullptr) return;
  if (!absl::SimpleAtoi(total, &options.shards) || !absl::SimpleAtoi(index, &options.shard)) return;
  if (const char* const status = std::getenv("TEST_SHARD_STATUS_FILE")) std::ofstream{status};
}

absl::StatusOr<Options> Read(int argc, char** argv) {
  Options options{.cases = OpCases()};
  ReadShard(options);
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (argument == "--perf") {
      options.perf = true;
    } else if (absl::ConsumePrefix(&argument, "--only=")) {
      options.only = std::string(argument);
    } else {
      ASSIGN_OR_RETURN(options.cases.emplace_back(), ModelCase(argv[i], /*longest=*/70));
    }
  }
  std::erase_if(options.cases,
                [&](const Case& test) { return !absl::StrContains(test.name, options.only); });
  return options;
}

// Nine cases that follow one another are of one type of weight: the matmul's shaders for it are compiled in one shard alone.
bool InShard(const Options& options, size_t number) {
  constexpr size_t kTogether = 9;
  return number / kTogether % options.shards == options.shard;
}

constexpr char kPicks[] = "picks";  // the name of a case that is no graph

// Whether it went well.
bool RunPicks(Device& device) {
  const absl::StatusOr<Picks> picks = CheckPicks(device);
  if (!picks.ok()) {
    std::printf("FAIL %s: %s\n", kPicks, picks.status().ToString().c_str());
    return false;
  }
  // Of rows that are as strange as these; of a model's, hardly any; but some, so that looking again is tested.
  if (picks->looked_again * 4 > picks->wanted || (picks->wanted > 0 && picks->looked_again == 0)) {
    std::printf("FAIL %s: a second look at %d of %d rows\n", kPicks, picks->looked_again, picks->wanted);
    return false;
  }
  std::printf("ok   %-56s %d rows, of %d candidates, %d looks again at %d\n", kPicks, picks->rows, picks->wanted,
              picks->looks, picks->looked_again);
  return true;
}

absl::StatusOr<bool> RunAll(const Registration& r, const Options& options) {
  Devices devices;
  ASSIGN_OR_RETURN(devices.one_thread, r.backend.create(1));
  if (r.has_threads) {
    ASSIGN_OR_RETURN(devices.two_threads, r.backend.create(2));
  }
  ASSIGN_OR_RETURN(devices.oracle, r.oracle.create(0));
  std::printf("%s: %s; %s; oracle %s\n", r.backend.name.c_str(),
              devices.one_thread->info().name.c_str(),
              devices.one_thread->info().arithmetic.c_str(), r.oracle.name.c_str());
  int ran = 0, failed = 0, skipped = 0, expected_to_fail = 0;
  for (size_t i = 0; i < options.cases.size(); ++i) {
    const Case& test = options.cases[i];
    if (!InShard(options, i)) continue;
    if (const Exception* unsupported = Find(r.unsupported, test.name)) {
      std::printf("SKIP %s: %s\n", test.name.c_str(), unsupported->reason.c_str());
      ++skipped;
      continue;
    }
    if (options.perf) {
      RETURN_IF_ERROR(Time(test, r.has_threads ? *devices.two_threads : *devices.one_thread));
      continue;
    }
    double error = -1;
    const absl::Status status = Check(test, devices, r, &error);
    const Exception* const expected = Find(r.expected_failures, test.name);
    ++ran;
    if (expected != nullptr && !status.ok()) {
      std::printf("XFAIL %s: %s (%s)\n", test.name.c_str(), expected->reason.c_str(),
                  status.ToString().c_str());
      ++expected_to_fail;
    } else if (expected != nullptr) {
      std::printf("FAIL %s: passes, but was expected to fail: %s\n", test.name.c_str(),
                  expected->reason.c_str());
      ++failed;
    } else if (!status.ok()) {
      std::printf("FAIL %s: %s\n", test.name.c_str(), status.ToString().c_str());
      ++failed;
    } else {
      std::printf("ok   %-56s error %.1e of %.1e\n", test.name.c_str(), error,
                  test.tolerance(r.rounding));
    }
  }
  if (!options.perf && absl::StrContains(kPicks, options.only) && options.shard == 0) {
    ++ran;
    failed += !RunPicks(*devices.one_thread);
  }
  for (const auto* exceptions : {&r.unsupported, &r.expected_failures}) {
    for (const Exception& e : *exceptions) {
      if (!options.only.empty() || absl::c_any_of(options.cases, [&](const Case& c) {
            return absl::StartsWith(c.name, e.prefix);
          })) {
        continue;
      }
      std::printf("FAIL no case begins with '%s'\n", e.prefix.c_str());
      ++failed;
    }
  }
  std::printf("%s: %d ran, %d failed, %d skipped, %d expected to fail\n", r.backend.name.c_str(),
              ran, failed, skipped, expected_to_fail);
  return failed == 0 && (ran > 0 || options.perf);
}

}  // namespace

int RunConformance(const Registration& registration, int argc, char** argv) {
  if (const absl::Status usable = registration.backend.probe(); !usable.ok()) {
    std::printf("%s: 0 ran, everything skipped: %s\n", registration.backend.name.c_str(),
                usable.ToString().c_str());
    return registration.required ? 1 : 0;
  }
  const absl::StatusOr<Options> options = Read(argc, argv);
  const absl::StatusOr<bool> good =
      options.ok() ? RunAll(registration, *options) : options.status();
  if (!good.ok()) std::printf("FAIL %s\n", good.status().ToString().c_str());
  return good.ok() && *good ? 0 : 1;
}

}  // namespace spotinference::conformance
