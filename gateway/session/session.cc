#include "gateway/session/session.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/api/status.h"
#include "gateway/openai/api_error.h"

namespace spotinference {

namespace api = engine::v1;
using openai::Reason;
using openai::ReasonError;

namespace {

// Whether another engine may do what this one did not: it drains or its connection broke. CANCELLED, UNKNOWN and INTERNAL
// are what gRPC makes of a stream that was reset; an engine that stops ends its last sequences CANCELLED. The last two are
// what an engine says that is another one than was meant, at a port that was given anew.
bool AnotherMayGoOn(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
      return true;
    default:
      return false;
  }
}

absl::Status ToStatus(const fleet::AcquireError& error) {
  const openai::ErrorDetails details{.param = "", .retry_after = error.retry_after};
  switch (error.reason) {
    case fleet::AcquireError::Reason::kUnknownModel:
      return ReasonError(Reason::kModelNotFound, error.message, {.param = "model"});
    case fleet::AcquireError::Reason::kQueueFull:
      return ReasonError(Reason::kQueueFull, error.message, details);
    case fleet::AcquireError::Reason::kWakeTimeout:
      return ReasonError(Reason::kWakeTimeout, error.message, details);
    case fleet::AcquireError::Reason::kNoCapacity:
      return ReasonError(Reason::kNoCapacity, error.message, details);
    case fleet::AcquireError::Reason::kBackOff:
      return ReasonError(Reason::kModelBackoff, error.message, details);
    case fleet::AcquireError::Reason::kShutdown:
      return ReasonError(Reason::kShuttingDown, error.message, details);
    case fleet::AcquireError::Reason::kPoison:
      return ReasonError(Reason::kPoison, error.message);
  }
  return absl::InternalError("an unknown reason from the fleet");
}

absl::Status EngineLost() {
  return ReasonError(Reason::kEngineLost, "the engine was lost while it worked on this request; try it again");
}

// What an engine said that no other one would mend.
absl::Status ToStatus(const absl::Status& of_engine, bool started) {
  if (of_engine.code() == absl::StatusCode::kAborted) {
    return ReasonError(Reason::kInvalidRequest, of_engine.message(), {.param = "response_format"});
  }
  // Of this one answer, on an engine that is well: the next engine would come to the same.
  if (absl::IsDataLoss(of_engine)) {
    return ReasonError(Reason::kEngineLost, absl::StrCat("the model cannot go on: ", of_engine.message()));
  }
  if (started) return EngineLost();
  switch (of_engine.code()) {
    case absl::StatusCode::kInvalidArgument:
      return ReasonError(Reason::kInvalidRequest, of_engine.message());
    case absl::StatusCode::kResourceExhausted:
      return ReasonError(Reason::kRateLimit, of_engine.message(), {.retry_after = absl::Seconds(1)});
    default:
      return EngineLost();
  }
}

}  // namespace

class Session::CallHandler : public EngineCallHandler {
 public:
  CallHandler(std::shared_ptr<Session> session, uint64_t attempt, int index)
      : session_(std::move(session)), attempt_(attempt), index_(index) {}
  void OnEvent(const api::GenerateEvent& event) override { session_->OnEvent(attempt_, index_, event); }
  void OnEnd(const absl::Status& status) override { session_->OnCallEnd(attempt_, index_, status); }

 private:
  const std::shared_ptr<Session> session_;
  const uint64_t attempt_;
  const int index_;
};

Session::Session(const SessionContext& context, SessionRequest request, std::unique_ptr<AnswerSink> sink)
    : context_(context),
      request_(std::move(request)),
      sink_(std::move(sink)),
      began_(context.clock.Elapsed()),
      word_due_(context.clock.Elapsed() + request_.first_silence),
      last_heard_(context.clock.Elapsed()) {
  const StopStrings stops(request_.stop);
  for (size_t i = 0; i < request_.sequences.size(); ++i) {
    Sequence& sequence = sequences_.emplace_back();
    sequence.detokenizer = std::make_unique<Detokenizer>(*request_.tokenizer, request_.text);
    sequence.stops = std::make_unique<StopStrings>(stops);
    if (i % request_.sequences_per_prompt == 0) usage_.prompt_tokens += request_.sequences[i].prompt_ids_size();
  }
}

void Session::Start() {
  Acquire(1);
  absl::MutexLock lock(&mutex_);
  if (!ended_) ScheduleTick(std::min({request_.first_silence, request_.silence, kEngineSilence}));
}

void Session::Acquire(uint64_t attempt) {
  fleet::Claim claim{.bytes = request_.parked_bytes, .key = request_.key};
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    claim.cuts = cuts_;
    claim.begun = started_;
  }
  const fleet::Fleet::WaitId id = context_.fleet.Acquire(
      request_.model, claim,
      [self = shared_from_this()](fleet::AcquireResult result) { self->OnLease(std::move(result)); });
  bool cancel;
  {
    absl::MutexLock lock(&mutex_);
    cancel = ended_;
    if (!ended_ && attempt == attempt_ && !lease_.has_value()) wait_ = id;
  }
  if (cancel) context_.fleet.Cancel(id);
}

