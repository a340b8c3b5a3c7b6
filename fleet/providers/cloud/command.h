// A program that hands out credentials, run for what it writes: AWS's credential_process, `az`, and such.
#ifndef FLEET_PROVIDERS_CLOUD_COMMAND_H_
#define FLEET_PROVIDERS_CLOUD_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference::fleet {

// What `arguments` wrote to stdout, of which [0] is looked for in PATH; no shell, no input, our environment, a process
// group of its own. FAILED_PRECONDITION: there is no such program, or it failed, with the first line of its stderr.
// DEADLINE_EXCEEDED: it did not end within `limit`, and was killed with its group. RESOURCE_EXHAUSTED: it wrote more
// than a MiB, or could not be started for want of memory, processes or files. No error names its arguments or stdout.
absl::StatusOr<std::string> RunCommand(const std::vector<std::string>& arguments, absl::Duration limit);

// The words of a line as Python's shlex, and so botocore, has them: quotes and backslashes; nothing else is special.
// INVALID_ARGUMENT: a quote is left open, or a backslash ends the line.
absl::StatusOr<std::vector<std::string>> ShellWords(absl::string_view line);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_COMMAND_H_
