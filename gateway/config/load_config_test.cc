#include "gateway/config/load_config.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/config/default_config.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace spotinference::config {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::ElementsAre;

constexpr char kHash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

class LoadConfigTest : public ::testing::Test {
 protected:
  LoadConfigTest() { setenv("XDG_DATA_HOME", "/xdg", 1); }

  Config Parse(absl::string_view yaml) {
    const auto config = ParseConfig(yaml, "/etc/gateway.yaml");
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? *config : Config();
  }

  std::string Error(absl::string_view yaml) {
    const auto config = ParseConfig(yaml, "g.yaml");
    EXPECT_FALSE(config.ok()) << yaml;
    EXPECT_TRUE(config.ok() || absl::IsInvalidArgument(config.status()));
    return std::string(config.status().message());
  }
};

TEST_F(LoadConfigTest, NoFileServesTheBundledModel) {
  const Config config = DefaultConfig();
  EXPECT_EQ(config.listen(), "127.0.0.1:8080");
  EXPECT_EQ(config.data_dir(), "/xdg/spotinference");
  ASSERT_EQ(config.models_size(), 1);
  EXPECT_EQ(config.models(0).name(), "smollm2-135m-instruct");
  EXPECT_EQ(config.models(0).weights(), "bundled");
  EXPECT_FALSE(config.models(0).has_idle_timeout());
  ASSERT_EQ(config.providers_size(), 1);
  EXPECT_TRUE(config.providers(0).has_local());
  EXPECT_TRUE(MessageDifferencer::Equals(config, Parse("")));
  EXPECT_TRUE(MessageDifferencer::Equals(config, Parse("# nothing\n")));
  EXPECT_TRUE(MessageDifferencer::Equals(config, Parse("{}")));
}

TEST_F(LoadConfigTest, DataDirFollowsTheEnvironment) {
  setenv("XDG_DATA_HOME", "relative", 1);
  setenv("HOME", "/home/u", 1);
  EXPECT_EQ(DefaultConfig().data_dir(), "/home/u/.local/share/spotinference");
  unsetenv("XDG_DATA_HOME");
  unsetenv("HOME");
  EXPECT_FALSE(Parse("{}").has_data_dir());  // a flag may still give it
}

