// Readers of traces, prices, requests and profiles, and the arrivals made of them.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "absl/strings/match.h"
#include "fleet/sim/files.h"
#include "fleet/sim/market.h"
#include "fleet/sim/profile.h"
#include "fleet/sim/requests.h"

namespace spotinference::fleet::sim {
namespace {

namespace fs = std::filesystem;

TEST(ParseTrace, ReadsStepsAndPrices) {
  const auto trace = ParseTrace(R"({"metadata":{"gap_seconds":34},"data":[0,1,16],"prices":[1.5,2,0]})", "t");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->step, 34 * kSecond);
  EXPECT_EQ(trace->machines, (std::vector<int>{0, 1, 16}));
  EXPECT_EQ(trace->prices, (std::vector<double>{1.5, 2, 0}));
}

TEST(ParseTrace, NamesTheFileAndWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"{\"metadata\":\n{\"gap_seconds\":34},\n\"data\":[0,}", "t:3: "},
      {"[]", "t: not a JSON object"},
      {R"({"data":[1]})", "t: 'metadata.gap_seconds' is missing"},
      {R"({"metadata":{"gap_seconds":0},"data":[1]})", "t: 'metadata.gap_seconds' is 0; a whole number from 1"},
      {R"({"metadata":{"gap_seconds":1},"data":[]})", "t: 'data' has no step"},
      {R"({"metadata":{"gap_seconds":1},"data":[1,-1]})", "t: data[1] is -1; a number of machines from 0"},
      {R"({"metadata":{"gap_seconds":1},"data":[1.5]})", "t: data[0] is 1.5E0"},
      {R"({"metadata":{"gap_seconds":1},"data":[1],"prices":[]})", "t: 0 prices for 1 steps"},
      {R"({"metadata":{"gap_seconds":1},"data":[1],"prices":[1e9]})", "t: prices[0] is 1E9, no price"},
      {R"({"metadata":{"gap_seconds":1},"data":[1],"prices":["a"]})", "t: prices[0] is \"a\", no price"},
      {R"({"metadata":{"gap_seconds":1},"data":[1]} x)", "t:1: "},
  };
  for (const auto& [text, message] : cases) {
    const auto trace = ParseTrace(text, "t");
    ASSERT_FALSE(trace.ok()) << text;
    EXPECT_TRUE(absl::StartsWith(trace.status().message(), message)) << trace.status();
  }
}

constexpr char kPriceHead[] =
    "provider,instance_type,accelerator,count,region,zone,on_demand_usd_per_hour,spot_usd_per_hour\n";

TEST(ParsePrices, NamesTheLine) {
  const auto rows = ParsePrices(std::string(kPriceHead) + "aws,p3,V100,1,us-west-2,usw2-az1,3.06,\n", "p");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ((*rows)[0].on_demand, 3.06);
  EXPECT_EQ((*rows)[0].spot, 0) << "empty: not offered";
  const std::pair<std::string, const char*> cases[] = {
      {"", "p:1: empty"},
      {"a,b\n", "p:1: 'a,b' is not the head"},
      {std::string(kPriceHead) + "aws,p3,V100,1,us-west-2,usw2-az1,3.06\n", "p:2: 7 fields, not 8"},
      {std::string(kPriceHead) + "\naws,p3,V100,0,us-west-2,usw2-az1,3.06,1\n", "p:3: '0' is no count"},
      {std::string(kPriceHead) + "aws,p3,V100,1,us-west-2,usw2-az1,nan,1\n", "p:2: 'nan' is no price"},
  };
  for (const auto& [text, message] : cases) {
    const auto wrong = ParsePrices(text, "p");
    ASSERT_FALSE(wrong.ok()) << text;
    EXPECT_TRUE(absl::StartsWith(wrong.status().message(), message)) << wrong.status();
  }
}

TEST(ParseRequests, ReadsTimesWithAndWithoutZones) {
  const auto requests = ParseRequests(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 "
      "23:59:59.5000000,374,44\r\n2023-11-17T01:00:00.25+01:00,1,2\n",
      "r");
  ASSERT_TRUE(requests.ok()) << requests.status();
  ASSERT_EQ(requests->size(), 2);
  EXPECT_EQ((*requests)[0].at, 0);
  EXPECT_EQ((*requests)[1].at, 750'000'000);
  EXPECT_EQ((*requests)[0].prompt_tokens, 374);
  EXPECT_EQ((*requests)[1].generated_tokens, 2);
}

TEST(ParseRequests, NamesTheLine) {
  const std::string head = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  const std::pair<std::string, const char*> cases[] = {
      {head, "r: no requests"},
      {head + "2023-11-16 18:15:46,1,2\nnow,1,2\n", "r:3: 'now' is no time"},
      {head + "2023-13-16 18:15:46,1,2\n", "r:2: '2023-13-16 18:15:46' is no time"},
      {head + "2023-11-16 18:15:46,-1,2\n", "r:2: '-1' is no number of tokens"},
      {head + "1970-01-01 00:00:00,1,2\n2199-01-01 00:00:00,1,2\n", "r: its requests lie more than ten years apart"},
  };
  for (const auto& [text, message] : cases) {
    const auto wrong = ParseRequests(text, "r");
    ASSERT_FALSE(wrong.ok()) << text;
    EXPECT_TRUE(absl::StartsWith(wrong.status().message(), message)) << wrong.status();
  }
}

