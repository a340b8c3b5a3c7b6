// Where what an answer says is asked next. All else of the adapter is in fleet/providers/conformance.
#include "fleet/providers/azure/azure_api.h"

#include <cstdlib>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/fake_clock.h"
#include "engine/base/fake_http_server.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

FakeHttpReply Json(std::string body, HttpHeaders headers = {}) {
  return {.headers = std::move(headers), .body = std::move(body)};
}

class AzureApiTest : public testing::Test {
 protected:
  AzureApiTest() {
    setenv("AZURE_TENANT_ID", "t", 1);
    setenv("AZURE_CLIENT_ID", "c", 1);
    setenv("AZURE_CLIENT_SECRET", "s", 1);
    AzureOptions options;
    options.subscription = "s";
    options.resource_group = "g";
    options.location = "eastus";
    options.vm_sizes = {"Standard_NC4as_T4_v3"};
    options.endpoint = absl::StrCat(azure_.url(), "/arm");
    options.login = options.prices = azure_.url();
    api_ = NewAzureApi(std::move(options), clock_);
  }

  FakeHttpReply Answer(const FakeHttpRequest& request) {
    const auto is = [&](absl::string_view part) { return absl::StrContains(request.target, part); };
    if (is("/oauth2/")) return Json(R"({"access_token":"token","expires_in":3599})");
    if (is("/skus")) {
      return Json(R"({"value":[{"resourceType":"virtualMachines","name":"Standard_NC4as_T4_v3","capabilities":[]}]})");
    }
    if (is("/retail/prices") && has_token(request)) return {.status = 400};
    if (is("/retail/prices")) {
      return Json(absl::StrCat(R"({"Items":[{"skuName":"NC4as","productName":"p","retailPrice":1}],"NextPageLink":")",
                               next_page_, "\"}"));
    }
    if (is("/operations/")) {
      absl::MutexLock lock(&mutex_);
      ++operations_asked_;
      return Json(absl::StrCat(R"({"status":")", operation_status_, "\"}"));
    }
    if (request.method == "GET") return Json(R"({"value":[]})");
    return Json("{}", {{"Azure-AsyncOperation", operation_}});
  }

  static bool has_token(const FakeHttpRequest& request) {
    return FindHeader(request.headers, "authorization").has_value();
  }

  int operations_asked() {
    absl::MutexLock lock(&mutex_);
    return operations_asked_;
  }

  FakeClock clock_;
  absl::Mutex mutex_;
  int asked_elsewhere_ ABSL_GUARDED_BY(mutex_) = 0, operations_asked_ ABSL_GUARDED_BY(mutex_) = 0;
  FakeHttpServer elsewhere_{[this](const FakeHttpRequest&) {
    absl::MutexLock lock(&mutex_);
    ++asked_elsewhere_;
    return Json(R"({"Items":[]})");
  }};
  std::string next_page_, operation_, operation_status_ = "Succeeded";
  FakeHttpServer azure_{[this](const FakeHttpRequest& request) { return Answer(request); }};
  std::unique_ptr<CloudApi> api_;
};

TEST_F(AzureApiTest, PagesOfPricesAreReadFromTheirOwnHostAlone) {
  next_page_ = absl::StrCat(elsewhere_.url(), "/api/retail/prices?$skip=1");
  const absl::StatusOr<CloudOffers> offers = api_->Offers();
  EXPECT_TRUE(absl::IsUnavailable(offers.status())) << offers.status();
  next_page_ = absl::StrCat(azure_.url(), "@", elsewhere_.url().substr(7), "/api/retail/prices?$skip=1");
  EXPECT_FALSE(api_->Offers().ok());
  next_page_ = absl::StrCat(azure_.url(), "/api/retail/prices?$skip=1");
  EXPECT_FALSE(api_->Offers().ok()) << "pages without an end";
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(asked_elsewhere_, 0);
}

TEST_F(AzureApiTest, AnOperationIsAskedAboutOnlyWhereItsTokenIsFor) {
  for (const char* const endpoint : {"/arm.x", "/arm@x", "/armx"}) {
    operation_ = absl::StrCat(azure_.url(), endpoint, "/operations/1");
    ASSERT_TRUE(api_->CreateMachine({.name = "m", .token = "t"}).ok());
    EXPECT_TRUE(api_->List().ok());
  }
  EXPECT_EQ(operations_asked(), 0);
  operation_ = absl::StrCat(azure_.url(), "/arm/operations/1");
  ASSERT_TRUE(api_->CreateMachine({.name = "m", .token = "t"}).ok());
  EXPECT_TRUE(api_->List().ok());
  EXPECT_EQ(operations_asked(), 1);
}

// "Track asynchronous Azure operations": all other words than three mean that it goes on.
TEST_F(AzureApiTest, ADeletionInAStateThatNobodyKnowsIsUnderWay) {
  operation_ = absl::StrCat(azure_.url(), "/arm/operations/1");
  ASSERT_TRUE(api_->DeleteMachine({.id = "m", .name = "m"}).ok());
  for (const char* const status : {"InProgress", "Verifying"}) {
    operation_status_ = status;
    EXPECT_TRUE(absl::IsUnavailable(api_->LatestRun({.name = "m"}).status())) << status;
  }
  for (const char* const status : {"Succeeded", "Failed", "Canceled"}) {
    operation_status_ = status;
    EXPECT_TRUE(api_->LatestRun({.name = "m"}).ok()) << status;
  }
}

}  // namespace
}  // namespace spotinference::fleet
