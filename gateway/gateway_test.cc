// The gateway whole, over its own port, between a fleet and an engine that a test dictates. Argument: the model's file.
#include "gateway/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/clock.h"
#include "engine/base/http_client.h"
#include "gateway/config/default_config.h"
#include "gateway/session/fake_engine.h"
#include "gateway/session/fake_fleet.h"

namespace spotinference {
namespace {

namespace api = engine::v1;

std::string model_path;

constexpr char kAda[] = "the-key-that-Ada-has", kBob[] = "the-key-that-Bob-has";

// With a machine, a model and an interruption to count.
class CountedFleet : public fleet::FakeFleet {
 public:
  std::vector<fleet::MachineView> Machines() const override {
    fleet::MachineView machine;
    machine.provider = "local";
    machine.market = "spot";
    machine.state = "serving";
    return {machine};
  }
  std::vector<fleet::ModelView> Models() const override {
    fleet::ModelView model;
    model.model = "m";
    return {model};
  }
  std::vector<fleet::InterruptionCount> Interruptions() const override { return {{"local", true, 1}}; }
};

class GatewayTest : public testing::Test {
 protected:
  void Start() {
    static const std::shared_ptr<const ModelText> text = *LoadModelText(model_path);
    std::vector<ServedModel> models(2);
    for (ServedModel& model : models) {
      model.text = text;
      model.context_tokens = 64;
    }
    models[0].name = "m";
    models[1].name = "shared";
    models[1].share_prefixes_all = true;
    config::Config config = config::DefaultConfig();
    config.set_listen("127.0.0.1:0");
    GatewayKeys keys;
    keys.keys = std::make_shared<ApiKeys>(*HashKeys({{"ada", kAda}, {"bob", kBob}}));
    keys.admin = std::make_shared<ApiKeys>();
    absl::StatusOr<std::unique_ptr<Gateway>> gateway =
        Gateway::Start(config, std::move(models), keys, fleet_, metrics_, RealClock());
    ASSERT_TRUE(gateway.ok()) << gateway.status();
    gateway_ = *std::move(gateway);
    fleet_.ServeAt(fleet::Endpoint{"m-1", engine_.address(), "", "hash", "numerics", nullptr});
    ids_ = *text->EncodePrompt(" sky sky sky");
    ASSERT_EQ(ids_.size(), 3);
  }

  std::string Url(const std::string& path) { return absl::StrCat("http://127.0.0.1:", gateway_->port(), path); }

  // Asks for an answer of some tokens, on a thread of its own.
  std::future<HttpResponse> Complete(const std::string& key, const std::string& model) {
    return std::async(std::launch::async, [url = Url("/v1/completions"), key, model] {
      HttpClient client;
      return *client.Do({.method = "POST",
                         .url = url,
                         .headers = {{"Authorization", absl::StrCat("Bearer ", key)}},
                         .body = absl::StrCat(R"({"prompt":"the","model":")", model, "\"}")});
    });
  }
  api::GenerateEvent Event(uint32_t index, bool last = false) {
    api::GenerateEvent event;
    event.set_index(index);
    event.set_id(ids_[index]);
    if (last) event.set_finish_reason(api::FINISH_REASON_LENGTH);
    return event;
  }
  // Of the `call`-th request to the engine, whose answer is one token.
  std::string SaltOf(const std::string& key, const std::string& model, int call) {
    std::future<HttpResponse> response = Complete(key, model);
    const auto engine = engine_.AwaitCall(0, call);
    engine->Send(Event(0, /*last=*/true));
    EXPECT_EQ(response.get().status, 200);
    return engine->request().cache_salt();
  }

