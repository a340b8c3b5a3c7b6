#include "gateway/config/default_config.h"

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace spotinference::config {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

Model DefaultModel() {
  Model model;
  model.set_backend("auto");
  model.mutable_machines()->set_min(0);
  model.mutable_machines()->set_max(1);
  model.mutable_machines()->set_streams(16);
  model.mutable_wake_cap()->set_seconds(600);
  model.mutable_park()->set_requests(256);
  model.mutable_park()->set_bytes(64 << 20);
  model.mutable_park()->mutable_max_wait()->set_seconds(585);  // the SDKs give up at 600
  model.set_share_prefixes(Model::KEY);
  model.mutable_service()->mutable_first_token()->set_seconds(30);
  model.mutable_service()->set_share(0.999);
  return model;
}

Model BundledModel() {
  Model model = DefaultModel();
  model.set_name("smollm2-135m-instruct");
  model.set_weights("bundled");
  return model;
}

Provider DefaultLocal() {
  Provider provider;
  Local& local = *provider.mutable_local();
  local.mutable_launch_delay();
  local.mutable_restore_delay();
  local.set_stock(4);
  local.set_price_per_hour(0);
  local.set_zone("local");
  local.set_start_failures(0);
  local.set_restore_failures(0);
  local.mutable_stop_grace()->set_seconds(10);
  return provider;
}

Provider DefaultHyperstack() {
  Provider provider;
  Hyperstack& hyperstack = *provider.mutable_hyperstack();
  hyperstack.set_image("Ubuntu Server 22.04 LTS R535 CUDA 12.2");
  hyperstack.set_volume_gigabytes(100);
  hyperstack.set_volume_type("Cloud-SSD");
  hyperstack.set_endpoint("https://infrahub-api.nexgencloud.com/v1");
  return provider;
}

Provider DefaultAws() {
  Provider provider;
  provider.mutable_aws()->set_volume_gigabytes(100);
  provider.mutable_aws()->set_volume_type("gp3");
  return provider;
}

Provider DefaultGcp() {
  Provider provider;
  Gcp& gcp = *provider.mutable_gcp();
  gcp.set_image("projects/debian-cloud/global/images/family/debian-12");
  gcp.set_network("global/networks/default");
  gcp.set_volume_gigabytes(100);
  gcp.set_volume_type("pd-balanced");
  gcp.set_endpoint("https://compute.googleapis.com");
  gcp.set_billing_endpoint("https://cloudbilling.googleapis.com");
  return provider;
}

Provider DefaultAzure() {
  Provider provider;
  Azure& azure = *provider.mutable_azure();
  azure.set_image("Debian:debian-12:12-gen2:latest");
  azure.set_volume_gigabytes(100);
  azure.set_volume_type("Premium_LRS");
  azure.set_endpoint("https://management.azure.com");
  azure.set_login("https://login.microsoftonline.com");
  azure.set_prices("https://prices.azure.com");
  return provider;
}

// What is not a list.
Config DefaultScalars() {
  Config config;
  config.set_listen("127.0.0.1:8080");
  const char* const xdg = std::getenv("XDG_DATA_HOME");
  const char* const home = std::getenv("HOME");
  if (xdg != nullptr && xdg[0] == '/') {  // the XDG specification: a relative one is ignored
    config.set_data_dir(absl::StrCat(xdg, "/spotinference"));
  } else if (home != nullptr && home[0] == '/') {
    config.set_data_dir(absl::StrCat(home, "/.local/share/spotinference"));
  }
  config.mutable_spend()->set_max_dollars_per_day(0);
  Limits& limits = *config.mutable_limits();
  limits.set_header_bytes(64 << 10);
  limits.set_body_bytes(32 << 20);
  limits.set_connections(8192);
  limits.set_connections_per_address(2048);
  limits.mutable_shutdown_grace()->set_seconds(30);
  return config;
}

// Clears each duration that `message` gives. A duration is one value, but a merge would take it by
// its parts and find nothing in 0s.
void ClearGivenDurations(const Message& message, Message& defaults) {
  std::vector<const FieldDescriptor*> given;
  message.GetReflection()->ListFields(message, &given);
  for (const FieldDescriptor* const field : given) {
    if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (field->message_type() == google::protobuf::Duration::descriptor()) {
      defaults.GetReflection()->ClearField(&defaults, field);
    } else {
      ClearGivenDurations(message.GetReflection()->GetMessage(message, field),
                          *defaults.GetReflection()->MutableMessage(&defaults, field));
    }
  }
}

// `message` over `defaults`: what it has wins.
template <typename T>
void Underlay(T defaults, T& message) {
  ClearGivenDurations(message, defaults);
  defaults.MergeFrom(message);
  message = std::move(defaults);
}

}  // namespace

Config DefaultConfig() {
  Config config;
  FillDefaults(config);
  return config;
}

void FillDefaults(Config& config) {
  Underlay(DefaultScalars(), config);
  for (Model& model : *config.mutable_models()) Underlay(DefaultModel(), model);
  for (Provider& provider : *config.mutable_providers()) {
    if (provider.has_local()) Underlay(DefaultLocal(), provider);
    if (provider.has_hyperstack()) Underlay(DefaultHyperstack(), provider);
    if (provider.has_aws()) Underlay(DefaultAws(), provider);
    if (provider.has_gcp()) Underlay(DefaultGcp(), provider);
    if (provider.has_azure()) Underlay(DefaultAzure(), provider);
  }
  if (config.models().empty()) *config.add_models() = BundledModel();
  if (config.providers().empty()) *config.add_providers() = DefaultLocal();
}

}  // namespace spotinference::config
