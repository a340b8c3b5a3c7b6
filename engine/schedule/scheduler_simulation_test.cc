// The scheduler and the cache under thousands of seeded random lives, against a shadow of the
// device's memory.
//
// The model here keeps in each slot of KV a digest of all ids up to it, and the next id is a
// function of all digests it reads. So a slot that is stale, foreign or written while shared shows
// at once, and in the answers too.
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_cache.h"
#include "engine/schedule/scheduler.h"

namespace spotinference {
namespace {

constexpr uint32_t kVocabulary = 3;  // small, so that prefixes meet

uint64_t Mix(uint64_t state, uint64_t value) {  // SplitMix64's finalizer
  state += value + 0x9e3779b97f4a7c15;
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
  state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
  return state ^ (state >> 31);
}

// The id that follows, from the digests of all tokens before it.
template <typename Digests>
uint32_t NextId(size_t tokens, Digests digest_at) {
  uint64_t state = 0;
  for (size_t t = 0; t < tokens; ++t) state = Mix(state, digest_at(t));
  return state % kVocabulary;
}

bool IsStop(const std::vector<uint32_t>& ids) { return Mix(ids.size(), ids.back()) % 23 == 0; }

// The answer of a sequence that is alone in the world.
std::vector<uint32_t> Alone(const SequenceSpec& spec) {
  std::vector<uint32_t> ids = spec.prompt_ids;
  ids.insert(ids.end(), spec.generated_ids.begin(), spec.generated_ids.end());
  const size_t end = spec.prompt_ids.size() + spec.max_tokens;
  std::vector<uint64_t> digests;
  do {
    while (digests.size() < ids.size()) {
      digests.push_back(Mix(digests.empty() ? 0 : digests.back(), ids[digests.size()]));
    }
    ids.push_back(NextId(digests.size(), [&](size_t t) { return digests[t]; }));
  } while (ids.size() < end && !IsStop(ids));
  return ids;
}

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    kv_options_ = {.blocks = Int(1, 24), .block_tokens = Int(1, 4)};
    options_.max_sequences = Int(1, 6);
    options_.step_tokens = options_.max_sequences + Int(1, 12);
    options_.max_live = Int(4, 16);
    options_.context_tokens = Int(8, 64);
    options_.draft_tokens = Int(0, 3);
    arrivals_ = Int(4, 24);
    trouble_ = Int(0, 2);
    kv_ = std::make_unique<KvCache>(kv_options_);
    scheduler_ = std::make_unique<Scheduler>(options_, *kv_);
    shadow_.resize(kv_options_.blocks * kv_options_.block_tokens);
  }

  // Lives until every sequence has ended. "" or what went wrong.
  std::string Run() {
    while ((arrivals_ > 0 || !live_.empty()) && wrong_.empty()) {
      for (int events = Int(0, 2); events > 0; --events) Event();
      Step();
    }
    if (wrong_.empty() && kv_->used() != 0) Wrong("blocks leaked: ", kv_->used());
    if (const absl::Status status = kv_->Verify({}); wrong_.empty() && !status.ok()) {
      Wrong(status.ToString());
    }
    return wrong_;
  }

  SchedulerStats stats() const { return scheduler_->stats(); }

 private:
  struct Life {
    SequenceSpec spec;
    std::vector<uint32_t> ids;
    bool paused = false;
    int64_t bound = 0;   // steps in which it may live without a pause until it ends
    int64_t waited = 0;  // such steps so far
  };

  int32_t Int(int32_t low, int32_t high) {
    return low + static_cast<int32_t>(random_() % (high - low + 1));
  }
  template <typename... T>
  void Wrong(const T&... what) {
    if (wrong_.empty()) wrong_ = absl::StrCat("step ", step_, ": ", what...);
  }

  void Event() {
    if (arrivals_ > 0 && Int(0, 3) == 0) return Arrive();
    if (live_.empty() || Int(0, 2) >= trouble_) return;
    auto one = std::next(live_.begin(), Int(0, static_cast<int32_t>(live_.size()) - 1));
    Life& life = one->second;
    if (Int(0, 5) == 0) {
      scheduler_->Cancel(one->first);
      live_.erase(one);
    } else if (life.paused) {
      Resume(one->first, life);
    } else {
      scheduler_->Pause(one->first);
      life.paused = true;
    }
  }

