#include "engine/model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backends/reference/reference_device.h"
#include "engine/model/gguf.h"

namespace spotinference {
namespace {

using ::testing::HasSubstr;

using Integers = std::map<std::string, uint32_t>;
using Floats = std::map<std::string, float>;
using Tensors = std::map<std::string, std::vector<uint64_t>>;

// A llama model of zeros, F32, as a GGUF file in memory. Tests change what they want wrong.
struct Source {
  std::string architecture = "llama";
  Integers integers = {{"llama.context_length", 64},      {"llama.block_count", 2},
                       {"llama.embedding_length", 32},    {"llama.feed_forward_length", 48},
                       {"llama.attention.head_count", 4}, {"llama.attention.head_count_kv", 2},
                       {"llama.rope.dimension_count", 8}, {"llama.vocab_size", 5}};
  Floats floats = {{"llama.attention.layer_norm_rms_epsilon", 1e-5f},
                   {"llama.rope.freq_base", 10000}};
  std::map<std::string, std::string> strings;
  Tensors tensors = {{"token_embd.weight", {32, 5}}, {"output_norm.weight", {32}}};

  Source() {
    for (const std::string layer : {"blk.0.", "blk.1."}) {
      tensors.insert({{layer + "attn_norm.weight", {32}},
                      {layer + "attn_q.weight", {32, 32}},
                      {layer + "attn_k.weight", {32, 16}},
                      {layer + "attn_v.weight", {32, 16}},
                      {layer + "attn_output.weight", {32, 32}},
                      {layer + "ffn_norm.weight", {32}},
                      {layer + "ffn_gate.weight", {32, 48}},
                      {layer + "ffn_up.weight", {32, 48}},
                      {layer + "ffn_down.weight", {48, 32}}});
    }
  }

