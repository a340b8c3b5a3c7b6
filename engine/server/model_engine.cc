#include "engine/server/model_engine.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace spotinference {

ModelEngine::ModelEngine(Options options, Program& program, const Clock& clock)
    : options_(std::move(options)),
      program_(program),
      clock_(clock),
      kv_(options_.kv),
      scheduler_(options_.scheduler, kv_),
      logits_(new float[size_t{options_.info.vocabulary_size} * options_.scheduler.max_sequences]) {
  thread_ = std::thread([this] { Loop(); });
}

ModelEngine::~ModelEngine() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    changed_.SignalAll();
  }
  thread_.join();
  const uint32_t cut = EndAll(absl::CancelledError("the engine stops"));
  for (DrainWaiter& drain : drains_) drain.done(cut);
}

absl::StatusOr<SequenceId> ModelEngine::Submit(EngineRequest request, std::shared_ptr<TokenSink> sink) {
  const uint32_t vocabulary = options_.info.vocabulary_size;
  RETURN_IF_ERROR(Validate(request.sampling, vocabulary));
  for (const std::vector<uint32_t>* ids : {&request.sequence.prompt_ids, &request.sequence.generated_ids}) {
    for (const uint32_t id : *ids) {
      if (id >= vocabulary) {
        return absl::InvalidArgumentError(absl::StrCat("token id ", id, ": the model has ids below ", vocabulary));
      }
    }
  }
  auto live = std::make_shared<Live>();
  if (request.sampling.needs_counts()) {
    live->counts = TokenCounts(request.sequence.prompt_ids, request.sequence.generated_ids);
  }
  live->sampling = std::move(request.sampling);
  live->stop_ids = std::move(request.stop_ids);
  live->sink = std::move(sink);
  live->next_index = static_cast<uint32_t>(request.sequence.generated_ids.size());
  live->max_tokens = request.sequence.max_tokens;

  absl::MutexLock lock(&mutex_);
  if (draining_ || stop_) return absl::UnavailableError("the engine is draining");
  ASSIGN_OR_RETURN(const SequenceId id, scheduler_.Add(std::move(request.sequence)));
  live_.emplace(id, std::move(live));
  changed_.Signal();
  return id;
}

void ModelEngine::Cancel(SequenceId id) {
  std::shared_ptr<Live> cancelled;  // goes after the lock: its sink may call
  absl::MutexLock lock(&mutex_);
  auto node = live_.extract(id);
  if (node.empty()) return;
  cancelled = std::move(node.mapped());
  scheduler_.Cancel(id);
  changed_.Signal();  // a drain may wait for it
}

void ModelEngine::Resume(SequenceId id) {
  absl::MutexLock lock(&mutex_);
  const auto found = live_.find(id);
  if (found == live_.end()) return;
  found->second->resumed = true;
  scheduler_.Resume(id);
  changed_.Signal();
}

void ModelEngine::Drain(absl::Duration deadline, absl::AnyInvocable<void(uint32_t)> done) {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  drains_.push_back({clock_.Elapsed() + deadline, std::move(done)});
  changed_.Signal();
}

EngineStats ModelEngine::Stats() const {
  absl::MutexLock lock(&mutex_);
  EngineStats stats;
  stats.scheduler = scheduler_.stats();
  stats.kv_blocks_total = kv_.total();
  stats.kv_blocks_used = kv_.used();
  stats.kv_blocks_cached = kv_.cached();
  stats.weight_bytes = options_.weight_bytes;
  stats.programs_compiled = 1;
  stats.steps = steps_;
  stats.busy = busy_;
  stats.draining = draining_;
  stats.active_sequences = static_cast<uint32_t>(live_.size());
  return stats;
}

void ModelEngine::Loop() {
  for (;;) {
    FinishDrains();
    mutex_.Lock();
    if (stop_) break;
    const absl::Duration start = clock_.Elapsed();
    const Plan& plan = scheduler_.Next();
    if (plan.chunks.empty()) {
      WaitForEvent();
      mutex_.Unlock();
      continue;
    }
    rows_.clear();
    for (const Chunk& chunk : plan.chunks) {
      if (chunk.logit_rows == 0) continue;
      const std::shared_ptr<Live>& live = live_.at(chunk.sequence);
      live->resumed = false;
      rows_.push_back({chunk.sequence, live, static_cast<uint32_t>(chunk.cached_tokens)});
    }
    mutex_.Unlock();
    RunStep(plan, start);
  }
  mutex_.Unlock();
}