void Session::OnLease(fleet::AcquireResult result) {
  fleet::Endpoint endpoint;
  uint64_t attempt;
  {
    absl::MutexLock lock(&mutex_);
    wait_.reset();
    if (ended_) return;
    if (const auto* error = std::get_if<fleet::AcquireError>(&result)) return EndWith(ToStatus(*error));
    lease_.emplace(std::get<fleet::Lease>(std::move(result)));
    endpoint = lease_->endpoint();
    attempt = attempt_;
    last_heard_ = context_.clock.Elapsed();
    asked_after_ = false;
  }
  BeginAttempt(attempt, endpoint);
}

void Session::BeginAttempt(uint64_t attempt, const fleet::Endpoint& endpoint) {
  for (int i = 0; i < static_cast<int>(request_.sequences.size()); ++i) {
    api::GenerateRequest request = request_.sequences[i];
    request.set_model_hash(endpoint.model_hash);
    {
      absl::MutexLock lock(&mutex_);
      if (ended_ || attempt != attempt_) return;
      if (sequences_[i].ended || std::exchange(sequences_[i].asked, true)) continue;
      request.mutable_generated_ids()->Add(sequences_[i].ids.begin(), sequences_[i].ids.end());
    }
    auto handler = std::make_shared<CallHandler>(shared_from_this(), attempt, i);
    std::shared_ptr<EngineCall> call = context_.engines.Generate(endpoint, std::move(request), std::move(handler));
    absl::MutexLock lock(&mutex_);
    if (ended_ || attempt != attempt_) {
      call->Cancel();
      return;
    }
    sequences_[i].call = call;
    sequences_[i].next_wanted = paused_;
    if (!paused_) call->Next();
  }
}

void Session::OnEvent(uint64_t attempt, int index, const api::GenerateEvent& event) {
  absl::MutexLock lock(&mutex_);
  if (ended_ || attempt != attempt_) return;
  Sequence& sequence = sequences_[index];
  if (sequence.ended) return;
  if (event.index() != sequence.ids.size() || event.id() >= request_.tokenizer->vocabulary_size()) {
    LOG(ERROR) << "engine " << lease_->endpoint().machine_id << " sent index " << event.index() << ", id "
               << event.id() << " where index " << sequence.ids.size() << " was due";
    return EndWith(ReasonError(Reason::kEngineLost, "the engine sent an answer that makes no sense; try it again"));
  }
  TellResume();
  vain_cuts_ = 0;
  full_since_.reset();
  if (!started_) {
    started_ = true;
    lease_->NoteWaited(context_.clock.Elapsed() - began_);
    sink_->OnStart(lease_->endpoint());
  }
  numerics_id_ = lease_->endpoint().numerics_id;
  last_heard_ = context_.clock.Elapsed();
  word_due_ = last_heard_ + request_.silence;
  asked_after_ = false;
  lease_->life()->NoteServed();
  if (event.noticed() && std::exchange(noticed_, attempt) != attempt) {  // without the lock: see GiveBack
    context_.timers.After(absl::ZeroDuration(), [&fleet = context_.fleet, machine = lease_->endpoint().machine_id] {
      fleet.ReportNotice(machine);
    });
  }
  const bool more = TakeId(sequence, index, event);
  if (ended_) return;
  if (!more) Pause();
  if (sequence.ended) return;
  if (paused_) sequence.next_wanted = true;
  else sequence.call->Next();
}

// The ids alone say when a sequence is whole: at its last one no engine need be asked whether it was.
api::FinishReason Session::FinishOf(int index, const api::GenerateEvent& event) const {
  if (event.finish_reason() != api::FINISH_REASON_NONE) return event.finish_reason();
  const api::GenerateRequest& request = request_.sequences[index];
  const auto& stops = request.stop_ids();
  if (!request.ignore_stop_ids() && std::find(stops.begin(), stops.end(), event.id()) != stops.end()) {
    return api::FINISH_REASON_STOP;
  }
  return event.index() + 1 == request.max_tokens() ? api::FINISH_REASON_LENGTH : api::FINISH_REASON_NONE;
}

