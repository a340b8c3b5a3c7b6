// What a cloud has told to wait with. Whoever asks all the same, for another machine or by another decision, has that
// answer again until then, and the cloud is not bothered.
#ifndef FLEET_PROVIDERS_CLOUD_HELD_CALLS_H_
#define FLEET_PROVIDERS_CLOUD_HELD_CALLS_H_

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"

namespace spotinference::fleet {

// A method and the path of a URL: what a cloud counts together, as far as one can know.
std::string CallOf(absl::string_view method, absl::string_view url);

// Of an answer that was given in the cloud's place: nothing was done.
bool IsHeld(const absl::Status& status);

// Thread-safe.
class HeldCalls {
 public:
  // `clock` outlives it.
  explicit HeldCalls(const Clock& clock) : clock_(clock) {}

  // What `ask` answers; without it, what is left of a wait.
  template <typename T>
  absl::StatusOr<T> Ask(const std::string& call, absl::FunctionRef<absl::StatusOr<T>()> ask) {
    RETURN_IF_ERROR(MayAsk(call));
    absl::StatusOr<T> answer = ask();
    Note(call, answer.status());
    return answer;
  }

 private:
  absl::Status MayAsk(const std::string& call);
  void Note(const std::string& call, const absl::Status& answer);

  struct Held {
    absl::Status answer;
    absl::Duration until = -absl::InfiniteDuration();
  };
  const Clock& clock_;
  absl::Mutex mutex_;
  std::map<std::string, Held> held_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_HELD_CALLS_H_
