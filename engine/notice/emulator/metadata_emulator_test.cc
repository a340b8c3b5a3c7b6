// The emulator as the clouds' documentation has it.
#include "engine/notice/emulator/metadata_emulator.h"

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "engine/base/http_client.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

constexpr char kTokenTtl[] = "X-aws-ec2-metadata-token-ttl-seconds";
constexpr char kToken[] = "X-aws-ec2-metadata-token";
constexpr char kEvents[] = "/metadata/scheduledevents?api-version=2020-07-01";

class MetadataEmulatorTest : public testing::Test {
 protected:
  void Say(absl::string_view command) { ASSERT_TRUE(emulator_.Command(command).ok()) << command; }
  // Status and body.
  std::string Ask(std::string method, std::string path, HttpHeaders headers, std::string body = "") {
    const auto response = client_.Do({.method = std::move(method),
                                      .url = absl::StrCat(emulator_.url(), path),
                                      .headers = std::move(headers),
                                      .body = std::move(body)});
    if (!response.ok()) return std::string(response.status().message());
    return absl::StrCat(response->status, " ", response->body);
  }

  FakeClock clock_;
  MetadataEmulator emulator_{clock_};
  HttpClient client_;
};

TEST_F(MetadataEmulatorTest, AwsWantsATokenOfAGoodAge) {
  const std::string path = "/latest/meta-data/spot/instance-action";
  for (const char* wrong : {"0", "21601", "x", ""}) {
    EXPECT_EQ(Ask("PUT", "/latest/api/token", {{kTokenTtl, wrong}}), "400 ") << wrong;
  }
  EXPECT_EQ(Ask("PUT", "/latest/api/token", {}), "400 ");
  EXPECT_EQ(Ask("GET", "/latest/api/token", {{kTokenTtl, "60"}}), "405 ");
  const std::string token = Ask("PUT", "/latest/api/token", {{kTokenTtl, "21600"}}).substr(4);
  EXPECT_EQ(Ask("GET", path, {}), "401 ");
  EXPECT_EQ(Ask("GET", path, {{kToken, "other"}}), "401 ");
  EXPECT_EQ(Ask("GET", path, {{kToken, token}}).substr(0, 4), "404 ");
  Say("aws terminate 120");
  EXPECT_EQ(Ask("GET", path, {{kToken, token}}), R"(200 {"action":"terminate","time":"2026-01-01T00:02:00Z"})");
  Say("aws expire");
  EXPECT_EQ(Ask("GET", path, {{kToken, token}}), "401 ");
}

TEST_F(MetadataEmulatorTest, GcpWantsItsFlavor) {
  const std::string path = "/computeMetadata/v1/instance/preempted";
  EXPECT_EQ(Ask("GET", path, {}), "403 ");
  EXPECT_EQ(Ask("GET", path, {{"Metadata-Flavor", "Google"}}), "200 FALSE");
  Say("gcp TRUE");
  EXPECT_EQ(Ask("GET", absl::StrCat(path, "?wait_for_change=true&last_etag=1"), {{"Metadata-Flavor", "Google"}}),
            "200 TRUE");
  EXPECT_EQ(Ask("GET", absl::StrCat(path, "?wait_for_change=true&timeout_sec=0"), {{"Metadata-Flavor", "Google"}}),
            "200 TRUE");
}

TEST_F(MetadataEmulatorTest, AzureWantsItsHeaderAndStartsWhatIsAcknowledged) {
  const HttpHeaders header = {{"Metadata", "true"}};
  EXPECT_EQ(Ask("GET", kEvents, {}), "400 ");
  EXPECT_EQ(Ask("GET", "/metadata/scheduledevents", header), "400 ");
  EXPECT_EQ(Ask("GET", kEvents, header), R"(200 {"DocumentIncarnation":1,"Events":[]})");
  Say("azure Preempt Scheduled 30 a b");
  EXPECT_EQ(Ask("GET", kEvents, header),
            R"(200 {"DocumentIncarnation":2,"Events":[{"EventId":"event-1","EventType":"Preempt",)"
            R"("ResourceType":"VirtualMachine","Resources":["a","b"],"EventStatus":"Scheduled",)"
            R"("NotBefore":"Thu, 01 Jan 2026 00:00:30 GMT","Description":"","EventSource":"Platform",)"
            R"("DurationInSeconds":-1}]})");
  EXPECT_EQ(Ask("POST", kEvents, header, R"({"StartRequests":[{"EventId":"event-2"}]})"), "400 ");
  EXPECT_FALSE(emulator_.has_started());
  EXPECT_EQ(Ask("POST", kEvents, header, R"({"StartRequests":[{"EventId":"event-1"}]})"), "200 ");
  EXPECT_TRUE(emulator_.has_started());
  const std::string started = Ask("GET", kEvents, header);
  EXPECT_NE(started.find(R"("EventStatus":"Started","NotBefore":"")"), started.npos) << started;
}