bool Session::TakeId(Sequence& sequence, int index, const api::GenerateEvent& event) {
  sequence.ids.push_back(event.id());
  ++usage_.generated_tokens;
  lease_->CountToken();
  lease_->NoteQueued(absl::Milliseconds(event.waited_ms()));
  if (event.index() == 0 && index % request_.sequences_per_prompt == 0) usage_.cached_tokens += event.cached_tokens();
  const api::FinishReason finish = FinishOf(index, event);
  if (finish == api::FINISH_REASON_STOP) return FinishSequence(sequence, index, finish);
  if (event.has_logprob()) {
    AnswerToken& token = sequence.tokens.emplace_back();
    token.id = event.id();
    token.logprob = event.logprob().logprob();
    for (const api::TokenLogprob& top : event.top_logprobs()) token.top.push_back({top.id(), top.logprob()});
  }
  const std::string text = sequence.stops->Feed(sequence.detokenizer->Feed(event.id()));
  bool more = true;
  if (!text.empty()) {
    more = sink_->OnText(index, text, sequence.tokens);
    sequence.tokens.clear();
  }
  if (sequence.stops->stopped()) return FinishSequence(sequence, index, api::FINISH_REASON_STOP);
  if (finish != api::FINISH_REASON_NONE) return FinishSequence(sequence, index, finish);
  return more;
}

bool Session::FinishSequence(Sequence& sequence, int index, api::FinishReason reason) {
  std::string rest;
  if (!sequence.stops->stopped()) {
    rest = sequence.stops->Feed(sequence.detokenizer->Flush());
    rest += sequence.stops->Flush();
  }
  if (!rest.empty() || !sequence.tokens.empty()) sink_->OnText(index, rest, sequence.tokens);
  sequence.tokens.clear();
  sequence.ended = true;
  // Also where the engine has ended by itself: the call is not asked for more, and has to be let go.
  sequence.call->Cancel();
  sequence.call = nullptr;
  const bool more = sink_->OnFinish(index, reason);
  if (std::all_of(sequences_.begin(), sequences_.end(), [](const Sequence& s) { return s.ended; })) {
    sink_->OnDone(usage_);
    End();
  }
  return more;
}

void Session::OnCallEnd(uint64_t attempt, int index, const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || attempt != attempt_ || sequences_[index].ended) return;
    LOG_IF(WARNING, !full_since_.has_value() || !absl::IsResourceExhausted(status))
        << "engine " << lease_->endpoint().machine_id << " ended a call early: "
        << absl::StatusCodeToString(status.code()) << ", " << status.message();
    if (absl::IsResourceExhausted(status) && (started_ || attempt > 1)) return WaitForRoom(index);
    if (absl::IsResourceExhausted(status)) lease_->NoteWaited(absl::InfiniteDuration());
    if (!AnotherMayGoOn(status)) return EndWith(ToStatus(status, started_));
    if (NoticeOf(status).has_value()) lease_->life()->EndBy(fleet::MachineLife::End::kNotice);
  }
  const absl::string_view why = status.message();
  Move(attempt, {why.data(), why.size()});
}

// Where other sequences of the answer run, this one waits for its turn; else the next lease tells where there is room.
void Session::WaitForRoom(int index) {
  const absl::Duration now = context_.clock.Elapsed();
  if (!full_since_.has_value()) full_since_ = now;
  if (now - *full_since_ >= kLongestFull) {
    return EndWith(ReasonError(Reason::kNoCapacity, absl::StrCat("every engine of ", request_.model, " was full for ",
                                                                 absl::FormatDuration(now - *full_since_))));
  }
  sequences_[index].call = nullptr;
  sequences_[index].asked = false;
  if (std::any_of(sequences_.begin(), sequences_.end(), [](const Sequence& s) { return s.asked && !s.ended; })) {
    context_.timers.After(request_.full_engine,
                          [self = shared_from_this(), attempt = attempt_, endpoint = lease_->endpoint()] {
                            self->BeginAttempt(attempt, endpoint);
                          });
    return;
  }
  GiveBack();
  ++attempt_;
  context_.timers.After(request_.full_engine,
                        [self = shared_from_this(), attempt = attempt_] { self->Acquire(attempt); });
}

void Session::TellResume() {
  if (cuts_told_ == cuts_.size()) return;
  cuts_told_ = cuts_.size();
  const absl::string_view reason = fleet::EndName(cuts_.back().life->end());
  const bool exact = numerics_id_.empty() || numerics_id_ == lease_->endpoint().numerics_id;
  LOG(INFO) << "an answer of " << request_.model << " goes on at " << lease_->endpoint().machine_id << ", interruption "
            << life_left_ << ": " << reason << (exact ? ", exact" : ", not exact");
  sink_->OnResume({reason.data(), reason.size()}, exact);
}

