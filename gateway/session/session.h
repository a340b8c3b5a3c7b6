// One request from the moment its prompts are token ids: waits for an engine, runs its sequences there, and turns ids back
// into text. Every id is kept before its text goes on.
//
// So an engine may go: the session gives its lease back, gets another one, parked if need be, and sends prompt ids and
// ids so far there. The answer goes on at the next index. What turns ids into text, and what is half said (a character, a
// stop string), is here and does not move. Each lease begins an attempt; events of an earlier attempt are dropped.
#ifndef GATEWAY_SESSION_SESSION_H_
#define GATEWAY_SESSION_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/clock.h"
#include "engine/api/engine.pb.h"
#include "engine/text/detokenizer.h"
#include "engine/text/stop_strings.h"
#include "engine/text/tokenizer.h"
#include "fleet/api/fleet.h"
#include "gateway/session/engine_client.h"
#include "gateway/session/timers.h"

namespace spotinference {

// A token of the answer with its log-probabilities.
struct AnswerToken {
  uint32_t id = 0;
  float logprob = 0;
  struct Top {
    uint32_t id;
    float logprob;
  };
  std::vector<Top> top;
};

struct AnswerUsage {
  int64_t prompt_tokens = 0;     // of each prompt once
  int64_t cached_tokens = 0;     // of these, found in the engine's prefix cache
  int64_t generated_tokens = 0;  // of all sequences
};

// Where the answer goes. Calls come one at a time, on any thread, with the session's lock held: no call may block or come
// back to the session.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;

  // The answer goes on at another engine, which has said its first id or is lost before that; `reason` is one of
  // fleet::EndName. `exact`: the other one has the numerics_id of the engine that said the last id, so that the text is
  // the one of an answer that was never cut.
  virtual void OnResume(std::string_view reason, bool exact) = 0;

  // An engine has produced the first id. Before this, or OnSilence, nothing has been said.
  virtual void OnStart(const fleet::Endpoint& endpoint) = 0;

  // Text of sequence `index` in whole characters, and the tokens since the last call where logprobs were asked for; text
  // may be empty when there are tokens. False: pause until Session::Continue.
  virtual bool OnText(int index, std::string_view text, absl::Span<const AnswerToken> tokens) = 0;
  virtual bool OnFinish(int index, engine::v1::FinishReason reason) = 0;

  // Nothing was said for a while. `waking`: how far the wake is, where one is under way.
  virtual void OnSilence(const std::optional<fleet::WakeProgress>& waking) = 0;

  // One of these is the last call, unless the session was cancelled.
  virtual void OnDone(const AnswerUsage& usage) = 0;
  virtual void OnError(const absl::Status& status) = 0;  // of gateway/openai/api_error.h
};

// What sessions share. Everything outlives them.
struct SessionContext {
  fleet::Fleet& fleet;
  EngineClient& engines;
  Timers& timers;
  const Clock& clock;
};

// An answer whose engine is full of others looks again, for the idlest one by then: some of some thousand sequences end
// each second. It gives up when it has looked for as long as a request may be parked.
constexpr absl::Duration kFullEngine = absl::Milliseconds(500);
constexpr absl::Duration kLongestFull = absl::Seconds(585);

struct SessionRequest {
  std::string model;
  std::string key;  // the name of its API key
  std::shared_ptr<const Tokenizer> tokenizer;
  Detokenizer::Text text = Detokenizer::Text::kWhole;
  // One for each sequence, complete but for what a resume adds; sequences of one prompt follow each other.
  std::vector<engine::v1::GenerateRequest> sequences;
  int sequences_per_prompt = 1;
  std::vector<std::string> stop;
  size_t parked_bytes = 0;  // what the request occupies while it waits
  // OnSilence comes when nothing was said for `first_silence`, and after that, or an id, for `silence`.
  absl::Duration first_silence = absl::Seconds(15);
  absl::Duration silence = absl::Seconds(5);
  // From an engine that is full of others to the next look for room.
  absl::Duration full_engine = kFullEngine;
};

// It ends an answer whose engines never get anywhere: so many cuts in a row without an id. An answer waits at most 600 s,
// the SDKs' time-out, and engines that live under 20 s each are no service: 600 / 20 cuts, and a few.
constexpr uint64_t kMostVainCuts = 32;

// An engine that says nothing for so long is asked whether it is well; a prompt of 8,000 tokens may well take as long.
constexpr absl::Duration kEngineSilence = absl::Seconds(5);
// Then its health is known: the question's deadline is 1 s.
constexpr absl::Duration kHealthKnown = absl::Seconds(2);
// A client that does not read hears nothing of its engine: so often it is looked whether the machine has been left.
constexpr absl::Duration kPausedLook = absl::Milliseconds(200);

