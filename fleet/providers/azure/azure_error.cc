#include "fleet/providers/azure/azure_error.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/http.h"
#include "fleet/providers/provider.h"

namespace spotinference::fleet {

absl::Status AzureError(const HttpResponse& response, const std::string& code, const std::string& message) {
  const std::string text = absl::StrCat(code, ": ", message.substr(0, 300));
  // "Troubleshooting API throttling errors": its code is OperationNotAllowed, which elsewhere is of a machine's state.
  if (response.status == 429) return StatusOfHttp(response, text);
  for (const char* const word :
       {"AllocationFailed", "SkuNotAvailable", "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest", "ZonalAllocationFailed", "CapacityReservation"}) {
    if (absl::StrContains(code, word)) return absl::ResourceExhaustedError(text);
  }
  const bool of_quota = absl::StrContains(absl::AsciiStrToLower(message), "quota");
  if (absl::StrContains(code, "QuotaExceeded") || (code == "OperationNotAllowed" && of_quota)) return OverQuota(text);
  for (const char* const word :
       {"TooManyRequests", "RetryableError", "InternalServerError", "InternalExecutionError",
        "NetworkingInternalOperationError", "OperationPreempted", "OSProvisioning", "Canceled"}) {
    if (!absl::StartsWith(code, word)) continue;
    HttpResponse busy = response;
    busy.status = 503;
    return StatusOfHttp(busy, text);
  }
  if (code == "OperationNotAllowed" || code == "AttachDiskWhileBeingDetached" || code == "Conflict" ||
      code == "DiskInUse" || response.status == 409) {
    return absl::FailedPreconditionError(text);
  }
  return StatusOfHttp(response, text);
}

}  // namespace spotinference::fleet
