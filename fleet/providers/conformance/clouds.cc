#include "fleet/providers/conformance/clouds.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "fleet/providers/aws/aws_api.h"
#include "fleet/providers/azure/azure_api.h"
#include "fleet/providers/cloud/json.h"
#include "fleet/providers/emulator/ec2_service.h"
#include "fleet/providers/gcp/gcp_api.h"
#include "fleet/providers/hyperstack/hyperstack_api.h"

namespace spotinference::fleet {
namespace {

std::unique_ptr<CloudApi> HyperstackAt(const std::string& url, const std::string& prefix, const Clock& clock,
                                       bool is_stranger, bool public_address) {
  HyperstackOptions options;
  options.endpoint = absl::StrCat(url, "/v1");
  options.api_key = is_stranger ? "wrong" : "key";
  options.name_prefix = prefix;
  options.key_name = "laptop";
  options.public_address = public_address;
  return NewHyperstackApi(std::move(options), clock);
}

CloudUnderTest Hyperstack() {
  return {.name = "hyperstack",
          .catalogue = {"sell hyperstack CANADA-1 default-CANADA-1 n3-L40x1 L40 1 1.0 - 2",
                        "sell hyperstack NORWAY-1 default-NORWAY-1 n3-L40x1 L40 1 1.0 - 2"},
          .zone = "default-CANADA-1",
          .other_zone = "default-NORWAY-1",
          .type = "n3-L40x1",
          .create = "image_name",
          .create_volume = "volume_type",
          .list = "/core/virtual-machines?page",
          .prices = "/pricebook",
          .remove = "DELETE",
          .stop = "/hibernate?",
          .start = "/hibernate-restore",
          .account = "organization 1",
          .run = "/billing-events",
          .names_types = false,
          .boot_gigabytes = 100,
          .asks_account = true,
          .accelerators = {{"sell hyperstack CANADA-1 default-CANADA-1 a A100-80G-PCIe 1 1.35 - 1", "A100-80GB"},
                           {"sell hyperstack CANADA-1 default-CANADA-1 b H100-80G-SXM5 1 2.4 - 1", "H100"},
                           {"sell hyperstack CANADA-1 default-CANADA-1 c L40 1 1.0 - 1", "L40"}},
          .api = HyperstackAt};
}

// The key is read at the first call, so that the environment may be this one's until then.
std::unique_ptr<CloudApi> AwsAt(const std::string& url, const std::string& prefix, const Clock& clock,
                                bool is_stranger, bool public_address) {
  setenv("AWS_ACCESS_KEY_ID", is_stranger ? "AKIDSTRANGER" : kEmulatedAwsKey, 1);
  setenv("AWS_SECRET_ACCESS_KEY", kEmulatedAwsSecret, 1);
  AwsOptions options;
  options.regions = {{.name = "us-east-1", .image = "ami-1", .security_groups = {"sg-1"}},
                     {.name = "us-west-2", .image = "ami-2"}};
  options.instance_types = {"g6.xlarge"};
  options.public_address = public_address;
  options.name_prefix = prefix;
  options.endpoint = options.pricing_endpoint = url;
  return NewAwsApi(std::move(options), clock);
}

CloudUnderTest Aws() {
  return {.name = "aws",
          .catalogue = {"sell aws us-east-1 us-east-1a g6.xlarge L4 1 0.80 0.30 2",
                        "sell aws us-west-2 us-west-2a g6.xlarge L4 1 0.80 0.35 2"},
          .zone = "us-east-1a",
          .other_zone = "us-west-2a",
          .type = "g6.xlarge",
          .create = "Action=RunInstances",
          .create_volume = "Action=CreateVolume",
          .list = "Action=DescribeInstances",
          .prices = "Action=DescribeSpotPriceHistory",
          .remove = "Action=TerminateInstances",
          .account = "account 123456789012",
          .has_places = true,
          .tells_reclaims = true,
          .boot_gigabytes = 8,
          .asks_account = true,
          .accelerators = {{"sell aws us-east-1 us-east-1a g6.xlarge A100/81920 1 4.1 1.6 1", "A100-80GB"},
                           {"sell aws us-east-1 us-east-1a g6.xlarge A100/40960 1 4.1 1.6 1", "A100"},
                           {"sell aws us-east-1 us-east-1a g6.xlarge V100/32768 1 3.1 0.9 1", "V100-32GB"},
                           {"sell aws us-east-1 us-east-1a g6.xlarge H100/81920 1 6.9 2.5 1", "H100"},
                           {"sell aws us-east-1 us-east-1a g6.xlarge L4/22888 1 0.8 0.3 1", "L4"}},
          .part = "sell aws us-east-1 us-east-1a g6.xlarge L4/2861/0.125 1 0.2 0.1 1",
          .api = AwsAt,
          .move_to_machine =
              [](const std::string& metadata_url) {
                for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}) unsetenv(name);
                setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere", 1);
                setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata_url.c_str(), 1);
              }};
}

// A service account's private key, in PEM.
const std::string& PrivateKey() {
  static const auto& pem = *[] {
    EVP_PKEY* const key = EVP_RSA_gen(2048);
    BIO* const bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    auto* const text = new std::string(data, size);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return text;
  }();
  return pem;
}