  std::string Bytes() const {
    std::string out;
    const auto put = [&out](auto value) {
      out.append(reinterpret_cast<const char*>(&value), sizeof(value));
    };
    const auto put_string = [&](const std::string& s) { put(uint64_t{s.size()}), out += s; };
    put(uint32_t{0x46554747}), put(uint32_t{3}), put(uint64_t{tensors.size()});
    put(uint64_t{1 + integers.size() + floats.size() + strings.size()});
    put_string("general.architecture"), put(uint32_t{8}), put_string(architecture);
    for (const auto& [key, value] : integers) put_string(key), put(uint32_t{4}), put(value);
    for (const auto& [key, value] : floats) put_string(key), put(uint32_t{6}), put(value);
    for (const auto& [key, value] : strings) put_string(key), put(uint32_t{8}), put_string(value);
    uint64_t offset = 0;
    for (const auto& [name, dimensions] : tensors) {
      put_string(name), put(static_cast<uint32_t>(dimensions.size()));
      uint64_t elements = 1;
      for (uint64_t d : dimensions) put(d), elements *= d;
      put(uint32_t{0}), put(offset);
      offset += (elements * 4 + 31) / 32 * 32;
    }
    out.resize((out.size() + 31) / 32 * 32 + offset);
    return out;
  }
};

// The same sizes in another family.
Source SourceOf(const Family& family) {
  Source source;
  const std::string name(family.architecture);
  source.architecture = name;
  Integers integers = {{name + ".attention.sliding_window", 20}};
  for (const auto& [key, value] : source.integers) integers[name + key.substr(5)] = value;
  source.integers = integers;
  source.floats = {{name + ".attention.layer_norm_rms_epsilon", 1e-5f}};
  const auto width = [](Slot slot) -> uint64_t {
    if (slot == Slot::kKey || slot == Slot::kValue) return 16;
    return slot == Slot::kGate || slot == Slot::kUp ? 48 : 32;
  };
  source.tensors = {{"token_embd.weight", {32, 5}}, {"output_norm.weight", {32}}};
  for (const std::string layer : {"blk.0.", "blk.1."}) {
    for (const LayerStep& step : family.layer) {
      const std::string tensor = layer + std::string(step.weight);
      if (step.weight.empty()) continue;
      if (step.kind == OpKind::kRmsNorm) {
        const bool of_heads = step.a == Slot::kQuery || step.a == Slot::kKey;
        source.tensors[tensor + ".weight"] = {of_heads ? 8 : width(step.a)};
        continue;
      }
      auto& weight = source.tensors.insert({tensor + ".weight", {width(step.a), 0}}).first->second;
      weight[1] += width(step.out);
      if (step.bias) source.tensors[tensor + ".bias"] = {weight[1]};
    }
  }
  return source;
}

absl::Status LoadStatus(const Source& source) {
  const std::string bytes = source.Bytes();
  const auto file =
      GgufFile::Parse({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
  if (!file.ok()) return file.status();
  const std::unique_ptr<Device> device = *ReferenceBackend().create(1);
  return Model::Load(**file, *device).status();
}

template <typename Change>
void ExpectRefused(absl::StatusCode code, const std::string& message, Change change) {
  Source source;
  change(source);
  const absl::Status status = LoadStatus(source);
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

TEST(Model, LoadsTheSmallestFile) {
  Source source;
  EXPECT_TRUE(LoadStatus(source).ok()) << LoadStatus(source);
  source.tensors["output.weight"] = {32, 5};
  EXPECT_TRUE(LoadStatus(source).ok()) << LoadStatus(source);
}

TEST(Model, ChecksEveryNumber) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const auto integer = [](std::string key, uint32_t value) {
    return [=](Source& s) { s.integers["llama." + key] = value; };
  };
  ExpectRefused(kInvalid, "'llama.block_count': 0 is outside of [1, 1024]",
                integer("block_count", 0));
  ExpectRefused(kInvalid, "'llama.block_count': 4294967295 is outside",
                integer("block_count", ~0u));
  ExpectRefused(kInvalid, "'llama.context_length': 0 is outside", integer("context_length", 0));
  ExpectRefused(kInvalid, "'llama.embedding_length': 1000000000 is outside",
                integer("embedding_length", 1000000000));
  ExpectRefused(kInvalid, "'llama.feed_forward_length': 0 is outside",
                integer("feed_forward_length", 0));
  ExpectRefused(kInvalid, "'llama.attention.head_count': 0 is outside",
                integer("attention.head_count", 0));
  ExpectRefused(kInvalid, "6 does not divide the width, 32", integer("attention.head_count", 6));
  ExpectRefused(kInvalid, "'llama.attention.head_count': 32 heads of 1 elements",
                integer("attention.head_count", 32));
  ExpectRefused(kInvalid, "'llama.attention.head_count_kv': 3 does not divide 4 heads",
                integer("attention.head_count_kv", 3));
  ExpectRefused(kInvalid, "'llama.attention.head_count_kv': 5 is outside of [1, 4]",
                integer("attention.head_count_kv", 5));
  ExpectRefused(kInvalid, "'llama.attention.value_length': 4 is not the length of a key, 8",
                integer("attention.value_length", 4));
  ExpectRefused(kInvalid, "'llama.rope.dimension_count': 10 is outside of [2, 8]",
                integer("rope.dimension_count", 10));
  ExpectRefused(kInvalid, "'llama.rope.dimension_count': 3 is odd",
                integer("rope.dimension_count", 3));
  ExpectRefused(kInvalid, "'llama.vocab_size': 6, but tensor 'token_embd.weight' has 5 rows",
                integer("vocab_size", 6));
  ExpectRefused(kInvalid, "'llama.rope.freq_base': nan is outside",
                [](Source& s) { s.floats["llama.rope.freq_base"] = NAN; });
  ExpectRefused(kInvalid, "layer_norm_rms_epsilon': 0 is outside",
                [](Source& s) { s.floats["llama.attention.layer_norm_rms_epsilon"] = 0; });
  const auto real = [](std::string key, float value) {
    return [=](Source& s) { s.floats["llama." + key] = value; };
  };
  ExpectRefused(kInvalid, "'llama.rope.freq_base': 1 is outside", real("rope.freq_base", 1));
  ExpectRefused(kInvalid, "'llama.rope.scaling.factor': -2 is outside",
                real("rope.scaling.factor", -2));
  ExpectRefused(kInvalid, "'llama.rope.scaling.high_freq_factor': 1 is not above low_freq_factor, 1",
                real("rope.scaling.high_freq_factor", 1));
  ExpectRefused(kInvalid, "'llama.attention.scale': 0 is outside", real("attention.scale", 0));
  ExpectRefused(absl::StatusCode::kNotFound, "key 'llama.block_count' is missing",
                [](Source& s) { s.integers.erase("llama.block_count"); });
}

TEST(Model, ChecksEveryTensor) {
  const Source good;
  for (const auto& [name, dimensions] : good.tensors) {
    ExpectRefused(absl::StatusCode::kNotFound, "tensor '" + name + "' is missing",
                  [&](Source& s) { s.tensors.erase(name); });
    if (name == "token_embd.weight") continue;
    ExpectRefused(absl::StatusCode::kInvalidArgument,
                  "tensor '" + name + "': ", [&](Source& s) { s.tensors[name].back() += 1; });
  }
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor 'token_embd.weight': 5 rows of 31 elements; 5 rows of 32",
                [](Source& s) { s.tensors["token_embd.weight"] = {31, 5}; });
  ExpectRefused(absl::StatusCode::kInvalidArgument, "tensor 'output.weight': 6 rows of 32",
                [](Source& s) { s.tensors["output.weight"] = {32, 6}; });
  ExpectRefused(absl::StatusCode::kInvalidArgument, "tensor 'blk.1.attn_q.bias': 1 rows of 16",
                [](Source& s) { s.tensors["blk.1.attn_q.bias"] = {16}; });
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor 'rope_freqs.weight': 1 rows of 5 elements; 1 row of 4 is expected",
                [](Source& s) { s.tensors["rope_freqs.weight"] = {5}; });
  const auto long_rope = [](Source& s) {
    s.strings["llama.rope.scaling.type"] = "longrope";
    s.integers["llama.rope.scaling.original_context_length"] = 32;
  };
  ExpectRefused(absl::StatusCode::kNotFound, "tensor 'rope_factors_short.weight' is missing", long_rope);
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor 'rope_factors_short.weight': 1 rows of 3 elements", [&](Source& s) {
                  long_rope(s);
                  s.tensors["rope_factors_short.weight"] = {3};
                });
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor 'rope_freqs.weight' stands beside those of LongRoPE", [&](Source& s) {
                  long_rope(s);
                  s.tensors["rope_freqs.weight"] = {4};
                });
  // All tensors here are zeros.
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor 'rope_freqs.weight': element 0 is outside of (0, 1e+06]",
                [](Source& s) { s.tensors["rope_freqs.weight"] = {4}; });
}