// Thread-safe. What it waits for, a lease or an engine's call, keeps it alive; nobody else has to.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(const SessionContext& context, SessionRequest request, std::unique_ptr<AnswerSink> sink);

  void Start();
  void Continue();  // the sink wants more
  void Cancel();    // nobody wants the answer: its sequences end at the engine, its place in the queue is free
  // Ends with an error that the client sees.
  void Fail(const absl::Status& status);

 private:
  class CallHandler;
  struct Sequence {
    std::vector<uint32_t> ids;  // generated so far
    std::unique_ptr<Detokenizer> detokenizer;
    std::unique_ptr<StopStrings> stops;
    std::vector<AnswerToken> tokens;  // whose text is held back
    std::shared_ptr<EngineCall> call;
    bool asked = false;      // in this attempt, and not refused: `call` is there, or about to be
    bool ended = false;      // the client has all of it
    bool next_wanted = false;  // an event has been handled and the next not been asked for, since the sink paused
  };

  void Acquire(uint64_t attempt) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnLease(fleet::AcquireResult result);
  void BeginAttempt(uint64_t attempt, const fleet::Endpoint& endpoint) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnEvent(uint64_t attempt, int index, const engine::v1::GenerateEvent& event);
  void OnCallEnd(uint64_t attempt, int index, const absl::Status& status);
  void OnTick();
  void Pause() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LookWhilePaused();
  // Goes on at another engine, unless this is no longer the attempt.
  void Move(uint64_t attempt, std::string_view why) ABSL_LOCKS_EXCLUDED(mutex_);
  // Sequence `index` was refused in mid-answer. No client asks again there, so we do; nobody is to blame.
  void WaitForRoom(int index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellResume() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // once for each cut
  // When to look again. Sets `silent` to the machine that has said nothing for too long, where there is one.
  absl::Duration Watch(absl::Duration now, std::string& silent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration Speak(absl::Duration now, const std::optional<fleet::WakeProgress>& waking)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  bool TakeId(Sequence& sequence, int index, const engine::v1::GenerateEvent& event)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  engine::v1::FinishReason FinishOf(int index, const engine::v1::GenerateEvent& event) const;
  bool FinishSequence(Sequence& sequence, int index, engine::v1::FinishReason reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LetCallsGo() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBack() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndWith(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ScheduleTick(absl::Duration delay) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SessionContext context_;
  const SessionRequest request_;

  absl::Mutex mutex_;
  std::unique_ptr<AnswerSink> sink_ ABSL_GUARDED_BY(mutex_);
  std::vector<Sequence> sequences_ ABSL_GUARDED_BY(mutex_);
  std::optional<fleet::Fleet::WaitId> wait_ ABSL_GUARDED_BY(mutex_);
  std::optional<fleet::Lease> lease_ ABSL_GUARDED_BY(mutex_);
  uint64_t attempt_ ABSL_GUARDED_BY(mutex_) = 1;  // events of an earlier one are dropped
  uint64_t noticed_ ABSL_GUARDED_BY(mutex_) = 0;  // the attempt whose engine said that its machine goes
  std::vector<fleet::Claim::Cut> cuts_ ABSL_GUARDED_BY(mutex_);  // the machines of earlier attempts, but for full ones
  size_t cuts_told_ ABSL_GUARDED_BY(mutex_) = 0;                 // to the sink
  uint64_t vain_cuts_ ABSL_GUARDED_BY(mutex_) = 0;               // since the last id
  std::string life_left_ ABSL_GUARDED_BY(mutex_);                // of the last cut's machine, for the log
  std::optional<absl::Duration> full_since_ ABSL_GUARDED_BY(mutex_);  // every engine; until one says an id
  std::string numerics_id_ ABSL_GUARDED_BY(mutex_);  // of the engine that said the last id
  const absl::Duration began_;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool looks_ ABSL_GUARDED_BY(mutex_) = false;  // LookWhilePaused is due
  absl::Duration word_due_ ABSL_GUARDED_BY(mutex_);    // when OnSilence comes, unless something else is said before
  absl::Duration last_heard_ ABSL_GUARDED_BY(mutex_);  // from the engine, or it was asked for
  bool asked_after_ ABSL_GUARDED_BY(mutex_) = false;   // its health, at last_heard_
  AnswerUsage usage_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference

#endif  // GATEWAY_SESSION_SESSION_H_
