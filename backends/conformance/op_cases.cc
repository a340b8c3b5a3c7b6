#include "backends/conformance/op_cases.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/model/gguf.h"
#include "engine/model/model.h"

namespace spotinference::conformance {
namespace {

// The relative error of one rounding to float.
constexpr double kUnit = 0x1p-24;

// A factor rounded, and the other one, both in one direction.
double OfFactors(const Rounding& rounding) { return 4 * rounding.factors * rounding.factors; }

constexpr int kManyRows = 9;  // from where a backend may have other arithmetic (Rounding::factors)

// `roundings` of unit size, all in one direction.
auto Roundings(double roundings) {
  return [error = roundings * kUnit](const Rounding&) { return error * error; };
}

struct OwnedWeight {
  DType type;
  int rows, columns;
  std::vector<std::byte> data;

  TensorView view() const { return {"weight", type, rows, columns, data}; }
};

std::vector<float> RandomFloats(size_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// Where a block has its halves, and by what a random value is divided so that elements come out near it.
struct BlockScales {
  DType type;
  int d;
  float d_divisor;
  int m = -1;  // none
  float m_divisor = 1;
};
constexpr BlockScales kBlockScales[] = {
    {DType::kQ4_0, 0, 8},        {DType::kQ4_1, 0, 8, 2, -1},    {DType::kQ5_0, 0, 16},
    {DType::kQ5_1, 0, 16, 2, -1}, {DType::kQ8_0, 0, 64},          {DType::kIQ4_NL, 0, 64},
    {DType::kQ2_K, 80, 24, 82, 8}, {DType::kQ3_K, 108, 64},        {DType::kQ4_K, 0, 500, 2, 32},
    {DType::kQ5_K, 0, 1000, 2, 32}, {DType::kQ6_K, 208, 2000},      {DType::kIQ4_XS, 0, 1000},
};

// Every bit pattern that a quantiser may write: random quanta, with scales near those of a real
// weight.
OwnedWeight RandomWeight(DType type, int rows, int columns, std::mt19937& random) {
  const DTypeLayout& layout = Layout(type);
  OwnedWeight weight{type, rows, columns, std::vector<std::byte>(rows * RowBytes(type, columns))};
  std::normal_distribution<float> normal(0, 0.1f);
  const auto put = [](std::byte* at, auto value) { std::memcpy(at, &value, sizeof(value)); };
  const auto scales = absl::c_find_if(kBlockScales, [&](const BlockScales& s) { return s.type == type; });
  for (std::byte* at = weight.data.data(); at < weight.data.data() + weight.data.size();
       at += layout.block_bytes) {
    const float value = normal(random);
    if (scales == std::end(kBlockScales)) {
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      if (type == DType::kF32) put(at, value);
      if (type == DType::kF16) put(at, FloatToHalf(value));
      if (type == DType::kBF16) put(at, static_cast<uint16_t>(bits >> 16));
      continue;
    }
    for (int i = 0; i < layout.block_bytes; ++i) {
      at[i] = static_cast<std::byte>(random());
      // -128 never comes from a quantiser.
      if (type == DType::kQ8_0 && at[i] == std::byte{0x80}) at[i] = std::byte{0};
    }
    put(at + scales->d, FloatToHalf(value / scales->d_divisor));
    if (scales->m >= 0) put(at + scales->m, FloatToHalf(value / scales->m_divisor));
  }
  return weight;
}

int WholeBlocks(DType type, int columns) {
  const int block = Layout(type).block_elements;
  return (columns + block - 1) / block * block;
}

// `rows` sequences of one token each, at random positions, with random ids.
std::vector<Token> SingleTokens(int rows, int vocabulary, std::mt19937& random) {
  std::vector<Token> tokens;
  for (int r = 0; r < rows; ++r) {
    tokens.push_back(
        {r, static_cast<int>(random() % 8192), static_cast<int32_t>(random() % vocabulary)});
  }
  return tokens;
}

// A case of a single operation: tensors by width, the first ones inputs; then the operation,
// without its weight, and its weights: none, or the weight, or the weight and the bias.
Case OpCase(std::string name, std::vector<TensorSpec> tensors, int inputs, Op op, TensorId output,
            std::vector<OwnedWeight> weights, std::vector<Token> tokens, std::mt19937& random,
            std::vector<RopeAttributes> ropes = {}) {
  Case test;
  test.name = std::move(name);
  test.tokens = std::move(tokens);
  for (int i = 0; i < inputs; ++i)
    test.inputs.push_back(RandomFloats(test.tokens.size() * tensors[i].width, random));
  for (const TensorSpec& tensor : tensors)
    test.bytes += test.tokens.size() * tensor.width * sizeof(float);
  for (const OwnedWeight& weight : weights) test.bytes += weight.data.size();
  test.build = [=](Device& device, int, int max_tokens) -> absl::StatusOr<Built> {
    Built built;
    built.graph.tensors = tensors;
    for (int i = 0; i < inputs; ++i) built.graph.inputs.push_back(i);
    built.graph.output = output;
    built.graph.max_tokens = built.graph.max_outputs = max_tokens;
    built.graph.vocabulary = 1;
    built.graph.ropes = ropes;
    Op with_weight = op;
    for (const OwnedWeight& weight : weights) {
      const bool bias = &weight != &weights[0];
      const WeightUse use{.embed = op.kind == OpKind::kEmbed,
                          .matmul = op.kind == OpKind::kMatmul && !bias,
                          .vector = op.kind == OpKind::kRmsNorm || bias};
      ASSIGN_OR_RETURN(built.buffers.emplace_back(), device.LoadWeight(weight.view(), use, nullptr));
      (bias ? with_weight.bias : with_weight.weight) = built.buffers.back().get();
      if (use.embed) built.graph.vocabulary = weight.rows;
    }
    built.graph.ops = {with_weight};
    return built;
  };
  return test;
}

void AddMatmuls(std::vector<Case>& cases, std::mt19937& random) {
  struct Shape {
    int rows, columns, outputs;
  };
  constexpr Shape kShapes[] = {{1, 32, 1},   {2, 576, 64},   {3, 96, 17},
                               {7, 96, 131}, {8, 32, 48},    {17, 576, 131},
                               {33, 96, 64}, {64, 576, 192}, {1, 1536, 576}};
  for (const DTypeLayout& type : DTypes()) {
    for (const auto& [rows, inputs, outputs] : kShapes) {
      const int columns = WholeBlocks(type.type, inputs);
      Case test = OpCase(absl::StrCat("matmul_", type.name, "_", rows, "x", columns, "x", outputs),
                         {{columns}, {outputs}}, 1, {.kind = OpKind::kMatmul, .out = 1, .a = 0}, 1,
                         {RandomWeight(type.type, outputs, columns, random)},
                         SingleTokens(rows, 1, random), random);
      test.operations = 2.0 * rows * columns * outputs;
      // A running sum of n terms of random sign gathers √(n/2) roundings of its own size; n is
      // above that even where the terms of a block nearly cancel.
      test.tolerance = [sums = Roundings(std::sqrt(columns) * 4), many = rows >= kManyRows](const Rounding& rounding) {
        return sums(rounding) + (many ? OfFactors(rounding) : 0);
      };
      cases.push_back(std::move(test));
    }
  }
  for (const DType type : {DType::kF32, DType::kQ8_0, DType::kQ4_1}) {
    for (const auto& [rows, columns, outputs] : kShapes) {
      cases.push_back(OpCase(
          absl::StrCat("matmul_", Layout(type).name, "_", rows, "x", columns, "x", outputs, "_bias"),
          {{columns}, {outputs}}, 1, {.kind = OpKind::kMatmul, .out = 1, .a = 0}, 1,
          {RandomWeight(type, outputs, columns, random),
           RandomWeight(DType::kF32, 1, outputs, random)},
          SingleTokens(rows, 1, random), random));
      cases.back().tolerance = [sums = Roundings(std::sqrt(columns) * 4 + 1),
                                many = rows >= kManyRows](const Rounding& rounding) {
        return sums(rounding) + (many ? OfFactors(rounding) : 0);
      };
    }
  }
}

void AddRowOps(std::vector<Case>& cases, std::mt19937& random) {
  for (const int rows : {1, 3, 17, 64}) {
    for (const int width : {32, 96, 576}) {
      const auto add = [&](absl::string_view name, std::vector<TensorSpec> tensors, int inputs,
                           Op op, TensorId output, std::vector<OwnedWeight> weights,
                           double roundings, int vocabulary = 1) {
        cases.push_back(OpCase(absl::StrCat(name, "_", rows, "x", width), std::move(tensors),
                               inputs, op, output, std::move(weights),
                               SingleTokens(rows, vocabulary, random), random));
        cases.back().tolerance = Roundings(roundings);
      };
      for (const DTypeLayout& type : DTypes()) {
        // q · d + m loses more than its last bit only where the two nearly cancel.
        const auto scales = absl::c_find_if(kBlockScales, [&](const BlockScales& s) { return s.type == type.type; });
        const bool minimum = scales != std::end(kBlockScales) && scales->m >= 0;
        const int columns = WholeBlocks(type.type, width);
        add(absl::StrCat("embed_", type.name), {{columns}}, 0, {.kind = OpKind::kEmbed, .out = 0}, 0,
            {RandomWeight(type.type, 67, columns, random)}, minimum ? 4 : 0, 67);
      }
      // A sum of n squares, a division, a root and two products.
      add("rms_norm", {{width}, {width}}, 1,
          {.kind = OpKind::kRmsNorm, .out = 1, .a = 0, .epsilon = 1e-5f}, 1,
          {RandomWeight(DType::kF32, 1, width, random)}, std::sqrt(width) + 5);
      for (const bool in_place : {false, true}) {
        add(in_place ? "rms_norm_of_heads_in_place" : "rms_norm_of_heads",
            {{3 * width}, {3 * width}}, 1,
            {.kind = OpKind::kRmsNorm, .out = in_place ? 0 : 1, .a = 0, .epsilon = 1e-6f},
            in_place ? 0 : 1, {RandomWeight(DType::kF32, 1, width, random)}, std::sqrt(width) + 5);
      }
      add("embed_scaled", {{width}}, 0, {.kind = OpKind::kEmbed, .out = 0, .embedding_scale = 5.5f},
          0, {RandomWeight(DType::kF32, 67, width, random)}, 1, 67);
      // The exponent, below 32 here, has three roundings, and so has e to its power.
      add("gelu_gate", {{width}, {width}, {width}}, 2,
          {.kind = OpKind::kGate, .out = 2, .a = 0, .b = 1, .activation = Activation::kGeluTanh}, 2,
          {}, 3 * 32);
      // exp in float is good to some units in the last place; then three operations.
      add("gate", {{width}, {width}, {width}}, 2, {.kind = OpKind::kGate, .out = 2, .a = 0, .b = 1},
          2, {}, 8);
      add("gate_in_place", {{width}, {width}}, 2, {.kind = OpKind::kGate, .out = 0, .a = 0, .b = 1},
          0, {}, 8);
      add("add", {{width}, {width}, {width}}, 2, {.kind = OpKind::kAdd, .out = 2, .a = 0, .b = 1},
          2, {}, 0);
      add("add_in_place", {{width}, {width}}, 2, {.kind = OpKind::kAdd, .out = 0, .a = 0, .b = 1},
          0, {}, 0);
      add("gather_rows", {{width}, {width, Rows::kOutputs}}, 1,
          {.kind = OpKind::kGatherRows, .out = 1, .a = 0}, 1, {}, 0);
    }
  }
}

void AddRopes(std::vector<Case>& cases, std::mt19937& random) {
  for (const int rows : {1, 3, 17, 64}) {
    for (const int head_dim : {32, 64, 128}) {
      for (const bool interleaved : {true, false}) {
        const Op op{.kind = OpKind::kRope, .out = 0, .a = 0, .rope = 1};
        // A second one beside it, as in a model with windows.
        std::vector<RopeAttributes> ropes(2, {.head_dim = head_dim, .interleaved = interleaved});
        ropes[1].magnitude = head_dim == 64 ? 1.25f : 1;
        const int pairs = head_dim == 128 ? 32 : head_dim / 2;
        for (int i = 0; i < pairs; ++i) {
          ropes[0].frequencies.push_back(1);
          ropes[1].frequencies.push_back(std::pow(1e5, -double(i) / pairs));
        }
        cases.push_back(OpCase(
            absl::StrCat("rope_", interleaved ? "interleaved_" : "halves_", rows, "x3x", head_dim),
            {{3 * head_dim}}, 1, op, 0, {}, SingleTokens(rows, 1, random), random, ropes));
        // The angle has to be right at position 8191, so it and its frequency need more than a
        // float; then sine, cosine, two products and a sum.
        cases.back().tolerance = Roundings(5);
      }
    }
  }
}

std::vector<Token> SequencesOf(absl::Span<const int> lengths, int vocabulary,
                               std::mt19937& random) {
  std::vector<Token> tokens;
  for (int s = 0; s < lengths.size(); ++s) {
    for (int p = 0; p < lengths[s]; ++p)
      tokens.push_back({s, p, static_cast<int32_t>(random() % vocabulary)});
  }
  return tokens;
}

void AddAttention(std::vector<Case>& cases, std::mt19937& random) {
  struct Shape {
    int heads, kv_heads, head_dim;
    std::vector<int> lengths;
    int window = 0;
  };
  const std::vector<Shape> shapes = {
      {2, 2, 32, {1, 15, 16, 17}},         {9, 3, 64, {1, 40, 255, 256, 257}},
      {4, 1, 128, {33, 2, 300}},           {3, 1, 64, {530, 5}},
      {4, 4, 64, {31, 64, 520}},           {1, 1, 32, {1}},
      {8, 2, 32, std::vector<int>(32, 7)},
      // Windows: of one page and of none, within a piece of 256, over its border, longer than all.
      {4, 2, 32, {40, 16, 17}, 16},        {2, 1, 64, {19, 1}, 1},
      {3, 1, 96, {300, 90, 21}, 20},       {9, 3, 64, {530, 270}, 250},
      {2, 2, 256, {30}, 512},              {4, 1, 32, {600}, 512},
  };
  for (const Shape& shape : shapes) {
    const AttentionAttributes attributes{shape.heads, shape.kv_heads, shape.head_dim,
                                         1 / std::sqrt(float(shape.head_dim)), shape.window};
    const int q_width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
    Case test;
    test.tokens = SequencesOf(shape.lengths, 1, random);
    test.name =
        absl::StrCat("attention_", shape.heads, "/", shape.kv_heads, "x", shape.head_dim, "_",
                     shape.lengths.size(), "_sequences_", test.tokens.size(), "_tokens",
                     shape.window > 0 ? absl::StrCat("_window_", shape.window) : "");
    test.uses_kv = true;
    for (const int width : {q_width, kv_width, kv_width}) {
      test.inputs.push_back(RandomFloats(test.tokens.size() * width, random));
    }
    for (const Token& token : test.tokens) {
      const int seen = std::min(token.position + 1, shape.window > 0 ? shape.window : 1 << 30);
      test.operations += 4.0 * q_width * seen;
      test.bytes += 2.0 * kv_width * sizeof(float) * seen;
    }
    // A score is a sum of terms that each carry the error of one key, of the score's own variance,
    // 1, so it moves every weight by about that; each value carries as much again. Sums and exp add
    // some roundings of a float, a weight exp(s) the rounding of a score of about 4, and a long sum
    // √n more.
    test.tolerance = [](const Rounding& rounding) {
      return 2 * rounding.kv * rounding.kv + 64 * 64 * kUnit * kUnit;
    };
    test.build = [=](Device& device, int blocks, int max_tokens) -> absl::StatusOr<Built> {
      Built built;
      built.graph.tensors = {{q_width}, {kv_width}, {kv_width}, {q_width}};
      built.graph.inputs = {0, 1, 2};
      built.graph.output = 3;
      built.graph.max_tokens = built.graph.max_outputs = max_tokens;
      built.graph.vocabulary = 1;
      ASSIGN_OR_RETURN(built.buffers.emplace_back(), device.AllocateKv(attributes, blocks));
      Buffer* const kv = built.buffers.back().get();
      built.graph.ops = {
          {.kind = OpKind::kStoreKv, .a = 1, .b = 2, .kv = kv, .attention = attributes},
          {.kind = OpKind::kAttention, .out = 3, .a = 0, .kv = kv, .attention = attributes}};
      return built;
    };
    cases.push_back(std::move(test));
  }
}

}  // namespace

std::vector<Case> OpCases() {
  std::mt19937 random(20261125);
  std::vector<Case> cases;
  AddMatmuls(cases, random);
  AddRowOps(cases, random);
  AddRopes(cases, random);
  AddAttention(cases, random);
  return cases;
}

absl::StatusOr<Case> ModelCase(const std::string& path, int longest) {
  ASSIGN_OR_RETURN(std::shared_ptr<const GgufFile> file, GgufFile::Open(path));
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(*file));
  std::mt19937 random(7);
  std::vector<int> lengths = {1, std::min(16, longest), std::min(17, longest), longest};
  while (lengths.size() < 32) lengths.push_back(1 + random() % std::min(longest, 24));
  Case test;
  test.name = absl::StrCat("model_", path.substr(path.rfind('/') + 1));
  test.tokens = SequencesOf(lengths, config.vocabulary, random);
  test.uses_kv = true;
  test.build = [file](Device& device, int blocks, int max_tokens) -> absl::StatusOr<Built> {
    ASSIGN_OR_RETURN(std::shared_ptr<Model> model, Model::Load(*file, device));
    RETURN_IF_ERROR(model->AllocateKv(blocks));
    return Built{.graph = model->ForwardGraph(max_tokens, max_tokens), .owner = model};
  };
  bool quantised = false;
  for (const TensorView& tensor : file->tensors()) {
    test.bytes += tensor.data.size();
    if (tensor.rows > 1) test.operations += 2.0 * tensor.rows * tensor.columns * test.tokens.size();
    quantised |= Layout(tensor.type).block_elements > 1;
  }
  // Every layer's attention adds its error (see AddAttention), every matmul its float sums. Where
  // activations are rounded to int8, the least difference decides some roundings otherwise, those
  // decide more, and after a layer or two the roundings of the two runs have little to do with each
  // other. Each rounding is off by up to half of its step, which is the largest of 32 values,
  // some 2.4 of their root mean square, over 127; each layer has seven matmuls, and both runs are
  // off.
  constexpr double kRounding = 2.4 * 2.4 / (127.0 * 127.0) / 12;
  test.tolerance = [layers = config.layers, quantised](const Rounding& rounding) {
    return layers * (2 * rounding.kv * rounding.kv + 64 * 64 * kUnit * kUnit) + (7 * layers + 1) * OfFactors(rounding) +
           (quantised && rounding.activations ? 2 * (7 * layers + 1) * kRounding : 0);
  };
  return test;
}

}  // namespace spotinference::conformance
