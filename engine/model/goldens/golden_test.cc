// Every family on every backend, from its GGUF file and from its folder, against logits that `transformers` computed
// from the same weights (make_goldens.py).
//
// golden_test MODEL.gguf GOLDEN.txt MODEL.gguf GOLDEN.txt …, with each folder MODEL/ beside its file
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "backends/cpu/cpu_device.h"
#include "backends/reference/reference_device.h"
#include "engine/base/status.h"
#include "engine/model/model.h"
#include "engine/model/open_checkpoint.h"

namespace spotinference {
namespace {

struct Golden {
  std::vector<int32_t> prompt;
  std::map<int, std::vector<float>> logits;  // by position; every stride-th of the vocabulary
};

Golden ReadGolden(const std::string& path) {
  Golden golden;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string first;
    words >> first;
    if (first == "#" || first == "weights") continue;
    if (first == "prompt") {
      golden.prompt.assign(std::istream_iterator<int32_t>(words), {});
    } else {
      golden.logits[std::stoi(first)].assign(std::istream_iterator<float>(words), {});
    }
  }
  return golden;
}

struct TestedBackend {
  Backend backend;
  double kv_rounding;  // the relative error of a value kept in the KV cache
};

class GoldenTest : public testing::Test {
 public:
  GoldenTest(TestedBackend tested, std::string model, std::string golden)
      : tested_(std::move(tested)), model_path_(std::move(model)), golden_path_(std::move(golden)) {}

  void TestBody() override {
    const Golden golden = ReadGolden(golden_path_);
    ASSERT_GE(golden.prompt.size(), 64);
    ASSERT_GE(golden.logits.size(), 4);
    const absl::StatusOr<std::vector<float>> logits = Logits(golden.prompt);
    ASSERT_TRUE(logits.ok()) << logits.status();
    const size_t vocabulary = logits->size() / golden.prompt.size();
    double error = 0, size = 0;
    for (const auto& [position, expected] : golden.logits) {
      const size_t stride = vocabulary / expected.size();
      ASSERT_GE(expected.size(), 48);
      for (size_t i = 0; i < expected.size(); ++i) {
        const double difference = (*logits)[position * vocabulary + i * stride] - expected[i];
        error += difference * difference;
        size += double{expected[i]} * expected[i];
      }
    }
    const double relative = std::sqrt(error / size);
    std::printf("%s on %s: relative error %.1e of %.1e\n", model_path_.substr(model_path_.rfind('/') + 1).c_str(),
                tested_.backend.name.c_str(), relative, Tolerance(golden.prompt.size()));
    EXPECT_LE(relative, Tolerance(golden.prompt.size()));
  }

 private:
  // A layer's attention adds the error of its scores, which have a standard deviation of up to 2 (Q and K of 1.16,
  // 1.46 times as much with YaRN) and the relative error of their keys, and that of its values. `transformers`
  // computes the angles of RoPE in float: one is off by two roundings of itself, up to the last position. Its
  // other sums, and ours, are off by some tens of roundings.
  double Tolerance(size_t positions) const {
    constexpr double kUnit = 0x1p-24;
    const double kv = tested_.kv_rounding;
    const double angle = 2 * kUnit * static_cast<double>(positions), sums = 64 * kUnit;
    return std::sqrt(layers_ * ((2 * 2 + 1) * kv * kv + angle * angle + sums * sums));
  }

  absl::StatusOr<std::vector<float>> Logits(const std::vector<int32_t>& ids) {
    const int tokens = static_cast<int>(ids.size()), blocks = (tokens + kBlockTokens - 1) / kBlockTokens;
    ASSIGN_OR_RETURN(const std::unique_ptr<Checkpoint> checkpoint, OpenCheckpoint(model_path_));
    ASSIGN_OR_RETURN(const std::unique_ptr<Device> device, tested_.backend.create(2));
    ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, Model::Load(*checkpoint, *device, tokens));
    layers_ = model->config().layers;
    RETURN_IF_ERROR(model->AllocateKv(blocks));
    ASSIGN_OR_RETURN(const std::unique_ptr<Program> program,
                     device->Compile(model->ForwardGraph(tokens, tokens), nullptr));
    std::vector<int32_t> table(blocks), positions(tokens);
    std::iota(table.begin(), table.end(), 0);
    std::iota(positions.begin(), positions.end(), 0);
    const std::vector<int32_t> sequences(tokens, 0);
    std::vector<float> logits(static_cast<size_t>(tokens) * model->config().vocabulary);
    RETURN_IF_ERROR(program->Run({.token_ids = ids,
                                  .positions = positions,
                                  .sequences = sequences,
                                  .block_tables = table,
                                  .blocks_per_sequence = blocks,
                                  .output_rows = positions},
                                 absl::MakeSpan(logits)));
    return logits;
  }

  const TestedBackend tested_;
  const std::string model_path_, golden_path_;
  int layers_ = 0;
};

}  // namespace
}  // namespace spotinference

int main(int argc, char** argv) {
  using spotinference::GoldenTest;
  testing::InitGoogleTest(&argc, argv);
  const std::vector<spotinference::TestedBackend> backends = {{spotinference::ReferenceBackend(), 0},
                                                              {spotinference::CpuBackend(), 0x1p-11}};
  if (argc < 3 || argc % 2 == 0) return 2;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string file = argv[i], golden = argv[i + 1];
    const std::string name = golden.substr(golden.rfind('/') + 1, golden.size() - golden.rfind('/') - 5);
    const std::pair<std::string, std::string> forms[] = {{"gguf", file}, {"folder", file.substr(0, file.rfind('.'))}};
    for (const auto& tested : backends) {
      for (const auto& [form, model] : forms) {
        const std::string test = absl::StrCat(name, "_", form, "_", tested.backend.name);
        testing::RegisterTest("GoldenTest", test.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                              [=, model = model]() -> testing::Test* { return new GoldenTest(tested, model, golden); });
      }
    }
  }
  return RUN_ALL_TESTS();
}
