// Argument: a GGUF file with its tokenizer.
#include "gateway/models.h"

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/model_files.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

std::string model_path;

absl::StatusOr<std::vector<LoadedModel>> Load(const std::string& weights, const LoadOptions& options = {}) {
  config::Config config;
  config.add_models()->set_name("m");
  config.mutable_models(0)->set_weights(weights);
  return LoadModels(config, options);
}

TEST(ModelsTest, LocalWeightsAreTheOnesThatWereMeant) {
  const std::string hash = *ModelHash(model_path), other(64, 'a');
  const std::string file = absl::StrCat("file://", std::string(std::filesystem::absolute(model_path)));
  const std::pair<std::string, LoadOptions> right[] = {{file, {}},
                                                       {absl::StrCat(file, "#sha256=", hash), {}},
                                                       {"bundled", {.bundled = model_path, .bundled_sha256 = hash}}};
  for (const auto& [weights, options] : right) {
    const auto loaded = Load(weights, options);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->front().model_hash, hash);
    EXPECT_EQ(loaded->front().weights.find('#'), std::string::npos);
  }
  EXPECT_EQ(Load(absl::StrCat(file, "#sha256=", other)).status().code(), absl::StatusCode::kFailedPrecondition);
  const absl::Status damaged = Load("bundled", {.bundled = model_path, .bundled_sha256 = other}).status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(damaged.message(), absl::StrCat("model 'm': weights '", model_path, "': the SHA-256 is ", hash, ", not ",
                                            other));
}

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) return 1;
  spotinference::model_path = argv[1];
  return RUN_ALL_TESTS();
}