std::string LogLine(const std::string& time, const std::string& rest) {
  return "I20261128 " + time + "  1 gateway.cc:37] id=a method=POST path=/v1/completions status=200 bytes=9 " + rest +
         "\n";
}

TEST(ParseAccessLog, TellsModelsApartAndCountsTokensNotTime) {
  const auto log = ParseAccessLog(
      LogLine("14:47:58.500000", "ms=2000 end=complete key=k model=a prompt_tokens=30 generated_tokens=20") +
          LogLine("14:47:58.600000", "ms=1 end=complete key=k model=a") +
          LogLine("14:47:58.700000", "ms=1 end=aborted key=k model=a prompt_tokens=30 generated_tokens=20") +
          LogLine("14:55:59.500000", "ms=480500 end=complete key=k model=b prompt_tokens=3 generated_tokens=2") +
          LogLine("15:47:56.500000", "ms=0 end=complete key=k model=a prompt_tokens=1 generated_tokens=1"),
      "l");
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->span, kHour);
  ASSERT_EQ(log->models.size(), 2);
  const std::vector<Request>& a = log->models.at("a");
  const std::vector<Request>& b = log->models.at("b");
  ASSERT_EQ(a.size(), 2);
  EXPECT_EQ(a[0].at, 0);
  EXPECT_EQ(a[0].prompt_tokens, 30);
  EXPECT_EQ(a[0].generated_tokens, 20);
  EXPECT_EQ(a[1].at, kHour);
  ASSERT_EQ(b.size(), 1);
  EXPECT_EQ(b[0].at, 2'500'000'000) << "it came eight minutes before its answer's end";
  EXPECT_EQ(b[0].generated_tokens, 2) << "for which it waited, parked: that is no work";
}

TEST(ParseAccessLog, RefusesWhatHasNoAnswersWithTokens) {
  EXPECT_FALSE(ParseAccessLog("nothing of ours\n", "l").ok());
  EXPECT_FALSE(ParseAccessLog(LogLine("14:47:58.500000", "ms=2000 end=complete key=k model=a"), "l").ok());
  EXPECT_TRUE(absl::StartsWith(
      ParseAccessLog(LogLine("14:47:58.5", "ms=1 end=complete model=a prompt_tokens=-1 generated_tokens=2"), "l")
          .status().message(),
      "l:1: "));
}

TEST(Arrivals, AreQuietWhereTheRecordIs) {
  const std::vector<Request> recorded = {{0, 1, 1}, {kSecond, 2, 1}};
  Arrivals arrivals(recorded, 1, 7, kHour);
  for (const Nanos at : {Nanos{0}, kSecond, kHour, kHour + kSecond, 2 * kHour}) {
    EXPECT_EQ(arrivals.next().at, at);
    arrivals.Pop();
  }
}

TEST(ParseProfile, NamesLineAndRange) {
  const auto profile = ParseProfile("streams: 4\n", "f");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(profile->streams(), 4);
  EXPECT_EQ(BootSeconds(*profile), 30) << "12 s beside 9 GB at 0.5 GB/s";
  EXPECT_TRUE(absl::StartsWith(ParseProfile("streams: 4\nstream: 1\n", "f").status().message(), "f:2:"));
  EXPECT_TRUE(absl::StrContains(ParseProfile("streams: 0\n", "f").status().message(), "streams is 0; 1 to 4096"));
}

TEST(Arrivals, TellTheRecordAgainAtItsRate) {
  const std::vector<Request> recorded = {{0, 1, 1}, {kSecond, 2, 1}, {2 * kSecond, 3, 1}};
  Arrivals once(recorded, 1, 7);
  for (int i = 0; i < 9; ++i, once.Pop()) {
    EXPECT_EQ(once.next().at, i * kSecond);
    EXPECT_EQ(once.next().prompt_tokens, 1 + i % 3);
  }
  // Two and a half copies of each, in order.
  Arrivals more(recorded, 2.5, 7);
  int count = 0;
  Nanos last = 0;
  for (; more.next().at < 4000 * kSecond; more.Pop(), ++count) {
    EXPECT_GE(more.next().at, last);
    last = more.next().at;
  }
  // Binomial with 4000 halves: 100 is three standard deviations; the first minute is not yet full.
  EXPECT_NEAR(count, 2.5 * (4000 - 30), 100);
}

class MarketsTest : public testing::Test {
 protected:
  MarketsTest() : dir_(fs::path(testing::TempDir()) / "markets") { fs::remove_all(dir_); }
  void Add(const std::string& path, const std::string& data) {
    fs::create_directories((dir_ / path).parent_path());
    ASSERT_TRUE(WriteFile((dir_ / path).string(), R"({"metadata":{"gap_seconds":600},"data":)" + data + "}").ok());
  }
  const fs::path dir_;
};

