#include "gateway/http/address.h"

#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

IpAddress Address(std::string_view text) { return IpAddress::Parse(text).value(); }

std::vector<IpNetwork> Networks(std::initializer_list<const char*> texts) {
  std::vector<IpNetwork> networks;
  for (const char* text : texts) networks.push_back(*IpNetwork::Parse(text));
  return networks;
}

TEST(IpAddressTest, BothSpellingsOfAnIpv4AddressAreOne) {
  EXPECT_EQ(Address("192.0.2.1"), Address("::ffff:192.0.2.1"));
  EXPECT_EQ(Address("::ffff:192.0.2.1").ToString(), "192.0.2.1");
  EXPECT_EQ(Address("2001:DB8:0::1").ToString(), "2001:db8::1");
  for (const char* text :
       {"", "1.2.3", "1.2.3.4:5", "[::1]", "::1%eth0", "localhost", "1.2.3.256"}) {
    EXPECT_FALSE(IpAddress::Parse(text)) << text;
  }
}

TEST(IpNetworkTest, Contains) {
  EXPECT_TRUE(IpNetwork::Parse("10.0.0.0/8")->Contains(Address("10.255.1.2")));
  EXPECT_FALSE(IpNetwork::Parse("10.0.0.0/8")->Contains(Address("11.0.0.0")));
  EXPECT_TRUE(IpNetwork::Parse("10.0.0.128/25")->Contains(Address("::ffff:10.0.0.200")));
  EXPECT_FALSE(IpNetwork::Parse("10.0.0.128/25")->Contains(Address("10.0.0.127")));
  EXPECT_TRUE(IpNetwork::Parse("fc00::/7")->Contains(Address("fd12::1")));
  EXPECT_TRUE(IpNetwork::Parse("::1")->Contains(Address("::1")));
  EXPECT_FALSE(IpNetwork::Parse("0.0.0.0/0")->Contains(Address("::1")));
}

TEST(IpNetworkTest, RefusesWithAReason) {
  for (const char* text :
       {"", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.1/8", "::/129", "host/8"}) {
    const auto network = IpNetwork::Parse(text);
    ASSERT_FALSE(network.ok()) << text;
    EXPECT_NE(network.status().message().find("a network looks like"), std::string::npos);
  }
}

TEST(ClientAddressTest, BelievesOnlyTrustedProxies) {
  const auto trusted = Networks({"10.0.0.0/8", "fd00::/8"});
  const auto client = [&](const char* peer, std::vector<std::string_view> forwarded) {
    return ClientAddress(Address(peer), forwarded, trusted).ToString();
  };
  EXPECT_EQ(client("192.0.2.1", {"198.51.100.7"}), "192.0.2.1");
  EXPECT_EQ(client("10.0.0.1", {}), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.1", {"198.51.100.7"}), "198.51.100.7");
  EXPECT_EQ(client("10.0.0.1", {"1.1.1.1, 198.51.100.7, fd00::2"}), "198.51.100.7");
  EXPECT_EQ(client("10.0.0.1", {"1.1.1.1", "198.51.100.7"}), "198.51.100.7");
  EXPECT_EQ(client("10.0.0.1", {"198.51.100.7:4711"}), "198.51.100.7");
  EXPECT_EQ(client("10.0.0.1", {"[2001:db8::7]:4711"}), "2001:db8::7");
  EXPECT_EQ(client("10.0.0.1", {"198.51.100.7, unknown"}), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.1", {"10.0.0.3,10.0.0.2"}), "10.0.0.3");
}

TEST(AddressCounterTest, CountsUntilReleased) {
  AddressCounter counter;
  AddressCounter::Lease first = counter.Take(Address("192.0.2.1"));
  {
    AddressCounter::Lease second = counter.Take(Address("::ffff:192.0.2.1"));
    EXPECT_EQ(first.count(), 1);
    EXPECT_EQ(second.count(), 2);
    EXPECT_EQ(counter.Take(Address("192.0.2.2")).count(), 1);
  }
  EXPECT_EQ(counter.Take(Address("192.0.2.1")).count(), 2);
  AddressCounter::Lease moved = std::move(first);
  first.Release();
  EXPECT_EQ(counter.Take(Address("192.0.2.1")).count(), 2);
}

TEST(AddressCounterTest, AnIpv6NetworkOf64BitsIsOneAddress) {
  AddressCounter counter;
  const auto first = counter.Take(Address("2001:db8::1"));
  EXPECT_EQ(counter.Take(Address("2001:db8::ffff:2")).count(), 2);
  EXPECT_EQ(counter.Take(Address("2001:db8:0:1::1")).count(), 1);
}

}  // namespace
}  // namespace spotinference::http
