#include "engine/server/model_engine.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "engine/base/status.h"

namespace spotinference {

// A restored block is worth less than its sequence's place behind a step of such length.
constexpr absl::Duration kRestorePatience = absl::Seconds(5);

ModelEngine::ModelEngine(Options options, Program& program, Constraints& constraints, const Clock& clock)
    : options_(std::move(options)),
      program_(program),
      constraints_(constraints),
      clock_(clock),
      kv_(options_.kv),
      scheduler_(options_.scheduler, kv_),
      pool_(options_.sampling_threads),
      rows_(options_.scheduler.max_sequences),
      logits_(new float[size_t{options_.info.vocabulary_size} * options_.scheduler.max_sequences]),
      selector_(program.selector()),
      selections_(options_.scheduler.max_sequences),
      selected_(options_.scheduler.max_sequences) {
  for (int i = 0; i < pool_.size(); ++i) samplers_.emplace_back(options_.info.vocabulary_size);
  for (std::vector<int32_t>* per_token : {&token_ids_, &positions_, &sequences_, &output_rows_}) {
    per_token->reserve(options_.scheduler.step_tokens);
  }
  const size_t widest = std::min<size_t>(kv_.total(), options_.scheduler.context_tokens / kv_.block_tokens() + 1);
  block_tables_.reserve(widest * options_.scheduler.max_sequences);
  PublishStats();
  thread_ = std::thread([this] { Loop(); });
}

ModelEngine::~ModelEngine() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
  }
  inbox_.Put([this] { stop_ = true; });
  thread_.join();
  const uint32_t cut = EndAll(absl::CancelledError("the engine stops"));
  TakeMessages();
  for (DrainWaiter& drain : drains_) drain.done(cut);
}

absl::Status ModelEngine::Refusal() const {
  RETURN_IF_ERROR(refusal_);
  if (draining_) return absl::UnavailableError("the engine is draining");
  if (live_.size() >= options_.scheduler.max_live) {
    return absl::ResourceExhaustedError(absl::StrCat(live_.size(), " sequences run or wait already"));
  }
  return absl::OkStatus();
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
  RETURN_IF_ERROR(scheduler_.Fits(request.sequence));
  auto live = std::make_shared<Live>();
  if (request.sampling.needs_counts()) {
    live->counts = TokenCounts(request.sequence.prompt_ids, request.sequence.generated_ids);
  }
  if (request.constraint.has_value()) {
    ASSIGN_OR_RETURN(live->matcher, constraints_.NewMatcher(*request.constraint, request.sequence.generated_ids));
  }
  live->submitted = clock_.Elapsed();
  live->sampling = std::move(request.sampling);
  live->stop_ids = std::move(request.stop_ids);
  live->sink = std::move(sink);
  live->next_index = static_cast<uint32_t>(request.sequence.generated_ids.size());
  live->max_tokens = request.sequence.max_tokens;
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Refusal());
  }
  std::optional<Restored> restored = RestoreKv(request.sequence);

  absl::MutexLock lock(&mutex_);
  if (const absl::Status refusal = Refusal(); !refusal.ok()) {
    if (restored.has_value()) inbox_.Put([this, r = std::move(*restored)]() mutable { kv_.Release(r.sequence); });
    return refusal;
  }
  const SequenceId id{submitted_++};
  live_.emplace(id, live);
  // Under the lock, so that the loop, and with it the scheduler, meets ids in their order.
  inbox_.Put([this, id, live = std::move(live), spec = std::move(request.sequence),
              restored = std::move(restored)]() mutable {
    Begin(id, std::move(live), std::move(spec), std::move(restored));
  });
  return id;
}

void ModelEngine::Begin(SequenceId id, std::shared_ptr<Live> live, SequenceSpec spec, std::optional<Restored> restored) {
  kv_.ForgetAwaited();
  if (restored.has_value()) {
    kv_.Publish(restored->sequence, restored->ids);
    restored_blocks_ += restored->blocks;
  }
  const absl::StatusOr<SequenceId> added = scheduler_.Add(std::move(spec));
  CHECK(added.ok() && *added == id) << "Submit let through what does not fit: " << added.status();
  scheduled_.emplace(id, std::move(live));
  if (restored.has_value()) kv_.Release(restored->sequence);  // cached now: the sequence takes them at its first step
}