TEST_F(MarketsTest, GroupsByFolderAndKindAndPairsPricesWithinARegion) {
  Add("1-node/aws-1/us-west-2b_v100_1.json", "[1,0]");
  Add("1-node/aws-1/us-west-2a_v100_1.json", "[0,1,1]");
  Add("1-node/aws-1/us-west-2a_v100_8.json", "[1]");
  Add("16-node/gcp-2/us-east1-b_c3-88.json", "[9,16]");
  const std::vector<PriceRow> prices = {{"aws", "p3", "V100", "us-west-2", "usw2-az2", 1, 3, 0.5},
                                        {"aws", "p3", "V100", "us-west-2", "usw2-az1", 1, 3, 0.4}};
  const auto markets = ReadMarkets(dir_.string(), prices, {.zone_capacity = 4});
  ASSERT_TRUE(markets.ok()) << markets.status();
  ASSERT_EQ(markets->size(), 3);
  const RecordedMarket& one = (*markets)[0];
  EXPECT_EQ(one.name, "aws-1 v100_1 1-node");
  EXPECT_EQ(one.horizon, 1800 * kSecond);
  EXPECT_EQ(one.zones[0].name, "us-west-2a");
  EXPECT_EQ(one.zones[0].spot_at(0), 0.4);
  EXPECT_EQ(one.zones[0].capacity, (std::vector<int>{0, 4, 4}));
  EXPECT_EQ(one.zones[1].spot_at(0), 0.5);
  EXPECT_EQ((*markets)[1].zones[0].on_demand, 24) << "eight accelerators cost eight times as much";
  EXPECT_EQ((*markets)[2].zones[0].region, "us-east1");
  EXPECT_EQ((*markets)[2].zones[0].capacity, (std::vector<int>{9, 16})) << "sixteen nodes say how much";
  EXPECT_EQ((*markets)[2].zones[0].on_demand, 1) << "no price is known";
}

TEST_F(MarketsTest, WhatIsNotOfferedHasNoPrice) {
  Add("1-node/aws-1/us-west-2a_v100_1.json", "[1]");
  Add("1-node/aws-1/us-west-2b_v100_1.json", "[1]");
  std::vector<PriceRow> prices = {{"aws", "p3", "V100", "us-west-2", "usw2-az1", 1, 0, 0.4},
                                  {"aws", "p3", "V100", "us-west-2", "usw2-az2", 1, 3, 0.5}};
  const auto markets = ReadMarkets(dir_.string(), prices, {});
  ASSERT_TRUE(markets.ok()) << markets.status();
  EXPECT_TRUE(std::isinf((*markets)[0].zones[0].on_demand));
  EXPECT_EQ((*markets)[0].zones[1].on_demand, 3);
  // Elsewhere the mean of what is offered.
  Add("1-node/aws-1/eu-west-1a_v100_1.json", "[1]");
  EXPECT_EQ((*ReadMarkets(dir_.string(), prices, {}))[0].zones[0].on_demand, 3);
  prices.pop_back();
  EXPECT_TRUE(absl::StrContains(ReadMarkets(dir_.string(), prices, {}).status().message(), "no on-demand price"));
}

TEST(Resampled, IsDaysOfTheRecordInAnotherOrder) {
  // Ten days of steps that tell where they are from; the second zone has the same number.
  RecordedMarket market = {.name = "m", .horizon = 240 * kHour};
  market.zones.resize(2);
  for (Zone& zone : market.zones) {
    zone.step = kHour;
    zone.spot = {1};
    for (int i = 0; i < 240; ++i) zone.capacity.push_back(i);
  }
  const RecordedMarket drawn = Resampled(market, 7);
  ASSERT_EQ(drawn.zones[0].capacity.size(), 240);
  EXPECT_EQ(drawn.zones[0].capacity, drawn.zones[1].capacity) << "zones stay together";
  EXPECT_EQ(drawn.zones[0].capacity, Resampled(market, 7).zones[0].capacity);
  EXPECT_NE(drawn.zones[0].capacity, Resampled(market, 8).zones[0].capacity);
  for (int i = 0; i < 240; ++i) {
    if (i % 24 == 0) continue;
    EXPECT_EQ(drawn.zones[0].capacity[i], drawn.zones[0].capacity[i - 1] + 1);
  }
}

TEST(ParseTrace, IsNoLongerThanTenYears) {
  std::string data = "0";
  for (int i = 0; i < 600; ++i) data += ",0";
  const auto trace = ParseTrace("{\"metadata\":{\"gap_seconds\":604800},\"data\":[" + data + "]}", "t");
  EXPECT_EQ(trace.status().message(), "t: longer than ten years");
}

TEST_F(MarketsTest, SaysWhatIsMissing) {
  EXPECT_FALSE(ReadMarkets(dir_.string(), {}, {}).ok());
  fs::create_directories(dir_);
  EXPECT_TRUE(absl::StrContains(ReadMarkets(dir_.string(), {}, {}).status().message(), "holds no trace"));
}

}  // namespace
}  // namespace spotinference::fleet::sim
