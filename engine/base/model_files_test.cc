#include "engine/base/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

namespace spotinference {
namespace {

using ::testing::ElementsAre;

std::string NewFolder(const std::string& name) {
  const std::string folder = testing::TempDir() + "/" + name;
  mkdir(folder.c_str(), 0700);
  return folder;
}

TEST(GgufShardPaths, AreCounted) {
  EXPECT_THAT(GgufShardPaths("/d/m-00001-of-00002.gguf"),
              ElementsAre("/d/m-00001-of-00002.gguf", "/d/m-00002-of-00002.gguf"));
  for (const std::string alone : {"/d/m.gguf", "", "-00001-of-00001.gguf", "m-00002-of-00002.gguf",
                                  "m-00001-of-0x002.gguf", "m-00001-of-   02.gguf", "m-00001-of-00000.gguf"}) {
    EXPECT_THAT(GgufShardPaths(alone), ElementsAre(alone));
  }
}

// The sums are those of coreutils' sha256sum.
TEST(ModelHash, OfOneFileIsItsOwn) {
  const std::string path = NewFolder("one") + "/m.gguf";
  std::ofstream(path) << "a";
  EXPECT_EQ(*ModelHash(path), "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
}

TEST(ModelHash, OfSeveralIsOverTheirSums) {
  const std::string folder = NewFolder("several");
  std::ofstream(folder + "/b.safetensors") << "b";
  std::ofstream(folder + "/config.json") << "{}";
  std::ofstream(folder + "/README.md") << "is no part of the model";
  EXPECT_THAT(*ModelFiles(folder), ElementsAre(folder + "/b.safetensors", folder + "/config.json"));
  EXPECT_EQ(*ModelHash(folder), "c29a2148dcba78a3f82ec594330e655b825086ac96ffce97c561ab7e73fa674c");
  for (const char* name : {"/s-00001-of-00002.gguf", "/s-00002-of-00002.gguf"}) std::ofstream(folder + name) << name;
  EXPECT_EQ(*ModelHash(folder + "/s-00001-of-00002.gguf"),
            "f6875f1c6e0090366b98e938d30f84cf318f8fc766996080c6d5f312ed60f474");
  // printf /s-00001-of-00002.gguf | sha256sum
  EXPECT_EQ(*FileHash(folder + "/s-00001-of-00002.gguf"), "f814d6c9adb31adc563e0eaeab296e1921eec0755a484bb6dd0ffede79e0e95b") << "that file alone";
}

TEST(ModelHash, SaysWhatIsMissing) {
  const std::string path = NewFolder("missing") + "/s-00001-of-00002.gguf";
  EXPECT_EQ(ModelHash(path).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(path) << "a";
  EXPECT_THAT(std::string(ModelHash(path).status().message()), testing::HasSubstr("s-00002-of-00002.gguf"));
}

}  // namespace
}  // namespace spotinference