std::unique_ptr<CloudApi> GcpAt(const std::string& url, const std::string& prefix, const Clock& clock,
                                bool is_stranger, bool public_address) {
  const std::string path = absl::StrCat(std::getenv("TEST_TMPDIR"), "/google_credentials.json");
  std::ofstream(path) << R"({"type":")" << (is_stranger ? "authorized_user" : "service_account")
                      << R"(","client_email":"a@b","private_key_id":"1","private_key":)" << JsonString(PrivateKey())
                      << R"(,"token_uri":")" << url << R"(/token"})";
  setenv("GOOGLE_APPLICATION_CREDENTIALS", path.c_str(), 1);
  GcpOptions options;
  options.project = "p";
  options.zones = {"us-central1-a", "us-central1-b"};
  options.machine_types = {"g2-standard-4"};
  options.public_address = public_address;
  options.name_prefix = prefix;
  options.endpoint = options.billing_endpoint = url;
  return NewGcpApi(std::move(options), clock);
}

CloudUnderTest Gcp() {
  return {.name = "gcp",
          .catalogue = {"sell gcp us-central1 us-central1-a g2-standard-4 nvidia-l4 1 0.70 0.28 2",
                        "sell gcp us-central1 us-central1-b g2-standard-4 nvidia-l4 1 0.70 0.28 2"},
          .zone = "us-central1-a",
          .other_zone = "us-central1-b",
          .type = "g2-standard-4",
          .create = "\"machineType\"",
          .create_volume = "sizeGb",
          .list = "/aggregated/instances",
          .prices = "/skus?",
          .remove = "DELETE",
          .stop = "/stop",
          .start = "/start",
          .account = "project p",
          .has_places = true,
          .run = "/operations?",
          .tells_reclaims = true,
          .boot_gigabytes = 10,
          .accelerators = {{"sell gcp us-central1 us-central1-a g2-standard-4 nvidia-a100-80gb 1 5 2 1", "A100-80GB"},
                           {"sell gcp us-central1 us-central1-a g2-standard-4 nvidia-tesla-a100 1 4 1 1", "A100"},
                           {"sell gcp us-central1 us-central1-a g2-standard-4 nvidia-h100-80gb 1 9 2 1", "H100"},
                           {"sell gcp us-central1 us-central1-a g2-standard-4 nvidia-l4 1 0.7 0.3 1", "L4"}},
          .api = GcpAt,
          .move_to_machine =
              [](const std::string& metadata_url) {
                for (const char* name : {"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"}) unsetenv(name);
                setenv("HOME", "/nowhere", 1);
                setenv("GCE_METADATA_HOST", metadata_url.substr(metadata_url.rfind('/') + 1).c_str(), 1);
              }};
}

std::unique_ptr<CloudApi> AzureAt(const std::string& url, const std::string& prefix, const Clock& clock,
                                  bool is_stranger, bool public_address) {
  setenv("AZURE_TENANT_ID", "t", 1);
  setenv("AZURE_CLIENT_ID", "c", 1);
  setenv("AZURE_CLIENT_SECRET", is_stranger ? "wrong" : "emulated", 1);
  AzureOptions options;
  options.subscription = "s";
  options.resource_group = "g";
  options.location = "eastus";
  options.zones = {"1", "2"};
  options.vm_sizes = {"Standard_NC4as_T4_v3", "Standard_NC24ads_A100_v4", "Standard_ND96asr_v4", "Standard_ND40rs_v2",
                      "Standard_NC40ads_H100_v5", "Standard_NV6ads_A10_v5"};
  options.public_address = public_address;
  options.name_prefix = prefix;
  options.endpoint = options.login = options.prices = url;
  return NewAzureApi(std::move(options), clock);
}

CloudUnderTest Azure() {
  return {.name = "azure",
          .catalogue = {"sell azure eastus eastus-1 Standard_NC4as_T4_v3 T4 1 0.526 0.16 2",
                        "sell azure eastus eastus-2 Standard_NC4as_T4_v3 T4 1 0.526 0.16 2"},
          .zone = "eastus-1",
          .other_zone = "eastus-2",
          .type = "Standard_NC4as_T4_v3",
          .create = "hardwareProfile",
          .create_volume = "diskSizeGB",
          .list = "virtualMachines?api-version",
          .prices = "/api/retail/prices",
          .remove = "DELETE",
          .stop = "/deallocate",
          .start = "/start",
          .account = "resource group g of subscription s",
          .run = "/operations/",
          .begins_are_own = true,
          .boot_gigabytes = 30,
          .accelerators = {{"sell azure eastus eastus-1 Standard_NC24ads_A100_v4 - 1 3.7 0.7 1", "A100-80GB"},
                           {"sell azure eastus eastus-1 Standard_ND96asr_v4 - 8 27.2 9.0 1", "A100"},
                           {"sell azure eastus eastus-1 Standard_ND40rs_v2 - 8 22.0 4.4 1", "V100-32GB"},
                           {"sell azure eastus eastus-1 Standard_NC40ads_H100_v5 - 1 7.0 1.4 1", "H100"},
                           {"sell azure eastus eastus-1 Standard_NC4as_T4_v3 - 1 0.5 0.2 1", "T4"}},
          .part = "sell azure eastus eastus-1 Standard_NV6ads_A10_v5 - 1 0.5 0.1 1",
          .api = AzureAt,
          .move_to_machine =
              [](const std::string& metadata_url) {
                for (const char* name : {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}) unsetenv(name);
                setenv("PATH", "/nowhere", 1);  // no `az` of whoever runs this
                setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", metadata_url.c_str(), 1);
              }};
}

}  // namespace

std::vector<CloudUnderTest> AllClouds() { return {Hyperstack(), Aws(), Gcp(), Azure()}; }

}  // namespace spotinference::fleet