TEST_F(LoadConfigTest, EveryKey) {
  const auto config = LoadConfig("gateway/config/testdata/full.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listen(), "[::1]:8443");
  EXPECT_EQ(config->tls().cert(), "gateway/config/testdata/cert.pem");
  EXPECT_EQ(config->tls().key(), "/etc/key.pem");
  EXPECT_THAT(config->trusted_proxies(), ElementsAre("10.0.0.0/8", "fd00::/8", "192.0.2.7"));
  EXPECT_EQ(config->data_dir(), "gateway/config/testdata/data");
  ASSERT_EQ(config->keys_size(), 2);
  EXPECT_EQ(config->keys(0).key_env(), "MY_KEY");
  EXPECT_EQ(config->keys(1).key_file(), "gateway/config/testdata/keys/ci");
  EXPECT_EQ(config->admin_key_env(), "SPOTINFERENCE_ADMIN_KEY");
  ASSERT_EQ(config->models_size(), 2);
  const Model& model = config->models(0);
  EXPECT_EQ(model.backend(), "cpu");
  EXPECT_EQ(model.context_tokens(), 2048);
  EXPECT_EQ(model.machines().min(), 1);
  EXPECT_EQ(model.machines().max(), 2);
  EXPECT_THAT(model.machines().accelerators(), ElementsAre("L4", "T4"));
  EXPECT_THAT(model.machines().markets(), ElementsAre("spot"));
  EXPECT_THAT(model.machines().regions(), ElementsAre("us-east-1"));
  EXPECT_EQ(model.machines().max_price(), 0.75);
  EXPECT_EQ(model.machines().streams(), 8);
  EXPECT_EQ(model.machines().max_dollars_per_day(), 12.5);
  EXPECT_FALSE(model.has_idle_timeout());
  EXPECT_EQ(ToDuration(model.wake_cap()), absl::Minutes(90));
  EXPECT_EQ(model.park().requests(), 0);
  EXPECT_EQ(model.park().bytes(), 1 << 30);
  EXPECT_EQ(ToDuration(model.park().max_wait()), absl::Seconds(585));
  EXPECT_EQ(model.share_prefixes(), Model::ALL);
  EXPECT_EQ(ToDuration(model.service().first_token()), absl::Seconds(2));
  EXPECT_EQ(model.service().share(), 0.9999);
  const Model& second = config->models(1);
  EXPECT_EQ(second.weights(), "file:///models/second.gguf");
  EXPECT_EQ(ToDuration(second.idle_timeout()), absl::Milliseconds(1500));
  EXPECT_EQ(second.park().requests(), 256);
  EXPECT_EQ(second.share_prefixes(), Model::KEY);
  EXPECT_EQ(second.backend(), "auto");
  EXPECT_EQ(ToDuration(second.service().first_token()), absl::Seconds(30));
  EXPECT_EQ(second.service().share(), 0.999);
  EXPECT_FALSE(second.has_context_tokens());
  const Local& local = config->providers(0).local();
  EXPECT_EQ(ToDuration(local.launch_delay()), absl::Milliseconds(100));
  EXPECT_EQ(local.stock(), 2);
  EXPECT_EQ(local.price_per_hour(), 0.25);
  EXPECT_EQ(ToDuration(local.stop_grace()), absl::Seconds(20));
  EXPECT_EQ(local.zone(), "z-1");
  EXPECT_EQ(local.start_failures(), 0.5);
  ASSERT_EQ(local.more_zones_size(), 1);
  EXPECT_EQ(local.more_zones(0), "z-2");
  EXPECT_EQ(local.restore_failures(), 0.25);
  const Hyperstack& hyperstack = config->providers(1).hyperstack();
  EXPECT_EQ(hyperstack.engine().url(), "https://example.org/engine");
  EXPECT_EQ(hyperstack.engine().sha256(), kHash);
  EXPECT_EQ(hyperstack.key_name(), "laptop");
  EXPECT_EQ(hyperstack.api_key_file(), "gateway/config/testdata/keys/hyperstack");
  EXPECT_THAT(hyperstack.environments(), ElementsAre("default-CANADA-1"));
  EXPECT_THAT(hyperstack.flavors(), ElementsAre("n3-L40x1"));
  EXPECT_EQ(hyperstack.image(), "Ubuntu");
  EXPECT_EQ(hyperstack.volume_gigabytes(), 50);
  EXPECT_TRUE(hyperstack.public_address());
  EXPECT_EQ(hyperstack.volume_type(), "Cloud-SSD");
  EXPECT_EQ(hyperstack.endpoint(), "https://example.org/v1");
  const Aws& aws = config->providers(2).aws();
  ASSERT_EQ(aws.regions_size(), 1);
  EXPECT_EQ(aws.regions(0).name(), "us-east-1");
  EXPECT_EQ(aws.regions(0).image(), "ami-1");
  EXPECT_THAT(aws.regions(0).zones(), ElementsAre("us-east-1a"));
  EXPECT_THAT(aws.regions(0).security_groups(), ElementsAre("sg-1"));
  EXPECT_THAT(aws.instance_types(), ElementsAre("g6.xlarge"));
  EXPECT_THAT(aws.markets(), ElementsAre("spot"));
  EXPECT_EQ(aws.volume_gigabytes(), 60);
  EXPECT_TRUE(aws.public_address());
  EXPECT_EQ(aws.endpoint(), "https://ec2.example.org");
  const Gcp& gcp = config->providers(3).gcp();
  EXPECT_EQ(gcp.project(), "p");
  EXPECT_THAT(gcp.zones(), ElementsAre("us-central1-a"));
  EXPECT_THAT(gcp.markets(), ElementsAre("spot", "on_demand"));
  EXPECT_EQ(gcp.volume_gigabytes(), 70);
  EXPECT_FALSE(gcp.public_address());
  EXPECT_EQ(gcp.billing_endpoint(), "https://billing.example.org");
  const Azure& azure = config->providers(4).azure();
  EXPECT_EQ(azure.subscription(), "s");
  EXPECT_THAT(azure.vm_sizes(), ElementsAre("Standard_NC4as_T4_v3"));
  EXPECT_THAT(azure.zones(), ElementsAre("2"));
  EXPECT_EQ(azure.volume_gigabytes(), 80);
  EXPECT_TRUE(azure.public_address());
  EXPECT_EQ(azure.login(), "https://login.example.org");
  EXPECT_EQ(config->spend().max_dollars_per_day(), 12.5);
  EXPECT_EQ(ToDuration(config->spend().keep_volumes()), absl::Hours(72));
  EXPECT_EQ(config->limits().header_bytes(), 32 << 10);
  EXPECT_EQ(config->limits().body_bytes(), 1 << 20);
  EXPECT_EQ(config->limits().connections(), 100);
  EXPECT_EQ(config->limits().connections_per_address(), 10);
  EXPECT_EQ(ToDuration(config->limits().shutdown_grace()), absl::Seconds(5));
}

TEST_F(LoadConfigTest, AFieldGivenAsZeroIsNotADefault) {
  const Config config = Parse(
      "models: [{name: m, weights: bundled, park: {requests: 0}}]\n"
      "limits: {shutdown_grace: 0s}\n");
  EXPECT_EQ(config.models(0).park().requests(), 0);
  EXPECT_EQ(config.models(0).park().bytes(), 64 << 20);
  EXPECT_EQ(ToDuration(config.limits().shutdown_grace()), absl::ZeroDuration());
  EXPECT_EQ(config.limits().header_bytes(), 64 << 10);
}

TEST_F(LoadConfigTest, WhatIsRefused) {
  static constexpr std::pair<absl::string_view, absl::string_view> rows[] = {
      // keys
      {"\nmodles: []", "g.yaml:2: modles: unknown key; did you mean 'models'?"},
      {"limits:\n  xyzzy: 1",
       "g.yaml:2: limits.xyzzy: unknown key; expected one of header_bytes, body_bytes, "
       "connections, connections_per_address, shutdown_grace"},
      {"models: [{name: m, weights: bundled, idle_timout: 1s}]",
       "g.yaml:1: models[0].idle_timout: unknown key; did you mean 'idle_timeout'?"},
      {"providers: [gcp: {public_address: yes}]",
       "g.yaml:1: providers[0].gcp.public_address: is 'yes'; expected true or false"},
      {"limits: {connection: 1}",
       "g.yaml:1: limits.connection: unknown key; did you mean 'connections'?"},
      {"<<: {}", "g.yaml:1: <<: unknown key; expected one of listen, "},
      {"listen: a:1\nspend: {}\nlisten: b:1", "g.yaml:3: 'listen' is here twice, first on line 1"},
      {"keys:\n- {name: a, key: sk-x}",
       "g.yaml:2: keys[0].key: a key is never written in this file; name an environment variable "
       "with key_env or a file with key_file"},
      {"admin_key: x", "g.yaml:1: admin_key: a key is never written in this file; "},
      {"providers: [kubernetes: {}]",
       "g.yaml:1: providers[0].kubernetes: this provider is not there yet; this build has: local"},
      {"providers: [hyperstack: {api_key: x}]",
       "g.yaml:1: providers[0].hyperstack.api_key: a key is never written in this file; "},
      {"models: [{name: m, weights: bundled, machines: {markets: [cheap]}}]",
       "g.yaml:1: models[0].machines.markets: has 'cheap'; expected spot or on_demand"},
      {"models: [{name: m, weights: bundled, machines: {max_price: -1}}]",
       "g.yaml:1: models[0].machines.max_price: is negative"},
      {"models: [{name: m, weights: bundled, machines: {max_dollars_per_day: -1}}]",
       "g.yaml:1: models[0].machines.max_dollars_per_day: is negative; expected 0 or more"},
      {"models: [{name: m, weights: bundled, machines: {streams: 0}}]",
       "g.yaml:1: models[0].machines.streams: is 0; expected 1 or more"},
      {"models: [{name: m, weights: bundled, service: {first_token: 0s}}]",
       "g.yaml:1: models[0].service.first_token: is 0; expected a duration"},
      {"models: [{name: m, weights: bundled, service: {share: 1}}]",
       "g.yaml:1: models[0].service.share: is not between 0 and 1"},
      // types
      {"- a", "g.yaml:1: is a list; expected a map of keys and values"},
      {"listen: [a]", "g.yaml:1: listen: is a list; expected text on one line"},
      {"listen:\nspend: {}", "g.yaml:1: listen: has no value; expected text on one line"},
      {"listen: ''", "g.yaml:1: listen: is ''; expected text on one line"},
      {"listen: \"127.0.0.1\\0:80\"", "g.yaml:1: listen: is '127.0.0.1"},
      {"tls: x", "g.yaml:1: tls: is 'x'; expected a map of keys and values"},
      {"models: {}", "g.yaml:1: models: is a map; expected a list"},
      {"models: []", "g.yaml:1: models: is empty; expected at least one element"},
      {"limits: {connections: '5'}",
       "g.yaml:1: limits.connections: is '5'; expected a whole number, 0 or more"},
      {"limits: {connections: 1.5}", "g.yaml:1: limits.connections: is '1.5'; expected a whole"},
      {"limits: {connections: -1}", "g.yaml:1: limits.connections: is '-1'; expected a whole"},
      {"limits: {connections: 4294967296}", "g.yaml:1: limits.connections: is '4294967296'; "},
      {"limits: {body_bytes: 64MB}",
       "g.yaml:1: limits.body_bytes: is '64MB'; expected a size such as 64MiB (B, KiB, MiB, GiB)"},
      {"limits: {body_bytes: 64}", "g.yaml:1: limits.body_bytes: is '64'; expected a size"},
      {"limits: {body_bytes: 9999999999TiB}", "g.yaml:1: limits.body_bytes: is '9999999999TiB'; "},
      {"limits: {shutdown_grace: 90}",
       "g.yaml:1: limits.shutdown_grace: is '90'; expected a duration such as 90s, 10m or 1h30m"},
      {"limits: {shutdown_grace: auto}", "g.yaml:1: limits.shutdown_grace: is 'auto'; expected a"},
      {"limits: {shutdown_grace: -5s}", "g.yaml:1: limits.shutdown_grace: is '-5s'; expected a"},
      {"limits: {shutdown_grace: inf}", "g.yaml:1: limits.shutdown_grace: is 'inf'; expected a"},
      {"models: [{name: m, weights: bundled, idle_timeout: soon}]",
       "g.yaml:1: models[0].idle_timeout: is 'soon'; expected auto or a duration"},
      {"models: [{name: m, weights: bundled, share_prefixes: none}]",
       "g.yaml:1: models[0].share_prefixes: is 'none'; expected key or all"},
      {"spend: {max_dollars_per_day: nan}", "g.yaml:1: spend.max_dollars_per_day: is 'nan'; "},
      // missing
      {"models:\n- name: m\n- weights: bundled", "g.yaml:2: models[0]: 'weights' is missing"},
      {"models:\n- name: m\n  weights: bundled\n- weights: bundled",
       "g.yaml:4: models[1]: 'name' is missing"},
      {"tls: {cert: c}", "g.yaml:1: tls: 'key' is missing"},
      // meaning
      {"listen: 8080", "g.yaml:1: listen: is '8080'; expected ADDRESS:PORT such as"},
      {"listen: example.org:80", "g.yaml:1: listen: is 'example.org:80'; expected ADDRESS:PORT"},
      {"listen: 127.0.0.1:65536", "g.yaml:1: listen: is '127.0.0.1:65536'; expected ADDRESS:PORT"},
      {"listen: ::1:80", "g.yaml:1: listen: is '::1:80'; expected ADDRESS:PORT"},
      {"trusted_proxies:\n- 10.0.0.0/8\n- 10.0.0.0/33",
       "g.yaml:3: trusted_proxies[1]: is '10.0.0.0/33'; expected an address or a network"},
      {"keys:\n- {name: a, key_env: A}\n- {name: a, key_env: B}",
       "g.yaml:3: keys[1].name: is 'a', as is keys[0]; expected another name"},
      {"keys: [{name: a}]", "g.yaml:1: keys[0]: expected one of key_env and key_file"},
      {"keys: [{name: a, key_env: A, key_file: f}]", "g.yaml:1: keys[0]: expected one of"},
      {"keys: [{name: 'a b', key_env: A}]", "g.yaml:1: keys[0].name: is 'a b'; expected letters"},
      {"models:\n- {name: m, weights: bundled}\n- {name: m, weights: bundled}",
       "g.yaml:3: models[1].name: is 'm', as is models[0]; expected another name"},
      {"models: [{name: m, weights: 'https://x/y'}]",
       "g.yaml:1: models[0].weights: weights 'https://x/y': must end in #sha256= and the 64 hex"},
      {"models: [{name: m, weights: 'hf://x'}]",
       "g.yaml:1: models[0].weights: weights 'hf://x': hf://org/repo/file.gguf@revision or"},
      {"models: [{name: m, weights: 'file://x'}]", "g.yaml:1: models[0].weights: is 'file://x'"},
      {"models: [{name: m, weights: /x}]",
       "g.yaml:1: models[0].weights: is '/x'; expected bundled, file:///…, https://…"},
      {"models: [{name: m, weights: bundled, backend: cuda}]",
       "g.yaml:1: models[0].backend: is 'cuda', which is not there yet; expected auto, cpu or vulkan"},
      {"models: [{name: m, weights: bundled, backend: tpu}]",
       "g.yaml:1: models[0].backend: is 'tpu'; expected auto, cpu or vulkan"},
      {"models:\n- name: m\n  weights: bundled\n  machines:\n    min: 2",
       "g.yaml:4: models[0].machines: has min 2 and max 1; expected min <= max, max >= 1"},
      {"models: [{name: m, weights: bundled, wake_cap: 0s}]",
       "g.yaml:1: models[0].wake_cap: is 0; expected a duration such as 10m"},
      {"providers: [local: {}, local: {}]", "g.yaml:1: providers[1]: is of the kind of providers[0]; expected one of"},
      {"providers: [hyperstack: {key_name: k}]", "g.yaml:1: providers[0].hyperstack: 'engine' is missing"},
      {"providers: [hyperstack: {key_name: k, engine: {url: 'http://x', sha256: "
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
       "}}]",
       "g.yaml:1: providers[0].hyperstack.engine.url: is 'http://x'; expected https://"},
      {"providers: [hyperstack: {key_name: k, engine: {url: 'https://x', sha256: abc}}]",
       "g.yaml:1: providers[0].hyperstack.engine.sha256: is no SHA-256"},
      {"providers: [hyperstack: {key_name: k, engine: {url: 'https://x', sha256: "
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
       "}, endpoint: 'http://x/'}]",
       "g.yaml:1: providers[0].hyperstack.endpoint: is 'http://x/'; expected https://"},
      {"providers: [hyperstack: {key_name: k, engine: {url: 'https://x', sha256: "
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
       "}, endpoint: 'http://127.0.0.1:80@x/'}]",
       "g.yaml:1: providers[0].hyperstack.endpoint: is 'http://127.0.0.1:80@x/'; expected https://"},
      {"providers: [hyperstack: {key_name: k, engine: {url: 'https://x', sha256: "
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
       "}, volume_gigabytes: 0}]",
       "g.yaml:1: providers[0].hyperstack.volume_gigabytes: is 0"},
      {"providers: [hyperstack: {key_name: k, engine: {url: 'https://x', sha256: "
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
       "}, api_key_env: A, api_key_file: f}]",
       "g.yaml:1: providers[0].hyperstack: expected one of api_key_env and api_key_file"},
      {"providers: [aws: {instance_types: [a], engine: {url: 'https://x', sha256: "
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
       "}}]",
       "g.yaml:1: providers[0].aws: 'regions' is missing"},
      {"providers: [aws: {instance_types: [a], regions: [{name: r, image: i}], markets: [cheap], engine: {url: "
                    "'https://x', sha256: "
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
       "}}]",
       "g.yaml:1: providers[0].aws.markets: has 'cheap'; expected spot or on_demand"},
      {"providers: [gcp: {project: p, zones: [z], machine_types: [m], endpoint: 'http://x', engine: {url: "
                    "'https://x', sha256: "
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
       "}}]",
       "g.yaml:1: providers[0].gcp.endpoint: is 'http://x'; expected https://"},
      {"providers: [azure: {subscription: s, resource_group: g, location: l, subnet: n, ssh_public_key: k, "
                    "vm_sizes: [v], prices: ftp, engine: {url: 'https://x', sha256: "
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
       "}}]",
       "g.yaml:1: providers[0].azure.prices: is 'ftp'; expected https://"},
      {"providers: [{}]", "g.yaml:1: providers[0]: expected one of: local"},
      {"providers: [local: {stock: 0}]", "g.yaml:1: providers[0].local.stock: is 0; expected 1"},
      {"providers: [local: {start_failures: 1.5}]",
       "g.yaml:1: providers[0].local.start_failures: is 1.5; expected a share, 0 to 1"},
      {"providers: [local: {restore_failures: -1}]",
       "g.yaml:1: providers[0].local.restore_failures: is -1; expected a share, 0 to 1"},
      {"providers: [local: {zone: a, more_zones: [b, a]}]",
       "g.yaml:1: providers[0].local.more_zones[1]: is 'a', which is there already"},
      {"providers: [local: {zone: 'a b'}]",
       "g.yaml:1: providers[0].local.zone: is 'a b'; expected letters"},
      {"providers: [local: {stop_grace: 1s}]",
       "g.yaml:1: providers[0].local.stop_grace: is too short; expected 2s or more"},
      {"spend: {max_dollars_per_day: -1}", "g.yaml:1: spend.max_dollars_per_day: is negative"},
      {"spend: {keep_volumes: 59m}", "g.yaml:1: spend.keep_volumes: is less than an hour"},
      {"limits: {body_bytes: 0B}", "g.yaml:1: limits.body_bytes: is 0; expected 1024 to"},
      // YAML itself
      {"listen: [", "g.yaml:"},
      {"a: b: c", "g.yaml:1: "},
      {"\tlisten: x", "g.yaml:1: "},
      {"listen: &a x", "g.yaml:1: anchors (&name) are not used here"},
      {"listen: *a", "g.yaml:1: "},
      {"listen: !!str x", "g.yaml:1: tags (!name) are not used here"},
      {"? [a]\n: b", "g.yaml:1: a key is one word, not empty, a list or a map"},
      {"{}\n---\n{}", "g.yaml:1: more than one document (---) in the file"},
      {"[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]", "g.yaml:1: more than 16 levels"},
  };
  for (const auto& [yaml, message] : rows) {
    EXPECT_TRUE(absl::StartsWith(Error(yaml), message)) << Error(yaml) << "\nexpected: " << message;
  }
}

TEST_F(LoadConfigTest, FileErrors) {
  EXPECT_TRUE(absl::IsNotFound(LoadConfig("no/such/file.yaml").status()));
  EXPECT_TRUE(absl::StartsWith(Error(std::string(2 << 20, ' ')), "g.yaml:1: 2097152 bytes; "));
  EXPECT_FALSE(ParseConfig(std::string(100000, '['), "g.yaml").ok());
  EXPECT_FALSE(ParseConfig(std::string(100000, '{'), "g.yaml").ok());
}

}  // namespace
}  // namespace spotinference::config