// Runs fn between two steps, and waits for it. False: the step under way took longer than `patience`; fn will not run.
bool ModelEngine::RunOnLoop(absl::Duration patience, absl::FunctionRef<void()> fn) {
  if (std::this_thread::get_id() == thread_.get_id()) {  // a sink calls
    fn();
    return true;
  }
  struct Shared {
    std::atomic<bool> taken{false};  // by the loop, or back by who asked
    absl::Notification done;
  };
  const auto shared = std::make_shared<Shared>();
  inbox_.Put([shared, fn] {
    if (shared->taken.exchange(true)) return;
    fn();
    shared->done.Notify();
  });
  if (!shared->done.WaitForNotificationWithTimeout(patience) && !shared->taken.exchange(true)) return false;
  shared->done.WaitForNotification();
  return true;
}

ModelEngine::Stored ModelEngine::FindStored(const SequenceSpec& spec) const {
  Stored stored;
  KvStore* const store = options_.kv_store;
  if (store == nullptr || store->blocks() == 0) return stored;
  const size_t block_tokens = options_.kv.block_tokens;
  std::vector<uint32_t>& ids = stored.ids;
  ids = spec.prompt_ids;
  ids.insert(ids.end(), spec.generated_ids.begin(), spec.generated_ids.end());
  const size_t blocks = ids.empty() ? 0 : (ids.size() - 1) / block_tokens;  // the last id's logits are wanted
  ids.resize(blocks * block_tokens);
  BlockHash hash = RootHash(options_.kv.model_hash, options_.kv.numerics_id, options_.kv.block_tokens, spec.cache_salt);
  for (size_t i = 0; i < blocks; ++i) {
    hash = ChildHash(hash, absl::MakeConstSpan(ids).subspan(i * block_tokens, block_tokens));
    stored.hashes.push_back(hash);
    stored.here.push_back(store->Contains(hash));
  }
  return stored;
}

bool ModelEngine::ReadsVolume(const EngineRequest& request) const {
  const Stored stored = FindStored(request.sequence);
  return std::count(stored.here.begin(), stored.here.end(), true) > 0;
}

// Brings blocks that continue those in memory from the store, on the caller's thread: steps go on meanwhile.
std::optional<ModelEngine::Restored> ModelEngine::RestoreKv(const SequenceSpec& spec) {
  KvStore* const store = options_.kv_store;
  const size_t block_tokens = options_.kv.block_tokens;
  Stored stored = FindStored(spec);
  std::vector<uint32_t>& ids = stored.ids;
  const size_t blocks = stored.hashes.size();
  if (std::count(stored.here.begin(), stored.here.end(), true) == 0) return std::nullopt;

  std::optional<KvSequence> sequence;
  size_t held = 0, end = 0;  // blocks
  const bool opened = RunOnLoop(kRestorePatience, [&] {
    sequence = kv_.Open(spec.cache_salt);
    held = end = kv_.Extend(*sequence, ids) / block_tokens;
    while (end < blocks && stored.here[end]) ++end;
    end = std::min<size_t>(end, kv_.Reserve(*sequence, static_cast<int32_t>(end * block_tokens)) / block_tokens);
  });
  if (!opened) return std::nullopt;
  std::vector<std::byte> bytes(options_.kv_block_bytes);
  size_t restored = held;
  while (restored < end && store->Read(stored.hashes[restored], absl::MakeSpan(bytes)).ok() &&
         options_.write_kv(sequence->block_table()[restored], bytes).ok()) {
    ++restored;
  }
  ids.resize(restored * block_tokens);
  return Restored{std::move(*sequence), std::move(ids), restored - held};
}