void Session::Move(uint64_t attempt, std::string_view why) {
  std::string machine;
  bool go_on;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || attempt != attempt_) return;
    machine = lease_->endpoint().machine_id;
    TellResume();
    go_on = vain_cuts_ < kMostVainCuts;
    if (go_on) {
      life_left_ = lease_->endpoint().life;
      LOG(INFO) << "an answer of " << request_.model << " leaves " << machine << ", interruption " << life_left_ << ": "
                << why;
      LetCallsGo();
      context_.engines.Forget(lease_->endpoint());
      cuts_.push_back({lease_->life(), lease_->alone()});
      ++vain_cuts_;
      GiveBack();
      ++attempt_;
    } else {
      LOG(WARNING) << "an answer of " << request_.model << " is given up after " << vain_cuts_
                   << " cuts without a token, the last by " << machine << ": " << why;
      EndWith(EngineLost());
    }
  }
  context_.fleet.ReportBroken(machine, {why.data(), why.size()});
  if (go_on) Acquire(attempt + 1);
}

void Session::Continue() {
  absl::MutexLock lock(&mutex_);
  if (ended_ || !paused_) return;
  paused_ = false;
  last_heard_ = context_.clock.Elapsed();
  for (Sequence& sequence : sequences_) {
    if (sequence.next_wanted && !sequence.ended && sequence.call != nullptr) sequence.call->Next();
    sequence.next_wanted = false;
  }
}

void Session::Pause() {
  paused_ = true;
  if (std::exchange(looks_, true)) return;
  context_.timers.After(kPausedLook, [weak = weak_from_this()] {
    if (const std::shared_ptr<Session> self = weak.lock()) self->LookWhilePaused();
  });
}

// The end of a call that nothing is read from does not come, and the lease would keep the machine from its goodbye.
void Session::LookWhilePaused() {
  uint64_t attempt;
  {
    absl::MutexLock lock(&mutex_);
    looks_ = false;
    if (ended_ || !paused_) return;
    Pause();
    if (!lease_.has_value() || lease_->life()->end() == fleet::MachineLife::End::kNone) return;
    attempt = attempt_;
  }
  Move(attempt, "its machine is left, and the client does not read");
}

void Session::Cancel() {
  absl::MutexLock lock(&mutex_);
  if (!ended_) End();
}

void Session::Fail(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (!ended_) EndWith(status);
}

void Session::EndWith(const absl::Status& status) {
  sink_->OnError(status);
  End();
}

void Session::End() {
  ended_ = true;
  if (!started_ && lease_.has_value()) lease_->NoteWaited(context_.clock.Elapsed() - began_);
  LetCallsGo();
  GiveBack();
  sink_ = nullptr;
}

void Session::LetCallsGo() {
  for (Sequence& sequence : sequences_) {
    if (sequence.call != nullptr) sequence.call->Cancel();
    sequence.call = nullptr;
    sequence.asked = false;
  }
}

// The fleet is not called with the session's lock held: it may be about to call the session.
void Session::GiveBack() {
  context_.timers.After(absl::ZeroDuration(),
                        [&fleet = context_.fleet, wait = wait_,
                         lease = lease_.has_value() ? std::make_shared<fleet::Lease>(*std::move(lease_)) : nullptr] {
                          if (wait.has_value()) fleet.Cancel(*wait);
                        });
  wait_.reset();
  lease_.reset();
}

void Session::ScheduleTick(absl::Duration delay) {
  context_.timers.After(delay, [weak = weak_from_this()] {
    if (const std::shared_ptr<Session> self = weak.lock()) self->OnTick();
  });
}

void Session::OnTick() {
  const std::optional<fleet::WakeProgress> waking = context_.fleet.Progress(request_.model);
  std::string silent;
  bool gone = false, ask = false;
  uint64_t attempt;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    const absl::Duration now = context_.clock.Elapsed();
    ScheduleTick(std::min(Speak(now, waking), Watch(now, silent)));
    gone = !silent.empty() && lease_->life()->end() != fleet::MachineLife::End::kNone;
    ask = !silent.empty() && asked_after_;
    attempt = attempt_;
  }
  if (gone) Move(attempt, "it says nothing, and its machine is no longer there");
  else if (ask) context_.fleet.ReportBroken(silent, "an answer waits for its next token");
}

absl::Duration Session::Speak(absl::Duration now, const std::optional<fleet::WakeProgress>& waking) {
  if (now < word_due_) return std::min(request_.silence, word_due_ - now);
  sink_->OnSilence(lease_.has_value() ? std::nullopt : waking);
  word_due_ = now + request_.silence;
  return request_.silence;
}

// In turns: a silence, a question after its health, and what has become of that.
absl::Duration Session::Watch(absl::Duration now, std::string& silent) {
  if (!lease_.has_value() || paused_) return kEngineSilence;
  const absl::Duration wait = (asked_after_ ? kHealthKnown : kEngineSilence) - (now - last_heard_);
  if (wait > absl::ZeroDuration()) return wait;
  silent = lease_->endpoint().machine_id;
  last_heard_ = now;
  asked_after_ = !asked_after_;
  return asked_after_ ? kHealthKnown : kEngineSilence;
}

}  // namespace spotinference
