#include "engine/volume/model_head.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/model_files.h"
#include "engine/volume/fake_hub.h"
#include "engine/volume/simulated_file_system.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

constexpr uint64_t kSize = 20'000'000;
constexpr char kSource[] = "hf://org/repo/model.gguf@main";

class ModelHeadTest : public testing::Test {
 protected:
  ModelHeadTest() {
    Serve(kSize);
    EXPECT_TRUE(files_.CreateFolder("/d").ok());
    files_.Restart(SimulatedFileSystem::Cut::kKill, 0);
  }

  void Serve(uint64_t size_bytes) {
    hub_.content = FakeHub::RandomBytes(size_bytes);
    hub_.tag = FakeHub::Sha256(hub_.content);
  }

  // Of a file whose head is told by `head_` bytes and has so many.
  absl::StatusOr<ModelHead> Fetch(const std::string& text = kSource) {
    const absl::StatusOr<WeightsSource> source = ParseWeightsSource(text);
    const RemoteOptions options{.hub_url = hub_.url(), .hub_token = FakeHub::kToken, .wait = [](absl::Duration) {}};
    return FetchModelHead(files_, "/d", *source, options,
                          [this](const std::string& path, uint64_t bytes) -> absl::StatusOr<uint64_t> {
                            EXPECT_EQ(files_.Contents(path).size(), hub_.content.size());
                            if (bytes < head_) return absl::InvalidArgumentError(absl::StrCat("cut at ", bytes));
                            return head_;
                          });
  }
  void ExpectWhole(const absl::StatusOr<ModelHead>& head) {
    ASSERT_TRUE(head.ok()) << head.status();
    EXPECT_EQ(head->sha256, hub_.tag);
    EXPECT_EQ(head->head_sha256, FakeHub::Sha256(hub_.content.substr(0, head_)));
    EXPECT_EQ(files_.Contents(head->path).size(), hub_.content.size());
    EXPECT_TRUE(files_.Contents(head->path).substr(0, head_) == hub_.content.substr(0, head_));
  }

  FakeHub hub_;
  SimulatedFileSystem files_;
  uint64_t head_ = 1000;
};

TEST_F(ModelHeadTest, IsReadOnceAndNothingElseOfTheFile) {
  const absl::StatusOr<ModelHead> first = Fetch();
  ExpectWhole(first);
  EXPECT_EQ(first->commit, FakeHub::kCommit);
  EXPECT_EQ(hub_.cdn_ranges(), std::vector<std::string>{"bytes=0-8388607"});
  const int asked = hub_.hub_requests();
  files_.Restart(SimulatedFileSystem::Cut::kPower, 1);
  const absl::StatusOr<ModelHead> second = Fetch();
  ExpectWhole(second);
  EXPECT_EQ(second->path, first->path);
  EXPECT_EQ(second->commit, first->commit);
  EXPECT_EQ(hub_.hub_requests(), asked);
}

TEST_F(ModelHeadTest, TwoModelsOfOneSourceReadItOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([this] { ExpectWhole(Fetch()); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(hub_.cdn_ranges(), std::vector<std::string>{"bytes=0-8388607"});
}

TEST_F(ModelHeadTest, ALongOneIsReadOn) {
  head_ = 9'000'000;
  ExpectWhole(Fetch());
  EXPECT_EQ(hub_.cdn_ranges(), (std::vector<std::string>{"bytes=0-8388607", "bytes=8388608-16777215"}));
}

TEST_F(ModelHeadTest, WhatHasNoHeadIsSaidAndNotKept) {
  head_ = kSize + 1;
  EXPECT_EQ(Fetch().status(), absl::InvalidArgumentError("cut at 20000000"));
  EXPECT_TRUE(files_.Paths().empty());
}

TEST_F(ModelHeadTest, ADamagedOneIsReadAgain) {
  for (const char* ending : {"", ".head"}) {
    const absl::StatusOr<ModelHead> head = Fetch();
    ASSERT_TRUE(head.ok()) << head.status();
    files_.Contents(head->path + ending)[500] ^= 4;
    const int asked = hub_.hub_requests();
    ExpectWhole(Fetch());
    EXPECT_GT(hub_.hub_requests(), asked) << ending;
  }
}

TEST_F(ModelHeadTest, IsWholeAfterAnyCut) {
  Serve(95000);
  bool whole = false;
  for (uint32_t changes = 1; !whole; ++changes) {
    SCOPED_TRACE(changes);
    files_.CutAfter(changes, changes);
    whole = Fetch().ok();
    files_.Restart(SimulatedFileSystem::Cut::kPower, changes);
    ExpectWhole(Fetch());
    for (const std::string& path : files_.Paths()) ASSERT_TRUE(files_.Remove(path).ok());
    files_.Restart(SimulatedFileSystem::Cut::kKill, 0);
    ASSERT_LT(changes, 100);
  }
}

TEST_F(ModelHeadTest, OfSeveralFilesTheFirstIsRead) {
  std::vector<FileSum> sums;
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    hub_.AddInLfs(name, FakeHub::RandomBytes(20000, name));
    sums.push_back({name, hub_.files[name].tag});
  }
  hub_.content = hub_.files[sums[0].name].content;
  const absl::StatusOr<ModelHead> head = Fetch("hf://org/repo/m-00001-of-00002.gguf");
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->sha256, ModelHashOf(sums));
  EXPECT_EQ(head->head_sha256, FakeHub::Sha256(hub_.content.substr(0, head_)));
  EXPECT_EQ(hub_.cdn_files(), std::vector<std::string>{sums[0].name});
}

