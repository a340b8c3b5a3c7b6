// What others write and the local provider reads: the ready line, a process's name, /proc/PID/stat.
#include <cstdint>

#include "absl/strings/string_view.h"
#include "fleet/providers/local/process.h"
#include "fleet/providers/local/ready_line.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  (void)spotinference::fleet::ParseReadyLine(text);
  (void)spotinference::fleet::ParseStartTicks(text);
  const auto name = spotinference::fleet::ParseProcessName(text);
  if (name.has_value() && name->ToString() != text &&
      spotinference::fleet::ParseProcessName(name->ToString())->ToString() != name->ToString()) {
    __builtin_trap();
  }
  return 0;
}