  FakeEngine engine_;
  CountedFleet fleet_;
  Metrics metrics_;
  std::vector<uint32_t> ids_;
  std::unique_ptr<Gateway> gateway_;
};

// Nobody learns from the time to the first token what another key's prompts were, unless prefixes are shared.
TEST_F(GatewayTest, EachKeyHasASaltOfItsOwnUnlessPrefixesAreShared) {
  Start();
  const std::string ada = SaltOf(kAda, "m", 1);
  const std::string bob = SaltOf(kBob, "m", 2);
  EXPECT_NE(ada, "");
  EXPECT_NE(bob, "");
  EXPECT_NE(ada, bob);
  EXPECT_EQ(SaltOf(kAda, "m", 3), ada);
  const std::string shared = SaltOf(kAda, "shared", 4);
  EXPECT_EQ(SaltOf(kBob, "shared", 5), shared);
}

// Both forms of the same time: the SDKs read the milliseconds, everyone else whole seconds, never fewer.
TEST_F(GatewayTest, AFullQueueSaysWhenToComeBack) {
  Start();
  fleet_.ServeAt(std::nullopt);
  std::future<HttpResponse> refused = Complete(kAda, "m");
  fleet_.Resolve(fleet::AcquireError{fleet::AcquireError::Reason::kQueueFull, "256 requests already wait for m to wake",
                                     absl::Milliseconds(5960)});
  const HttpResponse response = refused.get();
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(FindHeader(response.headers, "retry-after"), "6");
  EXPECT_EQ(FindHeader(response.headers, "retry-after-ms"), "5960");
  EXPECT_THAT(response.body, testing::HasSubstr("256 requests already wait for m to wake"));
}

// "name{labels} type" of each family, its labels sorted; a histogram's "le" is none of ours.
std::vector<std::string> FamiliesOf(const std::string& text) {
  std::vector<std::string> families;
  std::map<std::string, std::set<std::string>> labels;  // by the name of the sample
  std::vector<std::pair<std::string, std::string>> types;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  for (const std::string& line : lines) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (absl::StartsWith(line, "# TYPE ")) types.emplace_back(words[2], words[3]);
    if (line[0] == '#') continue;
    const std::vector<std::string> parts = absl::StrSplit(line, absl::ByAnyChar("{}"));
    for (const absl::string_view pair : absl::StrSplit(parts[1], ',', absl::SkipEmpty())) {
      labels[parts[0]].insert(std::string(pair.substr(0, pair.find('='))));
    }
  }
  for (const auto& [name, type] : types) {
    std::set<std::string>& of_name = labels[type == "histogram" ? name + "_bucket" : name];
    of_name.erase("le");
    families.push_back(absl::StrCat(name, "{", absl::StrJoin(of_name, ","), "} ", type));
  }
  std::sort(families.begin(), families.end());
  return families;
}

// People graph these: a name or a label that is renamed breaks what they built.
TEST_F(GatewayTest, EveryMetricHasTheNameAndTheLabelsThatUsersKnow) {
  Start();
  metrics_.Wake("m", "total", absl::Seconds(1));  // what the fleet says of a wake
  std::future<HttpResponse> response = Complete(kAda, "m");
  engine_.AwaitCall(0, 1)->Send(Event(0));
  engine_.AwaitCall(0, 1)->End({grpc::StatusCode::UNAVAILABLE, "gone"});
  engine_.AwaitCall(0, 2)->Send(Event(1));
  engine_.AwaitCall(0, 2)->Send(Event(2, /*last=*/true));
  EXPECT_EQ(response.get().status, 200);
  HttpClient client;
  const absl::Duration deadline = RealClock().Elapsed() + absl::Minutes(1);
  absl::StatusOr<HttpResponse> metrics;
  do {  // a request is counted when its answer has gone, which its client may know first
    metrics = client.Do({.url = Url("/metrics")});
    ASSERT_TRUE(metrics.ok()) << metrics.status();
  } while (!absl::StrContains(metrics->body, "code=\"200\"") && RealClock().Elapsed() < deadline);
  std::vector<std::string> expected = {
      "requests_total{code,model} counter",
      "time_to_first_token_seconds{model} histogram",
      "inter_token_seconds{model} histogram",
      "wake_seconds{model,stage} histogram",
      "parked_requests{model} gauge",
      "active_requests{model} gauge",
      "stream_resumes_total{exact,model,reason} counter",
      "tokens_total{kind,model} counter",
      "machines{market,provider,state} gauge",
      "interruptions_total{noticed,provider} counter",
      "gpu_seconds_total{market,model,use} counter",
      "gpu_cost_dollars_total{market,model,use} counter",
      "programs_compiled_total{model} counter",
      "preemptions_total{model} counter",
      "drafted_tokens_total{model} counter",
      "accepted_tokens_total{model} counter",
      "kv_blocks{model,state} gauge",
      "kv_blocks_restored_total{model} counter",
      "batch_rows{model} gauge",
      "weights_bytes{model} gauge",
      "volumes_full{model} gauge",
      "storage_cost_dollars_total{kind,model} counter",
      "storage_gigabyte_hours_total{model} counter",
      "download_done_bytes{model} gauge",
      "download_total_bytes{model} gauge",
  };
  for (std::string& family : expected) family = "spotinference_" + family;
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(absl::StrJoin(FamiliesOf(metrics->body), "\n"), absl::StrJoin(expected, "\n"));
  for (const char* kind : {"prompt", "cached", "generated"}) {
    EXPECT_THAT(metrics->body, testing::HasSubstr(absl::StrCat("kind=\"", kind, "\"")));
  }
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) spotinference::model_path = argv[1];
  return RUN_ALL_TESTS();
}
