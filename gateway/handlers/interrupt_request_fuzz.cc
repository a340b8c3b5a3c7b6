// No body of an interrupt order breaks the parser, and what it lets through is in range.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "gateway/handlers/interrupt_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto request = spotinference::ParseInterruptRequest({reinterpret_cast<const char*>(data), size});
  if (request.ok() && (request->notice < absl::ZeroDuration() || request->notice > absl::Hours(1))) std::abort();
  return 0;
}