TEST(Model, RefusesVariantsByName) {
  constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;
  ExpectRefused(kUnimplemented, "'general.architecture': 'mamba'; supported: llama",
                [](Source& s) { s.architecture = "mamba"; });
  ExpectRefused(kUnimplemented,
                "'llama.rope.scaling.type': 'dynamic' is not supported; none, linear, yarn, llama3 and longrope are",
                [](Source& s) { s.strings["llama.rope.scaling.type"] = "dynamic"; });
  ExpectRefused(kUnimplemented, "'llama.rope.scaling.yarn_log_multiplier': 0.5 is not supported",
                [](Source& s) { s.floats["llama.rope.scaling.yarn_log_multiplier"] = 0.5f; });
  ExpectRefused(kUnimplemented, "'llama.final_logit_softcapping': 30 is not supported",
                [](Source& s) { s.floats["llama.final_logit_softcapping"] = 30; });
  ExpectRefused(kUnimplemented, "'llama.expert_count': 8 is not supported",
                [](Source& s) { s.integers["llama.expert_count"] = 8; });
  ExpectRefused(kUnimplemented,
                "tensor 'blk.0.attn_sinks.weight': architecture llama with it is not supported",
                [](Source& s) { s.tensors["blk.0.attn_sinks.weight"] = {4}; });
  Source harmless;
  harmless.strings["llama.rope.scaling.type"] = "none";
  harmless.integers["llama.attention.sliding_window"] = 64;
  EXPECT_TRUE(LoadStatus(harmless).ok());
}

