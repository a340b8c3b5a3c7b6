// Who a client is: IP addresses, the networks of trusted proxies, and how many connections an
// address holds.
#ifndef GATEWAY_HTTP_ADDRESS_H_
#define GATEWAY_HTTP_ADDRESS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

struct sockaddr;

namespace spotinference::http {

// An IPv4 address is kept as its IPv4-mapped IPv6 form, so that both spellings are one address.
class IpAddress {
 public:
  IpAddress() = default;  // "::"

  // "192.0.2.1", "2001:db8::1", without brackets, port or zone.
  static std::optional<IpAddress> Parse(std::string_view text);
  static IpAddress FromSocket(const sockaddr& address);

  std::string ToString() const;
  bool is_v4() const;
  // The address with all but the first `bits` (of 128) zero.
  IpAddress Prefix(int bits) const;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const IpAddress& address) {
    return H::combine(std::move(state), address.bytes_);
  }

 private:
  std::array<uint8_t, 16> bytes_ = {};
};

// A network in CIDR form: "10.0.0.0/8", "fd00::/8", or one address.
class IpNetwork {
 public:
  static absl::StatusOr<IpNetwork> Parse(std::string_view text);
  bool Contains(const IpAddress& address) const { return address.Prefix(bits_) == base_; }

 private:
  IpNetwork(IpAddress base, int bits) : base_(base), bits_(bits) {}
  IpAddress base_;
  int bits_;  // of 128
};

// The client behind `peer`: read from the right, the first address in the X-Forwarded-For values
// that is no trusted proxy; what stands left of it anyone may have written. `peer` itself when it
// is not trusted.
IpAddress ClientAddress(const IpAddress& peer, const std::vector<std::string_view>& forwarded_for,
                        const std::vector<IpNetwork>& trusted_proxies);

// Counts what each address holds. One IPv6 host commonly owns a /64, so that is what counts as one
// address there. Thread-safe.
class AddressCounter {
 public:
  // One unit of an address's count, given back on destruction. The counter must outlive it.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept { *this = std::move(other); }
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Release(); }
    // How many the address held, this one included, when this one was taken.
    int count() const { return count_; }
    void Release();

   private:
    friend class AddressCounter;
    AddressCounter* counter_ = nullptr;
    IpAddress key_;
    int count_ = 0;
  };

  Lease Take(const IpAddress& address);

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<IpAddress, int> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_ADDRESS_H_