void ModelEngine::RunStep(const Plan& plan, absl::Duration start) {
  BuildStep(plan);
  const StepInput input{token_ids_, positions_, sequences_, block_tables_, blocks_per_sequence_, output_rows_, {}};
  const size_t vocabulary = options_.info.vocabulary_size;
  const absl::Status ran = program_.Run(input, absl::MakeSpan(logits_.get(), rows_.size() * vocabulary));
  if (!ran.ok()) LoseDevice(ran);
  outcomes_.clear();
  for (size_t i = 0; i < rows_.size(); ++i) {
    outcomes_.push_back(SampleRow(rows_[i], absl::MakeSpan(logits_.get() + i * vocabulary, vocabulary)));
  }
  std::vector<std::pair<std::shared_ptr<Live>, absl::Status>> ended;
  {
    absl::MutexLock lock(&mutex_);
    const auto end = [&](SequenceId id, const absl::Status& status) {
      auto node = live_.extract(id);
      if (!node.empty()) ended.emplace_back(std::move(node.mapped()), status);
    };
    for (const Row& row : rows_) {
      if (row.status.ok()) continue;
      scheduler_.Cancel(row.id);  // before its outcome counts
      end(row.id, row.status);
    }
    for (const Finished& finished : scheduler_.Complete(outcomes_)) end(finished.sequence, absl::OkStatus());
    for (const Row& row : rows_) {
      if (row.pause && !row.live->resumed) scheduler_.Pause(row.id);
    }
    ++steps_;
    busy_ += clock_.Elapsed() - start;
  }
  for (auto& [live, status] : ended) live->sink->OnEnd(status);
  rows_.clear();
}

void ModelEngine::LoseDevice(const absl::Status& why) {
  LOG(ERROR) << "the device failed: " << why;
  const absl::Status lost = absl::UnavailableError(absl::StrCat("the device failed: ", why.message()));
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
  }
  EndAll(lost);
  if (options_.on_fatal) options_.on_fatal(lost);
}

void ModelEngine::WaitForEvent() {
  absl::Duration first = absl::InfiniteDuration();
  for (const DrainWaiter& drain : drains_) first = std::min(first, drain.at - clock_.Elapsed());
  if (!drains_.empty() && live_.empty()) return;
  changed_.WaitWithTimeout(&mutex_, std::max(first, absl::ZeroDuration()));
}

void ModelEngine::FinishDrains() {
  std::vector<DrainWaiter> due;
  {
    absl::MutexLock lock(&mutex_);
    if (drains_.empty()) return;
    const absl::Duration now = clock_.Elapsed();
    const bool late = std::any_of(drains_.begin(), drains_.end(), [&](const DrainWaiter& d) { return d.at <= now; });
    if (!live_.empty() && !late) return;
    due.swap(drains_);
  }
  const uint32_t cut = EndAll(absl::UnavailableError("the engine stops before the sequence is done"));
  for (DrainWaiter& drain : due) drain.done(cut);
}

uint32_t ModelEngine::EndAll(const absl::Status& status) {
  absl::flat_hash_map<SequenceId, std::shared_ptr<Live>> live;
  {
    absl::MutexLock lock(&mutex_);
    live.swap(live_);
    for (const auto& [id, _] : live) scheduler_.Cancel(id);
  }
  for (const auto& [_, sequence] : live) sequence->sink->OnEnd(status);
  return static_cast<uint32_t>(live.size());
}

void ModelEngine::BuildStep(const Plan& plan) {
  token_ids_.clear();
  positions_.clear();
  sequences_.clear();
  output_rows_.clear();
  size_t widest = 0;
  for (const Chunk& chunk : plan.chunks) widest = std::max(widest, chunk.block_table.size());
  blocks_per_sequence_ = static_cast<int>(widest);
  block_tables_.assign(plan.chunks.size() * widest, 0);
  for (size_t i = 0; i < plan.chunks.size(); ++i) {
    const Chunk& chunk = plan.chunks[i];
    std::copy(chunk.block_table.begin(), chunk.block_table.end(), block_tables_.begin() + i * widest);
    for (size_t t = 0; t < chunk.ids.size(); ++t) {
      token_ids_.push_back(static_cast<int32_t>(chunk.ids[t]));
      positions_.push_back(chunk.first_position + static_cast<int32_t>(t));
      sequences_.push_back(static_cast<int32_t>(i));
    }
    if (chunk.logit_rows > 0) output_rows_.push_back(static_cast<int32_t>(token_ids_.size()) - 1);
  }
}

Outcome ModelEngine::SampleRow(Row& row, absl::Span<const float> logits) {
  Outcome outcome{row.id, 0, false};
  {
    absl::MutexLock lock(&mutex_);
    if (!live_.contains(row.id)) return outcome;  // cancelled meanwhile: the scheduler ignores it
  }
  Live& live = *row.live;
  const absl::StatusOr<Sampled> sampled = sampler_.Sample(logits, live.sampling, live.counts, live.next_index);
  if (!sampled.ok()) {
    row.status = sampled.status();
    return outcome;
  }
  outcome.id = sampled->id;
  outcome.stop = std::find(live.stop_ids.begin(), live.stop_ids.end(), sampled->id) != live.stop_ids.end();
  if (live.sampling.needs_counts()) live.counts.AddGenerated(sampled->id);
  const uint32_t index = live.next_index++;
  const auto finish = outcome.stop                    ? TokenEvent::Finish::kStop
                      : index + 1 == live.max_tokens ? TokenEvent::Finish::kLength
                                                     : TokenEvent::Finish::kNone;
  row.pause =
      !live.sink->OnToken({index, sampled->id, finish, sampled->logprob, sampled->top_logprobs, row.cached_tokens});
  return outcome;
}

}  // namespace spotinference