TEST_F(MetadataEmulatorTest, SaysWhatItsMachineIs) {
  Say("machine i-7 m-7 eastus-2 NC4 on_demand");
  const HttpHeaders google = {{"Metadata-Flavor", "Google"}}, azure = {{"Metadata", "true"}};
  const HttpHeaders aws = {{kToken, Ask("PUT", "/latest/api/token", {{kTokenTtl, "60"}}).substr(4)}};
  const auto of_aws = [&](const char* path) { return Ask("GET", absl::StrCat("/latest/meta-data/", path), aws); };
  EXPECT_EQ(of_aws("instance-id"), "200 i-7");
  EXPECT_EQ(of_aws("placement/availability-zone"), "200 eastus-2");
  EXPECT_EQ(of_aws("placement/availability-zone/"), "200 eastus-2") << "as botocore asks";
  EXPECT_EQ(of_aws("instance-type"), "200 NC4");
  EXPECT_EQ(of_aws("instance-life-cycle"), "200 on-demand");
  EXPECT_EQ(of_aws("instance").substr(0, 4), "404 ");
  const auto of_google = [&](const char* path) {
    return Ask("GET", absl::StrCat("/computeMetadata/v1/instance/", path), google);
  };
  EXPECT_EQ(of_google("name"), "200 m-7");
  EXPECT_EQ(of_google("zone"), "200 projects/123456789012/zones/eastus-2");
  EXPECT_EQ(of_google("scheduling/preemptible"), "200 FALSE");
  EXPECT_EQ(of_google("nonsense"), "404 ");
  const auto of_azure = [&](const char* path) { return Ask("GET", absl::StrCat("/metadata/instance", path), azure); };
  EXPECT_EQ(of_azure("/compute/name?api-version=2021-02-01&format=text"), "200 m-7");
  EXPECT_EQ(of_azure("/compute/name?api-version=2021-02-01"), "400 ") << "one value is no JSON";
  EXPECT_EQ(of_azure("/compute/zone?api-version=2021-02-01&format=text"), "200 2");
  EXPECT_EQ(of_azure("/compute?api-version=2021-02-01"),
            R"(200 {"location":"eastus","name":"m-7","priority":"Regular","resourceGroupName":"g",)"
            R"("subscriptionId":"s","vmId":"i-7","vmSize":"NC4","zone":"2"})");
  EXPECT_EQ(of_azure("/nothing?api-version=2021-02-01"), "404 ");
}

