// A program that hands out credentials, run for what it writes: AWS's credential_process, `az`, and such.
#ifndef FLEET_PROVIDERS_CLOUD_COMMAND_H_
#define FLEET_PROVIDERS_CLOUD_COMMAND_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"

namespace spotinference::fleet {

// What `arguments` wrote to stdout, of which [0] is looked for in PATH; no shell, no input, our environment, a process
// group of its own. FAILED_PRECONDITION: there is no such program, or it failed, with the first line of its stderr.
// DEADLINE_EXCEEDED: it did not end within `limit`, and was killed with its group. CANCELLED: the same, since the file
// descriptor `cancelled`, if there is one, can be read. RESOURCE_EXHAUSTED: it wrote more than a MiB, or could not be
// started for want of memory, processes or files. No error names its arguments or stdout.
absl::StatusOr<std::string> RunCommand(const std::vector<std::string>& arguments, absl::Duration limit,
                                       int cancelled = -1);

// Programs that are asked again and again. Thread-safe.
class Commands {
 public:
  // `clock` outlives it.
  explicit Commands(const Clock& clock);
  ~Commands();

  // RunCommand, and what `read` says of the output. Where either failed, that is the answer to the same arguments, in
  // the same environment, for ten seconds: of many calls for which it has nothing, not each waits for it.
  absl::Status Run(const std::vector<std::string>& arguments, absl::Duration limit,
                   absl::FunctionRef<absl::Status(const std::string& output)> read);
  // Every Run ends CANCELLED at once, also those to come.
  void Cancel();

 private:
  struct Failure {
    absl::Status status;
    absl::Duration until;
  };
  const Clock& clock_;
  const int cancelled_;  // an eventfd
  absl::Mutex mutex_;
  std::map<std::vector<std::string>, Failure> failures_ ABSL_GUARDED_BY(mutex_);
};

// The words of a line as Python's shlex, and so botocore, has them: quotes and backslashes; nothing else is special.
// INVALID_ARGUMENT: a quote is left open, or a backslash ends the line.
absl::StatusOr<std::vector<std::string>> ShellWords(absl::string_view line);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_COMMAND_H_