  void Resume(SequenceId id, Life& life) {
    scheduler_->Resume(id);
    life.paused = false;
    // It may have moved to the end, so all that live now may be ahead of it; and those that were
    // behind it see a pause.
    for (auto& [other, each] : live_) Bound(each);
  }

  void Arrive() {
    --arrivals_;
    SequenceSpec spec{.max_tokens = static_cast<uint32_t>(Int(1, 12)),
                      .cache_salt = Int(0, 4) == 0 ? "other" : ""};
    for (int n = Int(1, Int(1, 40)); n > 0; --n) spec.prompt_ids.push_back(Int(0, 8) == 0 ? 1 : 0);
    if (Int(0, 3) == 0) {
      // As after a loss: some of the right answer is there already.
      const std::vector<uint32_t> all = Alone(spec);
      const size_t kept = Int(0, static_cast<int32_t>(all.size() - spec.prompt_ids.size()) - 1);
      spec.generated_ids.assign(all.begin() + spec.prompt_ids.size(),
                                all.begin() + spec.prompt_ids.size() + kept);
    }
    const size_t total = spec.prompt_ids.size() + spec.max_tokens;
    const bool fits =
        total <= options_.context_tokens && total <= kv_options_.blocks * kv_options_.block_tokens;
    const auto id = scheduler_->Add(spec);
    if (!fits) {
      if (id.status().code() != absl::StatusCode::kInvalidArgument) {
        Wrong("an impossible sequence: ", id.status().ToString());
      }
      return;
    }
    if (!id.ok()) return;  // too many live
    Life& life = live_[*id];
    life.spec = spec;
    life.ids = spec.prompt_ids;
    life.ids.insert(life.ids.end(), spec.generated_ids.begin(), spec.generated_ids.end());
    Bound(life);
  }

  // scheduler.h's promise, taken anew from this moment, with everybody alive ahead of `life`.
  void Bound(Life& life) {
    const int64_t chunk = options_.step_tokens - options_.max_sequences + 1;
    life.waited = 0;
    life.bound = 0;
    for (const auto& [id, each] : live_) {
      const int64_t total = each.spec.prompt_ids.size() + each.spec.max_tokens;
      life.bound += (total + chunk - 1) / chunk + each.spec.max_tokens;
    }
  }

  void Step() {
    ++step_;
    const Plan& plan = scheduler_->Next();
    const bool ready = std::any_of(live_.begin(), live_.end(),
                                   [](const auto& each) { return !each.second.paused; });
    if (ready && plan.chunks.empty()) Wrong("nothing planned, but somebody is ready");
    if (!ready && arrivals_ == 0 && !live_.empty()) {
      Resume(live_.begin()->first, live_.begin()->second);
    }
    int32_t tokens = 0;
    std::vector<Outcome> outcomes;
    sampled_.clear();
    for (const Chunk& chunk : plan.chunks) {
      tokens += chunk.ids.size();
      Compute(chunk, outcomes);
    }
    if (tokens != plan.tokens || tokens > options_.step_tokens) {
      Wrong(tokens, " tokens, planned ", plan.tokens);
    }
    if (plan.chunks.size() > options_.max_sequences) Wrong(plan.chunks.size(), " sequences");
    for (auto& [id, life] : live_) life.waited += !life.paused;
    if (Int(0, 3) == 0) Event();  // in the middle of a step
    for (const Outcome& outcome : outcomes) {
      if (auto one = live_.find(outcome.sequence); one != live_.end()) {
        one->second.ids.insert(one->second.ids.end(), outcome.ids.begin(), outcome.ids.end());
      }
    }
    for (const Finished& finished : scheduler_->Complete(outcomes)) Finish(finished);
    for (const auto& [id, life] : live_) {
      if (life.waited > life.bound) {
        Wrong("sequence ", static_cast<uint64_t>(id), " starves after ", life.waited, " steps");
      }
    }
  }