size_t ModelEngine::SaveKv(absl::Duration budget) {
  if (options_.kv_store == nullptr) return 0;
  const absl::Duration until = clock_.Elapsed() + budget;
  std::vector<KvCache::Named> blocks;
  if (!RunOnLoop(budget, [&] { blocks = kv_.PublishedBlocks(); })) return 0;
  std::vector<BlockHash> hashes;
  for (const KvCache::Named& named : blocks) hashes.push_back(named.hash);
  return options_.kv_store->Save(hashes, until - clock_.Elapsed(), [&](size_t i, absl::Span<std::byte> to) {
    absl::Status read = absl::DeadlineExceededError("the step under way takes longer than there is time");
    RunOnLoop(until - clock_.Elapsed(), [&] {  // else a step could take the block and write to it
      read = kv_.Holds(blocks[i]) ? options_.read_kv(blocks[i].block, to)
                                  : absl::AbortedError("a block was evicted: the engine serves again");
    });
    return read;
  });
}

void ModelEngine::Cancel(SequenceId id) {
  std::shared_ptr<Live> cancelled;  // goes after the lock: its sink may call
  absl::MutexLock lock(&mutex_);
  auto node = live_.extract(id);
  if (node.empty()) return;
  cancelled = std::move(node.mapped());
  cancelled->gone = true;
  inbox_.Put([this, id] { Forget(id, /*comes_back=*/false); });
}

void ModelEngine::Resume(SequenceId id) {
  inbox_.Put([this, id] { scheduler_.Resume(id); });
}

void ModelEngine::Drain(absl::Duration deadline, absl::AnyInvocable<void(uint32_t)> done) {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  inbox_.Put([this, at = clock_.Elapsed() + deadline, done = std::move(done)]() mutable {
    drains_.push_back({at, std::move(done)});
  });
}

uint32_t ModelEngine::HandOver(const absl::Status& why) {
  {
    absl::MutexLock lock(&mutex_);
    refusal_ = why;
  }
  return EndAll(why);
}

void ModelEngine::Admit() {
  absl::MutexLock lock(&mutex_);
  refusal_ = absl::OkStatus();
}

EngineStats ModelEngine::Stats() const {
  EngineStats stats = stats_.Get();
  if (options_.programs_compiled) stats.programs_compiled = options_.programs_compiled();
  stats.volume_full = options_.volume_full && options_.volume_full();
  absl::MutexLock lock(&mutex_);
  stats.draining = draining_ || !refusal_.ok();
  stats.active_sequences = static_cast<uint32_t>(live_.size());
  return stats;
}

void ModelEngine::PublishStats() {
  EngineStats stats;
  stats.scheduler = scheduler_.stats();
  stats.kv_blocks_total = kv_.total();
  stats.kv_blocks_used = kv_.used();
  stats.kv_blocks_cached = kv_.cached();
  stats.kv_blocks_restored = restored_blocks_;
  stats.weight_bytes = options_.weight_bytes;
  stats.steps = steps_;
  stats.selected_rows = selected_rows_;
  stats.looked_again_rows = looked_again_rows_;
  stats.busy = busy_;
  stats_.Set(stats);
}

void ModelEngine::Loop() {
  for (;;) {
    TakeMessages();
    FinishDrains();
    if (stop_) return;
    const absl::Duration start = clock_.Elapsed();
    const Plan& plan = scheduler_.Next();
    if (plan.chunks.empty()) {
      PublishStats();
      inbox_.Wait(UntilNextDrain());
      continue;
    }
    ListSamplings(plan);
    PublishStats();  // who runs is known while they run: a step that never ends is found out by that
    RunStep(plan);
    ++steps_;
    busy_ += clock_.Elapsed() - start;
    PublishStats();
    End();
  }
}

void ModelEngine::TakeMessages() {
  inbox_.TakeAll([](absl::AnyInvocable<void()> message) { message(); });
}

void ModelEngine::Forget(SequenceId id, bool comes_back) {
  scheduler_.Cancel(id, comes_back);
  scheduled_.erase(id);
}

