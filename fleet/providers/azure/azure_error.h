// What Azure's errors mean, in the codes of cloud_api.h.
#ifndef FLEET_PROVIDERS_AZURE_AZURE_ERROR_H_
#define FLEET_PROVIDERS_AZURE_AZURE_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "engine/base/http_client.h"

namespace spotinference::fleet {

// Of an answer's error, or of an operation's in an answer that was made up for it.
absl::Status AzureError(const HttpResponse& response, const std::string& code, const std::string& message);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AZURE_AZURE_ERROR_H_