  void Compute(const Chunk& chunk, std::vector<Outcome>& outcomes) {
    const auto one = live_.find(chunk.sequence);
    if (one == live_.end() || one->second.paused) {
      return Wrong("planned although cancelled or paused");
    }
    const int32_t guesses = std::max(0, chunk.logit_rows - 1);
    const int32_t end = chunk.first_position + chunk.ids.size(), known = end - guesses;
    std::vector<uint32_t> ids = one->second.ids;
    if (guesses > 0 && known != ids.size()) return Wrong("guesses amid what is known");
    for (const uint32_t guess : chunk.ids.last(guesses)) ids.push_back(guess);
    const size_t last = one->second.spec.prompt_ids.size() + one->second.spec.max_tokens;
    if (guesses > options_.draft_tokens || (guesses > 0 && ids.size() >= last)) return Wrong("too many guesses");
    if (chunk.ids.empty() || end > ids.size() ||
        chunk.block_table.size() * kv_options_.block_tokens < end ||
        !std::equal(chunk.ids.begin(), chunk.ids.end(), ids.begin() + chunk.first_position)) {
      return Wrong("a chunk of other ids, or out of its table");
    }
    if ((chunk.logit_rows > 0) != (end == ids.size())) return Wrong(chunk.logit_rows, " logit rows");
    const auto block_of = [&](int32_t t) {
      return chunk.block_table[t / kv_options_.block_tokens];
    };
    const auto slot = [&](int32_t t) -> uint64_t& {
      return shadow_[block_of(t) * kv_options_.block_tokens + t % kv_options_.block_tokens];
    };
    uint64_t digest = 0;
    for (int32_t t = 0; t < end; ++t) {
      digest = Mix(digest, ids[t]);
      if (t >= chunk.first_position) {
        if (kv_->references(block_of(t)) != 1 || kv_->published(block_of(t))) {
          return Wrong("a shared block is written");
        }
        slot(t) = digest;
      } else if (slot(t) != digest) {
        return Wrong("position ", t, " reads a slot of other ids");
      }
    }
    if (chunk.logit_rows == 0) return;
    std::vector<uint32_t>& sampled = sampled_.emplace_back();
    std::vector<uint32_t> with(ids.begin(), ids.begin() + known);
    bool goes_on = true, stop = false;
    for (int32_t row = 0; goes_on; ++row) {
      sampled.push_back(NextId(known + row, [&](size_t t) { return slot(static_cast<int32_t>(t)); }));
      with.push_back(sampled.back());
      stop = IsStop(with);
      goes_on = !stop && with.size() < last && row < guesses && ids[known + row] == sampled.back();
    }
    outcomes.push_back({chunk.sequence, sampled, stop});
  }

  void Finish(const Finished& finished) {
    const auto one = live_.find(finished.sequence);
    if (one == live_.end()) return Wrong("one that was cancelled ended");
    const Life& life = one->second;
    if (life.ids != Alone(life.spec)) Wrong("the answer differs from that of the sequence alone");
    if ((finished.reason == FinishReason::kStop) != IsStop(life.ids)) Wrong("the wrong reason");
    live_.erase(one);
  }

  std::mt19937_64 random_;
  KvCache::Options kv_options_;
  Scheduler::Options options_;
  int32_t arrivals_;
  int32_t trouble_;  // of 3: how often somebody cancels, pauses or resumes
  std::unique_ptr<KvCache> kv_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<uint64_t> shadow_;  // [blocks, block_tokens]
  std::list<std::vector<uint32_t>> sampled_;  // in this step, what outcomes point to
  std::map<SequenceId, Life> live_;
  int64_t step_ = 0;
  std::string wrong_;
};

TEST(SchedulerSimulationTest, EveryLifeEndsRight) {
  SchedulerStats sum;
  for (uint64_t seed = 0; seed < 5000; ++seed) {
    World world(seed);
    const std::string wrong = world.Run();
    ASSERT_EQ(wrong, "") << "seed " << seed;
    sum.preemptions += world.stats().preemptions;
    sum.cached_tokens += world.stats().cached_tokens;
    sum.recomputed_tokens += world.stats().recomputed_tokens;
    sum.generated_tokens += world.stats().generated_tokens;
    sum.drafted_tokens += world.stats().drafted_tokens;
    sum.accepted_tokens += world.stats().accepted_tokens;
  }
  // The lives were eventful enough to prove anything.
  EXPECT_GT(sum.generated_tokens, 100000);
  EXPECT_GT(sum.preemptions, 5000);
  EXPECT_GT(sum.cached_tokens, 50000);
  EXPECT_GT(sum.recomputed_tokens, 5000);
  EXPECT_GT(sum.drafted_tokens, 5000);
  EXPECT_GT(sum.accepted_tokens, 2000);
}

}  // namespace
}  // namespace spotinference