void ModelEngine::ListSamplings(const Plan& plan) {
  sampling_count_ = 0;
  size_t row = 0;
  for (const Chunk& chunk : plan.chunks) {
    const std::shared_ptr<Live>& live = scheduled_.at(chunk.sequence);
    if (!live->waited.has_value()) live->waited = clock_.Elapsed() - live->submitted;
    if (chunk.logit_rows == 0) continue;
    if (sampling_count_ == samplings_.size()) samplings_.emplace_back();
    Sampling& sampling = samplings_[sampling_count_++];
    sampling.id = chunk.sequence;
    sampling.live = live;
    sampling.cached_tokens = static_cast<uint32_t>(chunk.cached_tokens);
    sampling.guesses = chunk.ids.last(chunk.logit_rows - 1);
    sampling.first_row = row;
    row += chunk.logit_rows;
  }
}

void ModelEngine::RunStep(const Plan& plan) {
  BuildStep(plan);
  if (const absl::Status ran = RunProgram(); !ran.ok()) LoseDevice(ran);
  ForEachSampling([this](Sampling& sampling, Sampler& sampler) { Sample(sampling, sampler); });
  const auto sampled = absl::MakeSpan(samplings_).first(sampling_count_);
  const auto failed = std::find_if(sampled.begin(), sampled.end(), [](const Sampling& s) { return s.device_failed; });
  if (failed != sampled.end()) LoseDevice(failed->status);
  for (size_t i = 0; i < sampling_count_; ++i) Deliver(samplings_[i]);
  Complete();
}

// What the step means for the scheduler.
void ModelEngine::Complete() {
  outcomes_.clear();
  for (size_t i = 0; i < sampling_count_; ++i) {
    Sampling& sampling = samplings_[i];
    outcomes_.push_back({sampling.id, sampling.ids, sampling.stop});
    if (sampling.status.ok() && !sampling.ids.empty()) continue;
    scheduler_.Cancel(sampling.id, sampling.live->comes_back);  // before its outcome counts
    if (!sampling.status.ok()) ends_.emplace_back(sampling.id, sampling.status);
  }
  for (const Finished& finished : scheduler_.Complete(outcomes_)) {
    ends_.emplace_back(finished.sequence, absl::OkStatus());
  }
  for (size_t i = 0; i < sampling_count_; ++i) {
    if (samplings_[i].pause) scheduler_.Pause(samplings_[i].id);  // a Resume since then is a message yet to be taken
    samplings_[i].live = nullptr;
  }
}

// Tells those that the step ended.
void ModelEngine::End() {
  for (auto& [id, status] : ends_) {
    scheduled_.erase(id);
    decltype(live_)::node_type node;
    {
      absl::MutexLock lock(&mutex_);
      node = live_.extract(id);
    }
    if (!node.empty()) node.mapped()->sink->OnEnd(status);
  }
  ends_.clear();
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

absl::Duration ModelEngine::UntilNextDrain() const {
  absl::Duration first = absl::InfiniteDuration();
  for (const DrainWaiter& drain : drains_) first = std::min(first, drain.at - clock_.Elapsed());
  return std::max(first, absl::ZeroDuration());
}

void ModelEngine::FinishDrains() {
  if (drains_.empty()) return;
  const absl::Duration now = clock_.Elapsed();
  const bool late = std::any_of(drains_.begin(), drains_.end(), [&](const DrainWaiter& d) { return d.at <= now; });
  if (!scheduled_.empty() && !late) return;
  std::vector<DrainWaiter> due = std::exchange(drains_, {});
  const uint32_t cut = EndAll(absl::UnavailableError("the engine stops before the sequence is done"));
  for (DrainWaiter& drain : due) drain.done(cut);
}

uint32_t ModelEngine::EndAll(const absl::Status& status) {
  absl::flat_hash_map<SequenceId, std::shared_ptr<Live>> live;
  {
    absl::MutexLock lock(&mutex_);
    live.swap(live_);
    for (const auto& [id, sequence] : live) {
      sequence->comes_back = true;
      sequence->gone = true;
      inbox_.Put([this, id = id] { Forget(id, /*comes_back=*/true); });
    }
  }
  uint32_t ended = 0;
  for (const auto& [_, sequence] : live) {
    while (sequence->delivering) std::this_thread::yield();  // for what OnToken takes
    const bool finished = sequence->finished;
    sequence->sink->OnEnd(finished ? absl::OkStatus() : status);
    if (!finished) ++ended;
  }
  return ended;
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
    for (int32_t back = chunk.logit_rows; back > 0; --back) {
      output_rows_.push_back(static_cast<int32_t>(token_ids_.size()) - back);
    }
  }
}

