#include "fleet/providers/cloud/address.h"

#include <arpa/inet.h>

#include <cstdint>

namespace spotinference::fleet {

bool IsPrivateAddress(const std::string& address) {
  in_addr parsed;
  if (inet_pton(AF_INET, address.c_str(), &parsed) != 1) return false;
  const uint32_t ip = ntohl(parsed.s_addr);
  return ip >> 24 == 127 || ip >> 24 == 10 || ip >> 20 == (172 << 4 | 1) || ip >> 16 == (192 << 8 | 168);
}

}  // namespace spotinference::fleet
