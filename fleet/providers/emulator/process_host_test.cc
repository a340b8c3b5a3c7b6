#include "fleet/providers/emulator/process_host.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "engine/base/http_client.h"
#include "fleet/providers/cloud/json.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

namespace fs = std::filesystem;

class ProcessHostTest : public testing::Test {
 protected:
  ~ProcessHostTest() override { fs::remove_all(folder_); }

  EmulatedMachine Machine(const std::string& cloud, const std::string& name) {
    const int64_t number = ++last_;
    return {.number = number,
            .cloud = cloud,
            .name = name,
            .zone = "z-1",
            .type = "t",
            .user_data = "exec sleep 1000",
            .spot = true,
            .address = host_.Address(number)};
  }

  // Of the machine's metadata service; with a body it is a POST.
  std::string Ask(const EmulatedMachine& machine, const std::string& path, HttpHeaders headers,
                  const std::string& body = "") {
    std::ifstream file(absl::StrCat(folder_, "/machines/", machine.number, "/metadata"));
    const std::string url{std::istreambuf_iterator<char>(file), {}};
    const auto response = HttpClient().Do(
        {.method = body.empty() ? "GET" : "POST", .url = url + path, .headers = std::move(headers), .body = body});
    return response.ok() ? response->body : response.status().ToString();
  }

  const std::string folder_ = testing::TempDir() + "/process_host";
  FakeClock clock_;
  ProcessHost host_{folder_, clock_};
  int64_t last_ = 0;
};

TEST_F(ProcessHostTest, AMachineMayHaveAnyName) {
  for (const char* name : {"", "my gpu", " spot ", "a\x01 b", "\"q\""}) {
    for (const char* cloud : {"hyperstack", "aws", "gcp", "azure"}) {
      SCOPED_TRACE(absl::StrCat(cloud, ": ", name));
      const EmulatedMachine machine = Machine(cloud, name);
      host_.Boot(machine);
      EXPECT_EQ(Ask(machine, "/computeMetadata/v1/instance/name", {{"Metadata-Flavor", "Google"}}), name);
      host_.Notice(machine, absl::Seconds(30));
      const std::string events =
          Ask(machine, "/metadata/scheduledevents?api-version=2020-07-01", {{"Metadata", "true"}});
      const std::string resources = absl::StrCat(R"("Resources":[)", JsonString(name), "]");
      EXPECT_EQ(absl::StrContains(events, resources), machine.cloud == "azure") << events;
      host_.Notice(machine, std::nullopt);
      host_.Halt(machine);
      host_.Erase(machine);
    }
  }
}

TEST_F(ProcessHostTest, AnEvictionThatIsAcknowledgedComesAtOnce) {
  using State = EmulatedMachine::State;
  constexpr char kEvents[] = "/metadata/scheduledevents?api-version=2020-07-01";
  CloudModel model(clock_, host_);
  model.Sell({.cloud = "azure", .region = "z", .zone = "z-1", .type = "t", .on_demand_price = 1});
  EmulatedMachine* machines[2];
  for (EmulatedMachine*& machine : machines) {
    machine = *model.Buy({.cloud = "azure", .name = "m", .zone = "z-1", .type = "t", .user_data = "exec sleep 1000"});
  }
  clock_.Advance(absl::Seconds(1));
  model.Advance();
  for (EmulatedMachine* const machine : machines) model.TakeAway(*machine, absl::Seconds(30), State::kStopped, false);
  model.Advance();
  EXPECT_EQ(machines[0]->state, State::kRunning);
  Ask(*machines[0], kEvents, {{"Metadata", "true"}}, R"({"StartRequests":[{"EventId":"event-1"}]})");
  model.Advance();
  EXPECT_EQ(machines[0]->state, State::kStopped);
  EXPECT_EQ(machines[1]->state, State::kRunning);
  clock_.Advance(absl::Seconds(30));
  model.Advance();
  EXPECT_EQ(machines[1]->state, State::kStopped);
}

TEST_F(ProcessHostTest, ADeviceIsInItsMachinesFolder) {
  const EmulatedMachine machine = Machine("aws", "m");
  host_.Boot(machine);
  std::ofstream(folder_ + "/other") << "kept";
  for (const char* device : {"/../../other", "/metadata/x", ""}) host_.Attach(machine, {.number = 9, .device = device});
  EXPECT_TRUE(fs::is_regular_file(folder_ + "/other"));
  host_.Attach(machine, {.number = 9, .device = "/dev/sdf"});
  EXPECT_TRUE(fs::is_directory(absl::StrCat(folder_, "/machines/", machine.number, "/dev/sdf")));
  host_.Halt(machine);
}

TEST_F(ProcessHostTest, NoAddressIsGivenTwiceWhileItsMachineIsThere) {
  std::set<std::string> given;
  for (int64_t machine = 1; machine <= 1000; machine += 2) {  // volumes have the numbers between
    const std::string address = host_.Address(machine);
    EXPECT_TRUE(given.insert(address).second) << address;
    EXPECT_TRUE(absl::StartsWith(address, "127."));
    EXPECT_FALSE(absl::StartsWith(address, "127.0.")) << "others listen there";
  }
  host_.Erase({.number = 1, .address = *given.begin()});
  for (int64_t machine = 1001; machine <= 2000; ++machine) {
    const std::string address = host_.Address(machine);
    EXPECT_TRUE(address == *given.begin() || given.insert(address).second) << address;
  }
}

}  // namespace
}  // namespace spotinference::fleet