// A row takes from 10 µs (greedy) to some 300 µs (top_p over 49,000 ids); waking the pool's threads takes some 20 µs.
constexpr size_t kParallelRows = 4;

void ModelEngine::ForEachSampling(absl::FunctionRef<void(Sampling& sampling, Sampler& sampler)> fn) {
  if (output_rows_.size() < kParallelRows || pool_.size() == 1) {
    for (size_t i = 0; i < sampling_count_; ++i) fn(samplings_[i], samplers_[0]);
    return;
  }
  const int pieces = static_cast<int>(sampling_count_);
  pool_.Run({&pieces, 1}, [&](int, int piece, int thread) { fn(samplings_[piece], samplers_[thread]); });
}

// With all rows of the step, or with what each of them is wanted for.
absl::Status ModelEngine::RunProgram() {
  const StepInput input{token_ids_, positions_, sequences_, block_tables_, blocks_per_sequence_, output_rows_};
  const size_t rows = output_rows_.size();
  selects_ = false;
  if (selector_ != nullptr) {
    std::fill_n(selections_.begin(), rows, Selection());
    ForEachSampling([this](Sampling& sampling, Sampler&) { Select(sampling); });
    selects_ = std::any_of(selections_.begin(), selections_.begin() + rows,
                           [](const Selection& selection) { return selection.kind != Selection::Kind::kAll; });
  }
  if (selects_) {
    const absl::Span<const Selection> selections(selections_.data(), rows);
    return selector_->RunSelecting(input, selections, {selected_.data(), rows});
  }
  return program_.Run(input, absl::MakeSpan(logits_.get(), rows * options_.info.vocabulary_size));
}

// What is wanted of its rows: of each as if the guesses before it held.
void ModelEngine::Select(Sampling& sampling) {
  Live& live = *sampling.live;
  std::optional<Matcher> ahead;
  if (!sampling.guesses.empty()) ahead = live.matcher;
  for (size_t i = 0; i <= sampling.guesses.size(); ++i) {
    const size_t at = sampling.first_row + i;
    Row& row = rows_[at];
    FillMask(live, sampling.guesses.empty() ? live.matcher : ahead, row);
    selections_[at] =
        row.pick.Select(options_.info.vocabulary_size, live.sampling, live.counts, sampling.guesses.first(i),
                        live.next_index + static_cast<uint32_t>(i), row.allowed);
    if (i < sampling.guesses.size() && ahead.has_value() && !ahead->Accept(sampling.guesses[i])) return;  // cannot hold
  }
}

// Of one sequence: row after row while the guess before it holds.
void ModelEngine::Sample(Sampling& sampling, Sampler& sampler) {
  Live& live = *sampling.live;
  sampling.ids.clear();
  sampling.status = absl::OkStatus();
  sampling.device_failed = sampling.stop = sampling.pause = false;
  if (live.gone) return;  // the scheduler ignores its outcome; after a lost device there are no logits either
  for (size_t i = 0; i <= sampling.guesses.size(); ++i) {
    const absl::StatusOr<Sampled> sampled = Pick(sampling, i, sampler);
    if (!sampled.ok()) {
      sampling.status = sampled.status();
      break;
    }
    if (sampling.picked.size() == i) sampling.picked.emplace_back();
    sampling.picked[i].logprob = sampled->logprob;
    sampling.picked[i].top_logprobs.assign(sampled->top_logprobs.begin(), sampled->top_logprobs.end());
    sampling.ids.push_back(sampled->id);
    if (live.sampling.needs_counts()) live.counts.AddGenerated(sampled->id);
    sampling.stop = std::find(live.stop_ids.begin(), live.stop_ids.end(), sampled->id) != live.stop_ids.end();
    if (sampling.stop) break;
    if (live.matcher.has_value() && !live.matcher->Accept(sampled->id)) {
      sampling.status = absl::DataLossError(absl::StrCat("a constraint's mask let token ", sampled->id, " through"));
      break;
    }
    if (live.next_index + i + 1 == live.max_tokens) break;
    if (i < sampling.guesses.size() && sampled->id != sampling.guesses[i]) break;
  }
}