ModelConfig Config(const Source& source) {
  const std::string bytes = source.Bytes();
  const auto file =
      GgufFile::Parse({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
  const absl::StatusOr<ModelConfig> config = ReadModelConfig(**file);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : ModelConfig();
}

TEST(ModelConfig, WindowsOfAllLayersOrOfSome) {
  Source mistral;
  mistral.integers["llama.attention.sliding_window"] = 20;
  for (const int layer : {0, 5, 6}) EXPECT_EQ(Config(mistral).LayerAttention(layer).window, 20);
  EXPECT_FALSE(Config(mistral).HasWindowRope());

  Source gemma = SourceOf(**FindFamily("gemma3"));
  gemma.floats["gemma3.rope.freq_base"] = 1e6;
  const ModelConfig config = Config(gemma);
  for (const int layer : {0, 4, 6, 10}) EXPECT_EQ(config.LayerAttention(layer).window, 20);
  for (const int layer : {5, 11}) EXPECT_EQ(config.LayerAttention(layer).window, 0);
  EXPECT_TRUE(config.HasWindowRope());
  EXPECT_FLOAT_EQ(config.rope.frequencies[1], std::pow(1e6, -0.25));
  EXPECT_FLOAT_EQ(config.window_rope.frequencies[1], std::pow(1e4, -0.25));

  gemma.integers["gemma3.attention.sliding_window_pattern"] = 2;
  EXPECT_FALSE(Config(gemma).HasWindow(1));
  gemma.integers.erase("gemma3.attention.sliding_window");
  EXPECT_THAT(std::string(LoadStatus(gemma).message()),
              HasSubstr("key 'gemma3.attention.sliding_window' is missing"));
}

// By the head's size, but in the 27B variant of gemma3, which has 62 layers, by width/heads; a key
// of its own counts more than both.
TEST(ModelConfig, ScaleOfScores) {
  Source gemma = SourceOf(**FindFamily("gemma3"));
  gemma.integers["gemma3.attention.key_length"] = 16;
  gemma.integers["gemma3.attention.value_length"] = 16;
  EXPECT_FLOAT_EQ(Config(gemma).attention.scale, 0.25f);
  gemma.integers["gemma3.block_count"] = 62;
  EXPECT_FLOAT_EQ(Config(gemma).attention.scale, 1 / std::sqrt(32.0f / 4));
  gemma.floats["gemma3.attention.scale"] = 0.5f;
  EXPECT_FLOAT_EQ(Config(gemma).attention.scale, 0.5f);
  EXPECT_FLOAT_EQ(Config(gemma).embedding_scale, std::sqrt(32.0f));
}

// Every tensor that a family's table names has to be there.
TEST(Model, ChecksTheTensorsOfAllFamilies) {
  for (const Family& family : Families()) {
    const Source good = SourceOf(family);
    EXPECT_TRUE(LoadStatus(good).ok()) << LoadStatus(good);
    for (const auto& [name, dimensions] : good.tensors) {
      Source source = good;
      source.tensors.erase(name);
      EXPECT_THAT(std::string(LoadStatus(source).message()), HasSubstr("tensor '" + name + "' is missing"));
    }
  }
}

// Every family's graph reads only what an earlier operation wrote, and computes no row past the
// last attention that has no output.
TEST(Model, GraphsOfAllFamiliesAreInOrder) {
  for (const Family& family : Families()) {
    const std::string bytes = SourceOf(family).Bytes();
    const auto file =
        GgufFile::Parse({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
    const std::unique_ptr<Device> device = *ReferenceBackend().create(1);
    const auto model = Model::Load(**file, *device);
    ASSERT_TRUE(model.ok()) << family.architecture << ": " << model.status();
    ASSERT_TRUE((*model)->AllocateKv(3).ok());
    // Two layers of 2 heads of 8 floats, keys and values.
    EXPECT_EQ(*(*model)->KvBlockBytes(), 2 * kBlockTokens * 2 * 8 * 4 * 2);
    const Graph graph = (*model)->ForwardGraph(16, 2);
    std::set<TensorId> written;
    bool gathered = false;
    for (const Op& op : graph.ops) {
      for (TensorId id : {op.a, op.b})
        EXPECT_TRUE(id == kNoTensor || written.count(id)) << "operation " << &op - &graph.ops[0];
      written.insert(op.out);
      gathered |= op.kind == OpKind::kGatherRows;
      if (gathered) {
        EXPECT_EQ(graph.tensors[op.out].rows, Rows::kOutputs);
      }
    }
    EXPECT_TRUE(gathered);
    EXPECT_TRUE(written.count(graph.output));
    EXPECT_EQ(graph.tensors[graph.output].width, 5);
    EXPECT_TRUE(device->Compile(graph, nullptr).ok());
  }
}

}  // namespace
}  // namespace spotinference
