// Addresses of machines.
#ifndef FLEET_PROVIDERS_CLOUD_ADDRESS_H_
#define FLEET_PROVIDERS_CLOUD_ADDRESS_H_

#include <string>

namespace spotinference::fleet {

// IPv4 of loopback or of RFC 1918's networks, which nobody outside the cloud's own network can listen to.
bool IsPrivateAddress(const std::string& address);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_ADDRESS_H_
