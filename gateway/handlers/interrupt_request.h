// The body of POST /admin/v1/machines/{id}:interrupt.
#ifndef GATEWAY_HANDLERS_INTERRUPT_REQUEST_H_
#define GATEWAY_HANDLERS_INTERRUPT_REQUEST_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace spotinference {

struct InterruptRequest {
  absl::Duration notice = absl::Seconds(30);  // what GCP and Azure give
};

// {"notice_seconds": N}, 0 <= N <= 3600, or nothing. INVALID_ARGUMENT names the field.
absl::StatusOr<InterruptRequest> ParseInterruptRequest(absl::string_view body);

}  // namespace spotinference

#endif  // GATEWAY_HANDLERS_INTERRUPT_REQUEST_H_
