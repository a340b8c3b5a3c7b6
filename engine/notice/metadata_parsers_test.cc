// What the parsers make of a service's words.
#include "engine/notice/aws_metadata.h"
#include "engine/notice/azure_metadata.h"
#include "engine/notice/gcp_metadata.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

absl::Time At(absl::string_view text) {
  absl::Time time;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) << text;
  return time;
}

TEST(MetadataParsersTest, HttpDates) {
  EXPECT_EQ(ParseHttpDate("Mon, 11 Apr 2022 22:26:58 GMT"), At("2022-04-11T22:26:58Z"));
  for (const char* wrong : {"", "2022-04-11T22:26:58Z", "Mon, 11 Apr 2022 22:26:58", "Mon, 31 Feb 2022 22:26:58 GMT",
                            "infinite-future", "infinite-past", "Mon, 11 Apr 2022 22:26:58 GMT and more"}) {
    EXPECT_EQ(ParseHttpDate(wrong), std::nullopt) << wrong;
  }
}

TEST(MetadataParsersTest, TimeLeftIsByTheServicesClock) {
  const absl::Time machine = At("2022-01-01T00:00:00Z");
  const MetadataNotice notice{.at = At("2022-04-11T22:28:58Z")};
  EXPECT_EQ(TimeLeft(notice, {{"date", "Mon, 11 Apr 2022 22:26:58 GMT"}}, machine), absl::Seconds(119));
  EXPECT_EQ(TimeLeft(notice, {{"Date", "Mon, 11 Apr 2022 22:28:58 GMT"}}, machine), absl::ZeroDuration());
  EXPECT_EQ(TimeLeft(notice, {{"date", "never"}}, At("2022-04-11T22:28:00Z")), absl::Seconds(58));
  EXPECT_EQ(TimeLeft(notice, {}, At("2022-04-12T00:00:00Z")), absl::ZeroDuration());
  EXPECT_EQ(TimeLeft({.left = absl::Seconds(30)}, {}, machine), absl::Seconds(30));
}

TEST(MetadataParsersTest, InstanceAction) {
  const auto notice = ParseInstanceAction(R"({"action": "terminate", "time": "2017-09-18T08:22:00Z", "new": [1]})");
  ASSERT_TRUE(notice.ok()) << notice.status();
  EXPECT_EQ(*notice, (MetadataNotice{.reason = "terminate", .at = At("2017-09-18T08:22:00Z")}));
  const auto hibernate = ParseInstanceAction(R"({"action": "hibernate", "time": "2017-09-18T08:22:00Z"})");
  ASSERT_TRUE(hibernate.ok());
  EXPECT_EQ(hibernate->at, std::nullopt);
  const struct {
    const char* text;
    const char* error;
  } wrong[] = {
      {"", "not a JSON object: ''"},
      {"[]", "not a JSON object: '[]'"},
      {R"({"action": "term)", R"(not a JSON object: '{\"action\": \"term')"},
      {R"({"time": "2017-09-18T08:22:00Z"})", "field 'action': a string is expected"},
      {R"({"action": 1, "time": "2017-09-18T08:22:00Z"})", "field 'action': a string is expected"},
      {R"({"action": "stop"})", "field 'time': a string is expected"},
      {R"({"action": "stop", "time": "soon"})", "time 'soon': not as 2017-09-18T08:22:00Z"},
      {R"({"action": "stop", "time": "infinite-future"})", "time 'infinite-future': not as 2017-09-18T08:22:00Z"},
  };
  for (const auto& [text, error] : wrong) {
    EXPECT_EQ(ParseInstanceAction(text).status(), absl::InvalidArgumentError(error));
  }
}

TEST(MetadataParsersTest, Rebalance) {
  const auto notice = ParseRebalance(R"({"noticeTime":"2020-10-27T08:22:00Z"})");
  ASSERT_TRUE(notice.ok()) << notice.status();
  EXPECT_EQ(notice->kind, Notice::Kind::kAtRisk);
  EXPECT_EQ(notice->at, At("2020-10-27T08:22:00Z"));
  EXPECT_FALSE(ParseRebalance("{}").ok());
}

TEST(MetadataParsersTest, Preempted) {
  EXPECT_EQ(*ParsePreempted("TRUE"), true);
  EXPECT_EQ(*ParsePreempted("FALSE\n"), false);
  EXPECT_EQ(ParsePreempted("TRU\x01").status().message(), "preempted is 'TRU\\x01', neither TRUE nor FALSE");
  EXPECT_FALSE(ParsePreempted("").ok());
}

TEST(MetadataParsersTest, ScheduledEvents) {
  const auto document = ParseScheduledEvents(R"({"DocumentIncarnation":2,"Events":[
    {"EventId":"A-1","EventType":"Preempt","ResourceType":"VirtualMachine","Resources":["a","b"],
     "EventStatus":"Scheduled","NotBefore":"Mon, 11 Apr 2022 22:26:58 GMT","Description":"","EventSource":"Platform",
     "DurationInSeconds":-1},
    {"EventId":"B","EventType":"Reboot","Resources":["a"],"EventStatus":"Started","NotBefore":""},
    {"EventType":"Redeploy","Resources":[],"NotBefore":"tomorrow"},
    {"EventId":"nobody's","EventType":"Preempt"},
    {"Resources":["a"]}]})");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->incarnation, 2);
  const std::vector<ScheduledEvent>& events = document->events;
  ASSERT_EQ(events.size(), 3);
  EXPECT_EQ(events[0].id, "A-1");
  EXPECT_EQ(events[0].type, "Preempt");
  EXPECT_EQ(events[0].machines, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(events[0].started);
  EXPECT_EQ(events[0].not_before, At("2022-04-11T22:26:58Z"));
  EXPECT_TRUE(events[1].started);
  EXPECT_EQ(events[1].not_before, std::nullopt);
  EXPECT_EQ(events[2].not_before, std::nullopt);
  EXPECT_TRUE(ParseScheduledEvents(R"({"Events":[]})")->events.empty());
  for (const char* none : {R"({"Events":[]})", R"({"DocumentIncarnation":"2","Events":[]})"}) {
    EXPECT_EQ(ParseScheduledEvents(none)->incarnation, std::nullopt) << none;
  }
  for (const char* wrong : {"", "{}", R"({"Events":{}})", R"({"Events":[1]})", R"({"Events":[{"EventId":)"}) {
    EXPECT_EQ(ParseScheduledEvents(wrong).status().code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
}

TEST(MetadataParsersTest, OnlyWhatIsSafeToRepeatIsAcknowledged) {
  for (const std::string id : {"", "a\"b", "a b"}) {
    const ScheduledEvent event{.id = id, .type = "Preempt", .machines = {"m"}};
    ASSERT_TRUE(NoticeFor("m", {event}).has_value());
    EXPECT_EQ(NoticeFor("m", {event})->event_id, "");
  }
}

}  // namespace
}  // namespace spotinference
