#include "gateway/http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace spotinference::http {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// One element of X-Forwarded-For: an address, or "v4:port", "[v6]", "[v6]:port" as some proxies
// write it.
std::optional<IpAddress> ParseForwarded(std::string_view text) {
  text = Trim(text);
  if (!text.empty() && text[0] == '[') {
    const size_t end = text.find(']');
    if (end == text.npos) return std::nullopt;
    return IpAddress::Parse(text.substr(1, end - 1));
  }
  if (std::count(text.begin(), text.end(), ':') == 1) text = text.substr(0, text.find(':'));
  return IpAddress::Parse(text);
}

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != terminated.npos) return std::nullopt;
  IpAddress address;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes_.data()) == 1) return address;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes_.begin());
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes_.data() + 12) == 1) return address;
  return std::nullopt;
}

IpAddress IpAddress::FromSocket(const sockaddr& address) {
  IpAddress result;
  if (address.sa_family == AF_INET6) {
    std::memcpy(result.bytes_.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr,
                16);
  } else if (address.sa_family == AF_INET) {
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), result.bytes_.begin());
    std::memcpy(result.bytes_.data() + 12, &reinterpret_cast<const sockaddr_in&>(address).sin_addr,
                4);
  }
  return result;
}

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes_.begin());
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  return is_v4() ? inet_ntop(AF_INET, bytes_.data() + 12, text, sizeof text)
                 : inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
}

IpAddress IpAddress::Prefix(int bits) const {
  IpAddress prefix;
  for (int i = 0; i < 16; ++i) {
    const int kept = std::clamp(bits - i * 8, 0, 8);
    prefix.bytes_[i] = bytes_[i] & (0xff00 >> kept);
  }
  return prefix;
}

absl::StatusOr<IpNetwork> IpNetwork::Parse(std::string_view text) {
  const auto error = [text](const char* why) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", absl::string_view(text.data(), text.size()), "\" ", why,
                     "; a network looks like 10.0.0.0/8, fd00::/8 or 192.0.2.1"));
  };
  const size_t slash = text.find('/');
  const std::optional<IpAddress> address = IpAddress::Parse(text.substr(0, slash));
  if (!address) return error("does not start with an IP address");
  const int width = address->is_v4() ? 32 : 128;
  int bits = width;
  if (slash != text.npos) {
    const std::string_view length = text.substr(slash + 1);
    if (!absl::SimpleAtoi(absl::string_view(length.data(), length.size()), &bits) || bits < 0 ||
        bits > width) {
      return error(width == 32 ? "needs a prefix length from 0 to 32"
                               : "needs a prefix length from 0 to 128");
    }
  }
  bits += 128 - width;
  if (address->Prefix(bits) != *address) return error("has bits set beyond its prefix length");
  return IpNetwork(*address, bits);
}

IpAddress ClientAddress(const IpAddress& peer, const std::vector<std::string_view>& forwarded_for,
                        const std::vector<IpNetwork>& trusted_proxies) {
  const auto trusted = [&](const IpAddress& address) {
    return std::any_of(trusted_proxies.begin(), trusted_proxies.end(),
                       [&](const IpNetwork& network) { return network.Contains(address); });
  };
  IpAddress client = peer;
  for (auto value = forwarded_for.rbegin(); value != forwarded_for.rend(); ++value) {
    std::string_view rest = *value;
    while (!rest.empty()) {
      if (!trusted(client)) return client;
      const size_t comma = rest.rfind(',');
      const std::optional<IpAddress> before =
          ParseForwarded(comma == rest.npos ? rest : rest.substr(comma + 1));
      if (!before) return client;
      client = *before;
      rest = comma == rest.npos ? std::string_view() : rest.substr(0, comma);
    }
  }
  return client;
}

AddressCounter::Lease& AddressCounter::Lease::operator=(Lease&& other) noexcept {
  Release();
  counter_ = std::exchange(other.counter_, nullptr);
  key_ = other.key_;
  count_ = other.count_;
  return *this;
}

void AddressCounter::Lease::Release() {
  if (counter_ == nullptr) return;
  absl::MutexLock lock(&counter_->mutex_);
  const auto entry = counter_->counts_.find(key_);
  if (--entry->second == 0) counter_->counts_.erase(entry);
  counter_ = nullptr;
}

AddressCounter::Lease AddressCounter::Take(const IpAddress& address) {
  Lease lease;
  lease.counter_ = this;
  lease.key_ = address.is_v4() ? address : address.Prefix(64);
  absl::MutexLock lock(&mutex_);
  lease.count_ = ++counts_[lease.key_];
  return lease;
}

}  // namespace spotinference::http