TEST_F(MetadataEmulatorTest, GivesTheCredentialsThatItHas) {
  const HttpHeaders google = {{"Metadata-Flavor", "Google"}}, azure = {{"Metadata", "true"}};
  const HttpHeaders aws = {{kToken, Ask("PUT", "/latest/api/token", {{kTokenTtl, "60"}}).substr(4)}};
  const std::string role = "/latest/meta-data/iam/security-credentials/";
  const std::string account = "/computeMetadata/v1/instance/service-accounts/default/";
  const std::string identity = "/metadata/identity/oauth2/token?api-version=2018-02-01";
  const std::string resource = "&resource=https%3A%2F%2Fmanagement.azure.com%2F";
  EXPECT_EQ(Ask("GET", role, aws).substr(0, 4), "404 ");
  EXPECT_EQ(Ask("GET", account + "token", google), "404 ");
  EXPECT_EQ(Ask("GET", identity + resource, azure),
            R"(400 {"error":"invalid_request","error_description":"Identity not found"})");
  Say("aws role ID SECRET TOKEN 3600");
  Say("gcp token TOKEN 3600");
  Say("azure token TOKEN 3600");
  EXPECT_EQ(Ask("GET", role, aws), "200 emulated");
  EXPECT_EQ(Ask("GET", role + "emulated", aws),
            R"(200 {"Code":"Success","LastUpdated":"2026-01-01T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ID",)"
            R"("SecretAccessKey":"SECRET","Token":"TOKEN","Expiration":"2026-01-01T01:00:00Z"})");
  EXPECT_EQ(Ask("GET", role + "other", aws).substr(0, 4), "404 ");
  clock_.Advance(absl::Seconds(600));
  EXPECT_EQ(Ask("GET", account + "token", google),
            R"(200 {"access_token":"TOKEN","expires_in":3000,"token_type":"Bearer"})");
  const std::string token = Ask("GET", identity + resource, azure);
  EXPECT_NE(token.find(R"("access_token":"TOKEN","client_id":"emulated","expires_in":"3000",)"
                       R"("expires_on":"1767229200")"),
            token.npos)
      << token;
  EXPECT_EQ(Ask("GET", identity, azure).substr(0, 4), "400 ") << "for nobody";
}

TEST_F(MetadataEmulatorTest, FaultsComeAsOftenAsAsked) {
  const HttpHeaders header = {{"Metadata", "true"}};
  Say("fault 503 2");
  EXPECT_EQ(Ask("GET", kEvents, header), "503 ");
  EXPECT_EQ(Ask("GET", kEvents, header), "503 ");
  EXPECT_EQ(Ask("GET", kEvents, header).substr(0, 4), "200 ");
  Say("fault half 1");
  EXPECT_EQ(Ask("GET", kEvents, header), R"(200 {"DocumentIncarnat)");
}

TEST_F(MetadataEmulatorTest, IsDownSlowAndStaleAsAsked) {
  const HttpHeaders header = {{"Metadata", "true"}};
  Say("outage 600");
  EXPECT_EQ(Ask("GET", kEvents, header), "503 ");
  clock_.Advance(absl::Seconds(599));
  EXPECT_EQ(Ask("GET", kEvents, header), "503 ");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Ask("GET", kEvents, header).substr(0, 27), R"(200 {"DocumentIncarnation":)");
  Say("azure Preempt Scheduled 30 a");
  Say("fault stale 1");
  EXPECT_EQ(Ask("GET", kEvents, header), R"(200 {"DocumentIncarnation":1,"Events":[]})");
  Say("repeat");
  const std::string twice = Ask("GET", kEvents, header);
  EXPECT_EQ(twice.substr(0, 28), R"(200 {"DocumentIncarnation":3)");
  EXPECT_NE(twice.find("event-1"), twice.rfind("event-1"));
  Say("slow 0.02");
  const absl::Duration asked = RealClock().Elapsed();
  EXPECT_EQ(Ask("GET", kEvents, header), twice);
  EXPECT_GE(RealClock().Elapsed() - asked, absl::Milliseconds(20));
  Say("slow 0");
  Say("hang on");
  std::thread person([&] {
    emulator_.AwaitRequests(7);
    Say("hang off");
  });
  EXPECT_EQ(Ask("GET", kEvents, header), twice);
  person.join();
  Say("acknowledged 0");
  EXPECT_EQ(emulator_.Command("acknowledged 1").message(), "0 events were acknowledged");
}

TEST_F(MetadataEmulatorTest, RefusesWhatIsNoCommand) {
  for (const char* wrong : {"", "aws", "aws terminate soon", "gcp maybe", "azure Preempt Scheduled soon m",
                            "azure Preempt Scheduled 30", "aws role ID SECRET TOKEN", "gcp token T soon",
                            "hyperstack token T 1", "machine a b c d cheap", "fault 503", "skew x", "machine i-1",
                            "outage", "slow x",
                            "hang", "hang maybe", "acknowledged x", "nonsense"}) {
    EXPECT_EQ(emulator_.Command(wrong).code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
}

}  // namespace
}  // namespace spotinference
