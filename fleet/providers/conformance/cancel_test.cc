// The end of a provider does not wait for a program that it has asked for credentials.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/fake_clock.h"
#include "fleet/providers/aws/aws_api.h"
#include "fleet/providers/azure/azure_api.h"
#include "fleet/providers/cloud/cloud_api.h"
#include "fleet/providers/gcp/gcp_api.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

constexpr char kNobody[] = "http://127.0.0.1:1";

struct Asking {
  std::string name;
  // Whose credentials only the program `az` in `folder` has.
  std::function<std::unique_ptr<CloudApi>(const std::string& folder, const Clock& clock)> api;
};

std::unique_ptr<CloudApi> Aws(const std::string& folder, const Clock& clock) {
  for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"}) unsetenv(name);
  std::ofstream(folder + "/config") << "[default]\ncredential_process = " << folder << "/az\n";
  setenv("AWS_CONFIG_FILE", (folder + "/config").c_str(), 1);
  setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere", 1);
  AwsOptions options;
  options.regions = {{.name = "us-east-1"}};
  options.endpoint = options.pricing_endpoint = kNobody;
  return NewAwsApi(std::move(options), clock);
}

std::unique_ptr<CloudApi> Azure(const std::string&, const Clock& clock) {
  for (const char* name : {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "IDENTITY_ENDPOINT"}) unsetenv(name);
  setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", kNobody, 1);
  AzureOptions options;
  options.endpoint = options.login = options.prices = kNobody;
  return NewAzureApi(std::move(options), clock);
}

std::unique_ptr<CloudApi> Gcp(const std::string& folder, const Clock& clock) {
  std::ofstream(folder + "/google.json")
      << R"({"type":"external_account","audience":"a","subject_token_type":"t","token_url":")" << kNobody
      << R"(/token","credential_source":{"executable":{"command":")" << folder << R"(/az"}}})";
  setenv("GOOGLE_APPLICATION_CREDENTIALS", (folder + "/google.json").c_str(), 1);
  setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1", 1);
  GcpOptions options;
  options.project = "p";
  options.zones = {"us-central1-a"};
  options.endpoint = options.billing_endpoint = kNobody;
  return NewGcpApi(std::move(options), clock);
}

class CancelTest : public testing::TestWithParam<Asking> {};

TEST_P(CancelTest, EndsAProgramThatIsAskedForCredentials) {
  const std::string folder = absl::StrCat(testing::TempDir(), "/", GetParam().name);
  mkdir(folder.c_str(), 0700);
  ASSERT_EQ(mkfifo((folder + "/runs").c_str(), 0600), 0);
  std::ofstream(folder + "/az") << "#!/bin/sh\necho > " << folder << "/runs\nexec sleep 1000\n";
  chmod((folder + "/az").c_str(), 0700);
  setenv("PATH", absl::StrCat(folder, ":/usr/bin:/bin").c_str(), 1);
  FakeClock clock;
  const std::unique_ptr<CloudApi> api = GetParam().api(folder, clock);
  absl::Status status;
  std::thread asks([&] { status = api->List().status(); });
  const int runs = open((folder + "/runs").c_str(), O_RDONLY);  // until it runs
  api->Cancel();
  asks.join();
  close(runs);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_TRUE(absl::IsCancelled(api->List().status())) << "it is not run again";
}

INSTANTIATE_TEST_SUITE_P(Clouds, CancelTest,
                         testing::ValuesIn(std::vector<Asking>{{"aws", Aws}, {"azure", Azure}, {"gcp", Gcp}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
