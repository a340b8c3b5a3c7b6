#include "engine/model/gguf_shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/model/gguf_bytes.h"
#include "engine/model/open_checkpoint.h"

namespace spotinference {
namespace {

using ::testing::HasSubstr;

// Three shards as gguf-split names them, of which a test changes what it wants wrong. The first has no tensor.
struct Shard {
  uint16_t number, count;
  int32_t tensors;
  std::string tensor;
};
struct Set {
  std::map<std::string, Shard> files = {{"m-00001-of-00003.gguf", {0, 3, 2, ""}},
                                        {"m-00002-of-00003.gguf", {1, 3, 2, "a"}},
                                        {"m-00003-of-00003.gguf", {2, 3, 2, "b"}}};
  Shard& operator[](int i) { return files["m-0000" + std::to_string(i) + "-of-00003.gguf"]; }
};

std::string BytesOf(const Shard& shard) {
  GgufBytes out;
  out.Header(shard.tensor.empty() ? 0 : 1, 4);
  out.Key("split.no", kUint16, shard.number).Key("split.count", kUint16, shard.count);
  out.Key("split.tensors.count", kInt32, shard.tensors).Key<uint32_t>("m.key", kUint32, 10 + shard.number);
  if (!shard.tensor.empty()) out.Tensor(shard.tensor, {4}, 0, 0).Pad().Fill(16);
  return out;
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenSet(const Set& set, const std::string& name) {
  const std::string folder = testing::TempDir() + "/";
  for (int i = 1; i <= 3; ++i) std::remove((folder + "m-0000" + std::to_string(i) + "-of-00003.gguf").c_str());
  for (const auto& [file, shard] : set.files) std::ofstream(folder + file, std::ios::binary) << BytesOf(shard);
  return OpenCheckpoint(folder + name);
}

TEST(GgufShards, AreOneModel) {
  const auto model = OpenSet(Set(), "m-00001-of-00003.gguf");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(*(*model)->Integer("m.key", 0, 99), 10);  // the first shard's
  ASSERT_EQ((*model)->tensors().size(), 2);
  ASSERT_NE((*model)->FindTensor("b"), nullptr);
  EXPECT_EQ((*model)->FindTensor("b")->data.size(), 16);
  EXPECT_EQ((*model)->FindTensor("c"), nullptr);
  ASSERT_EQ((*model)->files().size(), 3);
  const Checkpoint::File third = (*model)->files()[2];
  EXPECT_THAT(third.path, HasSubstr("m-00003-of-00003.gguf"));
  EXPECT_EQ(third.bytes.data() + third.head_bytes, (*model)->FindTensor("b")->data.data());
  (*model)->ReleasePages((*model)->FindTensor("a")->data);
}

TEST(GgufShards, OneOfOneIsAFile) {
  Set set;
  set.files = {{"whole.gguf", {0, 1, 1, "t"}}};
  EXPECT_TRUE(OpenSet(set, "whole.gguf").ok());
}

TEST(GgufShards, EveryLieIsRefused) {
  const auto refused = [](absl::StatusCode code, const std::string& message, const std::function<void(Set&)>& change,
                          const std::string& name = "m-00001-of-00003.gguf") {
    Set set;
    change(set);
    const auto model = OpenSet(set, name);
    EXPECT_EQ(model.status().code(), code) << message;
    EXPECT_THAT(std::string(model.status().message()), HasSubstr(message));
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  refused(absl::StatusCode::kNotFound, "shard 2 of 3: cannot open model file '" + testing::TempDir(),
          [](Set& s) { s.files.erase("m-00002-of-00003.gguf"); });
  refused(absl::StatusCode::kNotFound, "m-00003-of-00003.gguf'",
          [](Set& s) { s.files.erase("m-00003-of-00003.gguf"); });
  refused(kInvalid, "number 2 of 3 shards; the model begins with the one whose name ends in -00001-of-00003.gguf",
          [](Set&) {}, "m-00002-of-00003.gguf");
  refused(kInvalid, "the first of 3 shards, so its name has to end in -00001-of-00003.gguf",
          [](Set& s) { s.files = {{"renamed.gguf", s[1]}}; }, "renamed.gguf");
  refused(kInvalid, "the first of 4 shards, so its name has to end in -00001-of-00004.gguf",
          [](Set& s) { s[1].count = 4; });
  refused(kInvalid, "m-00003-of-00003.gguf': key 'split.no' is 1; 2 is expected", [](Set& s) { s[3].number = 1; });
  refused(kInvalid, "m-00002-of-00003.gguf': key 'split.count' is 2; 3 is expected", [](Set& s) { s[2].count = 2; });
  refused(kInvalid, "m-00002-of-00003.gguf': key 'split.tensors.count' is 9; 2 is expected",
          [](Set& s) { s[2].tensors = 9; });
  refused(kInvalid, "have 2 tensors; key 'split.tensors.count' says 3",
          [](Set& s) { s[1].tensors = s[2].tensors = s[3].tensors = 3; });
  refused(kInvalid, "key 'split.tensors.count': -1 is outside of",
          [](Set& s) { s[1].tensors = s[2].tensors = s[3].tensors = -1; });
  refused(kInvalid, "m-00003-of-00003.gguf': tensor 'a' is also in another shard", [](Set& s) { s[3].tensor = "a"; });
}

}  // namespace
}  // namespace spotinference