TEST_F(ModelHeadTest, OfARepositoryAllButTheWeights) {
  hub_.AddInGit("config.json", "{}");
  hub_.AddInLfs("tokenizer.json", std::string(1000, 't'));
  hub_.AddInLfs("model.safetensors", FakeHub::RandomBytes(3000));
  std::vector<FileSum> sums;
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    sums.push_back({name, FakeHub::Sha256(hub_.files[name].content)});
  }
  bool whole = false;
  for (uint32_t changes = 1; !whole; ++changes) {
    SCOPED_TRACE(changes);
    files_.CutAfter(changes, changes);
    whole = Fetch("hf://org/repo").ok();
    files_.Restart(SimulatedFileSystem::Cut::kPower, changes);
    for (const bool again : {false, true}) {
      const int asked = hub_.hub_requests();
      const absl::StatusOr<ModelHead> head = Fetch("hf://org/repo");
      ASSERT_TRUE(head.ok()) << head.status();
      EXPECT_EQ(head->sha256, ModelHashOf(sums));
      EXPECT_EQ(head->head_sha256, "");
      EXPECT_EQ(head->commit, FakeHub::kCommit);
      EXPECT_EQ(files_.Contents(head->path + "/config.json"), "{}");
      EXPECT_EQ(files_.Contents(head->path + "/tokenizer.json"), std::string(1000, 't'));
      EXPECT_TRUE(!again || hub_.hub_requests() == asked) << "asks nobody again";
    }
    for (const std::string& path : files_.Paths()) ASSERT_TRUE(files_.Remove(path).ok());
    files_.Restart(SimulatedFileSystem::Cut::kKill, 0);
    ASSERT_LT(changes, 100);
  }
  const std::vector<std::string> asked = hub_.cdn_files();
  EXPECT_EQ(std::count(asked.begin(), asked.end(), "model.safetensors"), 0);

  hub_.files["config.json"].content = "[]";
  EXPECT_EQ(Fetch("hf://org/repo").status().code(), absl::StatusCode::kFailedPrecondition);
}

// A branch that moves between a start that was cut off and the next one.
TEST_F(ModelHeadTest, NothingIsLeftOfAnotherCommit) {
  bool whole = false;
  int seconds = 0;
  for (uint32_t changes = 1; !whole; ++changes) {
    SCOPED_TRACE(changes);
    for (const char* name : {"chat_template.jinja", "config.json", "tokenizer.json"}) hub_.AddInGit(name, "{}");
    hub_.AddInLfs("model.safetensors", FakeHub::RandomBytes(3000));
    files_.CutAfter(changes, changes);
    whole = Fetch("hf://org/repo").ok();
    files_.Restart(changes % 2 == 0 ? SimulatedFileSystem::Cut::kKill : SimulatedFileSystem::Cut::kPower, changes);
    hub_.files.erase("chat_template.jinja");
    hub_.AddInGit("config.json", "{\"of\": \"another commit\"}");
    const absl::StatusOr<ModelHead> head = Fetch("hf://org/repo");
    ASSERT_TRUE(head.ok()) << head.status();
    const bool is_first = files_.Contents(head->path + "/config.json") == "{}";
    EXPECT_TRUE(is_first || !whole) << "once it is here nobody is asked again";
    seconds += !is_first;
    EXPECT_EQ(files_.Paths().size(), is_first ? 4 : 3);
    for (const std::string& path : files_.Paths()) ASSERT_TRUE(files_.Remove(path).ok());
    files_.Restart(SimulatedFileSystem::Cut::kKill, 0);
    ASSERT_LT(changes, 100);
  }
  EXPECT_GT(seconds, 3);
}

TEST_F(ModelHeadTest, AServerWithoutRangesIsLeftInTheMiddle) {
  const FakeHttpServer server([this](const FakeHttpRequest&) { return FakeHttpReply{.body = hub_.content}; });
  const absl::StatusOr<ModelHead> head = Fetch(absl::StrCat(server.url(), "/model.gguf#sha256=", hub_.tag));
  ExpectWhole(head);
  EXPECT_EQ(head->commit, "");
  EXPECT_TRUE(files_.Contents(head->path).substr(8 << 20) == std::string(kSize - (8 << 20), '\0'));
}

}  // namespace
}  // namespace spotinference