// The id of the row after so many guesses: from candidates, or from the whole row.
absl::StatusOr<Sampled> ModelEngine::Pick(Sampling& sampling, size_t guesses_held, Sampler& sampler) {
  Live& live = *sampling.live;
  const size_t at = sampling.first_row + guesses_held, vocabulary = options_.info.vocabulary_size;
  Row& row = rows_[at];
  if (selector_ == nullptr) FillMask(live, live.matcher, row);
  RETURN_IF_ERROR(row.masked);
  const absl::Span<float> logits(logits_.get() + at * vocabulary, vocabulary);
  if (selects_) {
    if (selections_[at].kind != Selection::Kind::kAll) {
      const absl::StatusOr<uint32_t> id =
          row.pick.Pick(selected_[at], live.sampling, live.counts, *selector_, static_cast<int>(at));
      ++selected_rows_;
      looked_again_rows_ += row.pick.looks() > 0;
      sampling.device_failed = !id.ok() && !absl::IsDataLoss(id.status()) && !absl::IsAborted(id.status());
      RETURN_IF_ERROR(id.status());
      return Sampled{.id = *id};
    }
    const absl::Status read = selector_->ReadRow(static_cast<int>(at), logits);
    sampling.device_failed = !read.ok();
    RETURN_IF_ERROR(read);
  }
  const uint32_t index = live.next_index + static_cast<uint32_t>(guesses_held);
  return sampler.Sample(logits, live.sampling, live.counts, index, row.allowed);
}

void ModelEngine::Deliver(Sampling& sampling) {
  Live& live = *sampling.live;
  for (size_t i = 0; i < sampling.ids.size(); ++i) {
    live.delivering = true;
    const absl::Cleanup delivered = [&] { live.delivering = false; };
    if (live.gone) return;  // the scheduler ignores its outcome
    const uint32_t index = live.next_index++;
    const bool last = i + 1 == sampling.ids.size();
    const auto finish = last && sampling.stop          ? TokenEvent::Finish::kStop
                        : index + 1 == live.max_tokens ? TokenEvent::Finish::kLength
                                                       : TokenEvent::Finish::kNone;
    live.finished = finish != TokenEvent::Finish::kNone;
    const Picked& picked = sampling.picked[i];
    sampling.pause = !live.sink->OnToken({index, sampling.ids[i], finish, picked.logprob, picked.top_logprobs,
                                          sampling.cached_tokens, live.waited.value_or(absl::ZeroDuration())});
  }
}

// Stop ids are no text: they may come exactly where the text may end.
void ModelEngine::FillMask(const Live& live, std::optional<Matcher>& matcher, Row& row) const {
  row.allowed.clear();
  row.masked = absl::OkStatus();
  if (!matcher.has_value()) return;
  row.allowed.resize((options_.info.vocabulary_size + 31) / 32);
  if (const absl::Status filled = matcher->FillMask(absl::MakeSpan(row.allowed)); !filled.ok()) {
    row.masked = absl::AbortedError(filled.message());
    return;
  }
  const bool may_end = matcher->CanEnd();
  for (const uint32_t id : live.stop_ids) {
    if (id >= options_.info.vocabulary_size) continue;
    const uint32_t bit = uint32_t{1} << (id % 32);
    row.allowed[id / 32] = may_end ? row.allowed[id / 32] | bit : row.allowed[id / 32] & ~bit;
  }
}

}  // namespace spotinference
