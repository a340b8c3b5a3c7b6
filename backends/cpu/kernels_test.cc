// Every table of kernels gives the portable one's bits, and the portable one is right.
#include "backends/cpu/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "backends/cpu/packed.h"
#include "engine/device/block.h"
#include "engine/device/tensor.h"

namespace spotinference::cpu {
namespace {

std::vector<float> Random(size_t n, unsigned seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> v(n);
  for (float& x : v) x = normal(random);
  return v;
}

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// A weight of random values in the file's own form, and what it means.
struct Weight {
  TensorView view;
  std::vector<std::byte> data;
  std::vector<float> values;  // [rows, columns]
};

// Where the halves of a quantised block lie; −1: there is none.
struct Halves {
  int d, m;
};
Halves HalvesOf(DType type) {
  switch (type) {
    case DType::kQ2_K: return {80, 82};
    case DType::kQ3_K: return {108, -1};
    case DType::kQ6_K: return {208, -1};
    default: return {0, ShapeOf(type).has_minimum ? 2 : -1};
  }
}

Weight RandomWeight(DType type, int rows, int columns, unsigned seed) {
  Weight w;
  std::mt19937 random(seed);
  w.data.resize(rows * RowBytes(type, columns));
  for (std::byte& b : w.data) b = static_cast<std::byte>(random());
  const std::vector<float> floats = Random(rows * columns, seed, 0.1f);
  const int block_bytes = Layout(type).block_bytes;
  for (size_t i = 0; i * block_bytes < w.data.size(); ++i) {
    std::byte* at = &w.data[i * block_bytes];
    const uint16_t d = FloatToHalf(floats[i % floats.size()]), m = FloatToHalf(floats[(i + 7) % floats.size()]);
    const uint32_t bits = std::bit_cast<uint32_t>(floats[i % floats.size()]);
    const uint16_t high = static_cast<uint16_t>(bits >> 16);
    switch (type) {
      case DType::kF32: std::memcpy(at, &bits, 4); break;
      case DType::kF16: std::memcpy(at, &d, 2); break;
      case DType::kBF16: std::memcpy(at, &high, 2); break;
      default:
        std::memcpy(at + HalvesOf(type).d, &d, 2);
        if (HalvesOf(type).m >= 0) std::memcpy(at + HalvesOf(type).m, &m, 2);
    }
  }
  w.view = {"w", type, rows, columns, w.data};
  w.values.resize(rows * columns);
  for (int r = 0; r < rows; ++r) DequantizeRow(w.view, r, absl::MakeSpan(&w.values[r * columns], columns));
  return w;
}

struct Rounded {
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<float> scaled_sum;
  std::vector<int16_t> pair_sum;
};

Rounded Quantize(const Kernels& k, const std::vector<float>& x, int rows, int columns) {
  Rounded out{std::vector<int8_t>(x.size()), std::vector<float>(x.size() / 32), std::vector<float>(x.size() / 32),
              std::vector<int16_t>(x.size() / 8)};
  for (int r = 0; r < rows; ++r) {
    const int block = r * columns / 32;
    k.quantize(&x[r * columns], columns,
               {&out.q[r * columns], &out.scale[block], &out.scaled_sum[block], &out.pair_sum[4 * block]});
  }
  return out;
}

std::vector<float> Matmul(const Kernels& k, const Weight& w, const std::vector<float>& x, int rows) {
  const int columns = static_cast<int>(w.view.columns), outputs = static_cast<int>(w.view.rows);
  const Packing packed = PackingOf(w.view.type);
  std::vector<std::byte> tiles(TileCount(outputs) * TileBytes(packed, columns));
  PackTiles(w.view, 0, TileCount(outputs), tiles.data());
  const Rounded r = columns % 32 == 0 ? Quantize(k, x, rows, columns) : Rounded{};
  std::vector<float> out(rows * outputs, -1);
  const MatmulInput in{x.data(), r.q.data(), r.scale.data(), r.scaled_sum.data(), r.pair_sum.data(), rows, columns};
  const MatmulWork work{tiles.data(), TileBytes(packed, columns), 0, static_cast<int>(TileCount(outputs)),
                        outputs, out.data(), outputs};
  k.matmul[static_cast<int>(packed)](in, work);
  return out;
}

class KernelsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    const Kernels* k = name == "avx2" ? Avx2Kernels() : name == "avx512" ? Avx512Kernels() : name == "amx" ? AmxKernels() : &PortableKernels();
    if (k == nullptr) GTEST_SKIP() << "this processor has no " << name;
    kernels_ = k;
  }
  const Kernels* kernels_ = nullptr;
};

TEST_P(KernelsTest, MatmulHasThePortableBits) {
  unsigned seed = 1;
  for (const DTypeLayout& layout : DTypes()) {
    const int columns = layout.block_elements > 32 ? 512 : 352;  // not only whole 256s
    for (const int rows : {1, 2, 3, 4, 7, 9, 16, 35, 75}) {
      for (const int outputs : {1, 37}) {
        const Weight w = RandomWeight(layout.type, outputs, columns, ++seed);
        const std::vector<float> x = Random(rows * columns, seed);
        EXPECT_TRUE(SameBits(Matmul(*kernels_, w, x, rows), Matmul(PortableKernels(), w, x, rows)))
            << layout.name << " " << rows << " rows, " << outputs << " outputs";
      }
    }
  }
}

TEST(PackedTest, ARowComesBackAsItWas) {
  for (const DTypeLayout& layout : DTypes()) {
    const int rows = 21, columns = 512;
    const Weight w = RandomWeight(layout.type, rows, columns, 11);
    const Packing packing = PackingOf(layout.type);
    std::vector<std::byte> tiles(TileCount(rows) * TileBytes(packing, columns));
    PackTiles(w.view, 0, TileCount(rows), tiles.data());
    for (int r = 0; r < rows; ++r) {
      std::vector<float> row(columns);
      UnpackRow(layout.type, tiles.data(), r, absl::MakeSpan(row));
      EXPECT_TRUE(SameBits(row, {w.values.begin() + r * columns, w.values.begin() + (r + 1) * columns}))
          << layout.name << " row " << r;
    }
  }
}

// The largest magnitudes that the formats allow: no integer sum may saturate. Without minima, so that the terms of a sum
// are at most four times the sum.
TEST_P(KernelsTest, ExtremesDoNotSaturate) {
  constexpr int kColumns = 256, kRows = 8;
  for (const DTypeLayout& layout : DTypes()) {
    if (!IsQuantized(PackingOf(layout.type))) continue;
    for (const int fill : {0x80, 0x7f, 0xff, 0x1f, 0x3f, 0x00}) {
      Weight w = RandomWeight(layout.type, 16, kColumns, 3);
      const Halves halves = HalvesOf(layout.type);
      for (size_t at = 0; at < w.data.size(); ++at) {
        const int i = static_cast<int>(at) % layout.block_bytes;
        if (halves.m >= 0 && (i == halves.m || i == halves.m + 1)) w.data[at] = std::byte{0};
        else if (i != halves.d && i != halves.d + 1) w.data[at] = static_cast<std::byte>(fill);
      }
      for (const float sign : {1.0f, -1.0f}) {
        const std::vector<float> x(kRows * kColumns, 2 * sign);
        const std::vector<float> got = Matmul(*kernels_, w, x, kRows), one = Matmul(*kernels_, w, x, 1);
        EXPECT_TRUE(SameBits(one, {got.end() - 16, got.end()})) << layout.name << " " << fill;
        for (int o = 0; o < 16; ++o) {
          std::vector<float> row(kColumns);
          DequantizeRow(w.view, o, absl::MakeSpan(row));
          double expected = 0, magnitude = 0;
          for (const float v : row) expected += 2.0 * sign * v, magnitude += 2 * std::abs(v);
          EXPECT_NEAR(got[o], expected, 4e-6 * magnitude) << layout.name << " " << fill;
        }
      }
    }
  }
}

// Against the sum in double over the rounded inputs: 3 roundings of 2^-24 a block of at most 3 blocks, and the products of
// an output's magnitudes bound what they apply to.
TEST_P(KernelsTest, MatmulIsRight) {
  for (const DTypeLayout& layout : DTypes()) {
    const int rows = 5, outputs = 33, columns = layout.block_elements > 32 ? 512 : 96;
    const Weight w = RandomWeight(layout.type, outputs, columns, 5);
    const std::vector<float> x = Random(rows * columns, 6);
    const Rounded r = Quantize(*kernels_, x, rows, columns);
    const std::vector<float> got = Matmul(*kernels_, w, x, rows);
    const bool rounds = IsQuantized(PackingOf(layout.type));
    for (int i = 0; i < rows; ++i) {
      for (int o = 0; o < outputs; ++o) {
        double expected = 0, magnitude = 0;
        for (int c = 0; c < columns; ++c) {
          const double a = rounds ? double{r.scale[(i * columns + c) / 32]} * r.q[i * columns + c] : x[i * columns + c];
          expected += a * w.values[o * columns + c];
          magnitude += std::abs(a * w.values[o * columns + c]);
        }
        ASSERT_NEAR(got[i * outputs + o], expected, magnitude * columns * 0x1p-24) << layout.name;
      }
    }
  }
}

TEST_P(KernelsTest, QuantizeRoundsToNearestEven) {
  std::vector<float> x(64);
  for (int i = 0; i < 32; ++i) x[i] = 0.5f * (i - 16);
  x[31] = 127;  // d = 1: halves are ties
  const Rounded r = Quantize(*kernels_, x, 1, 64);
  EXPECT_EQ(r.scale[0], 1);
  int sum[4] = {};  // of each half, the even and the odd pairs
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(r.q[i], std::nearbyint(x[i])) << x[i];
    sum[i / 16 * 2 + i / 2 % 2] += r.q[i];
  }
  for (int i = 0; i < 4; ++i) EXPECT_EQ(r.pair_sum[i], sum[i]);
  EXPECT_EQ(r.scaled_sum[0], sum[0] + sum[1] + sum[2] + sum[3]);
  EXPECT_EQ(r.scale[1], 0);  // all zero
  EXPECT_EQ(r.q[40], 0);
}

TEST_P(KernelsTest, RowOperationsHaveThePortableBitsAndAreRight) {
  for (const int n : {16, 32, 40, 64, 576, 100}) {
    const std::vector<float> a = Random(n, n, 3), b = Random(n, n + 1);
    std::vector<float> mine(n), portable(n);
    kernels_->silu_gate(a.data(), b.data(), n, mine.data());
    PortableKernels().silu_gate(a.data(), b.data(), n, portable.data());
    EXPECT_TRUE(SameBits(mine, portable));
    // e^x is good to a few units of 2^-23 over |x| ≤ 88.
    for (int i = 0; i < n; ++i) {
      EXPECT_NEAR(mine[i], a[i] / (1 + std::exp(-double{a[i]})) * b[i], 1e-6 * std::abs(a[i] * b[i]));
    }
    kernels_->gelu_gate(a.data(), b.data(), n, mine.data());
    PortableKernels().gelu_gate(a.data(), b.data(), n, portable.data());
    EXPECT_TRUE(SameBits(mine, portable));
    // An exponent z of up to 88 carries 3 roundings of 2^-24, and e^z as much of itself.
    for (int i = 0; i < n; ++i) {
      const double x = a[i], u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
      EXPECT_NEAR(mine[i], x / 2 * (1 + std::tanh(u)) * b[i], 88 * 3 * 0x1p-24 * std::abs(a[i] * b[i]));
    }
    kernels_->rms_norm(a.data(), b.data(), n, 1e-5f, mine.data());
    PortableKernels().rms_norm(a.data(), b.data(), n, 1e-5f, portable.data());
    EXPECT_TRUE(SameBits(mine, portable));
    double squares = 0;
    for (const float v : a) squares += double{v} * v;
    for (int i = 0; i < n; ++i) {
      EXPECT_NEAR(mine[i], a[i] / std::sqrt(squares / n + 1e-5) * b[i], 1e-6 * std::abs(b[i] * a[i]) + 1e-9);
    }
    kernels_->add(a.data(), b.data(), n, mine.data());
    for (int i = 0; i < n; ++i) EXPECT_EQ(mine[i], a[i] + b[i]);
  }
}

TEST_P(KernelsTest, GateOfExtremeInputs) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> a{-1000, -200, -87.5, -80, 0, 80, 1000, infinity}, b(8, 1);
  std::vector<float> out(8);
  for (const auto gate : {kernels_->silu_gate, kernels_->gelu_gate}) {
    gate(a.data(), b.data(), 8, out.data());
    for (int i = 0; i < 5; ++i) EXPECT_NEAR(out[i], 0, 1e-30) << a[i];
    for (int i = 5; i < 8; ++i) EXPECT_EQ(out[i], a[i]);
  }
}

struct AttentionCase {
  int kv_heads, group, head_dim, history, rows, window = 0;
};

class Cache {
 public:
  Cache(const AttentionCase& c, int positions) : pages_(positions / 16 + 2), memory_(pages_ * 2 * c.kv_heads * c.head_dim * 16, 0x7e00) {
    kv = {memory_.data(), c.kv_heads, c.head_dim};  // what was never written is NaN
    for (int i = 0; i < pages_; ++i) table.push_back((i * 7 + 3) % pages_);
  }
  KvPages kv;
  std::vector<int32_t> table;

 private:
  int pages_;
  std::vector<uint16_t> memory_;
};

void RunAttention(const Kernels& k, const AttentionCase& c, const std::vector<float>& keys,
                  const std::vector<float>& values, const std::vector<float>& q, int rows_at_once,
                  std::vector<float>* out) {
  const int positions = c.history + c.rows, kv_width = c.kv_heads * c.head_dim, width = kv_width * c.group;
  Cache cache(c, positions);
  for (int p = 0; p < positions; ++p) {
    k.store_kv(cache.kv, cache.table[p / 16], p % 16, &keys[p * kv_width], &values[p * kv_width]);
  }
  std::vector<float> scratch(AttentionScratch(c.head_dim));
  out->assign(c.rows * width, 0);
  for (int row = 0; row < c.rows; row += rows_at_once) {
    for (int h = 0; h < c.kv_heads; ++h) {
      k.attention(cache.kv,
                  {&q[row * width], &(*out)[row * width], width, std::min(rows_at_once, c.rows - row), c.history + row,
                   h * c.group, c.group, h, 0.125f, cache.table.data(), c.window},
                  scratch.data());
    }
  }
}

TEST_P(KernelsTest, AttentionHasOneResultAndIsRight) {
  for (const AttentionCase& c :
       {AttentionCase{3, 3, 64, 0, 1}, {3, 3, 64, 250, 20}, {1, 4, 32, 511, 9}, {2, 1, 128, 37, 5}, {1, 1, 16, 16, 2},
        // Windows that begin within a page, in an earlier piece, and that end before another row's begins.
        {2, 3, 32, 40, 12, 21}, {1, 4, 32, 505, 12, 250}, {1, 2, 16, 270, 16, 16}, {1, 4, 16, 20, 9, 1}}) {
    const int positions = c.history + c.rows, kv_width = c.kv_heads * c.head_dim, width = kv_width * c.group;
    const std::vector<float> keys = Random(positions * kv_width, 1), values = Random(positions * kv_width, 2);
    const std::vector<float> q = Random(c.rows * width, 3, 2);
    std::vector<float> alone, together, portable;
    RunAttention(*kernels_, c, keys, values, q, 1, &alone);
    RunAttention(*kernels_, c, keys, values, q, 8, &together);
    RunAttention(PortableKernels(), c, keys, values, q, 3, &portable);
    EXPECT_TRUE(SameBits(alone, together));
    EXPECT_TRUE(SameBits(alone, portable));
    for (int row = 0; row < c.rows; ++row) {
      for (int h = 0; h < c.kv_heads * c.group; ++h) {
        const int n = c.history + row + 1, first = c.window > 0 ? std::max(0, n - c.window) : 0;
        std::vector<double> weight(n);
        double sum = 0;
        const auto half = [](float x) { return double{HalfToFloat(FloatToHalf(x))}; };
        for (int p = first; p < n; ++p) {
          double dot = 0;
          for (int d = 0; d < c.head_dim; ++d) {
            dot += q[row * width + h * c.head_dim + d] * half(keys[p * kv_width + h / c.group * c.head_dim + d]);
          }
          weight[p] = dot * 0.125;
        }
        const double top = *std::max_element(weight.begin() + first, weight.end());
        for (int p = first; p < n; ++p) sum += weight[p] = std::exp(weight[p] - top);
        for (int d = 0; d < c.head_dim; ++d) {
          double expected = 0;
          for (int p = first; p < n; ++p) {
            expected += weight[p] / sum * half(values[p * kv_width + h / c.group * c.head_dim + d]);
          }
          // Scores of magnitude ≤ 40 carry an error of some 40 · 64 · 2^-24, and so do the weights.
          ASSERT_NEAR(alone[row * width + h * c.head_dim + d], expected, 2e-4);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, KernelsTest, testing::Values("portable", "avx2", "avx512", "amx"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace spotinference::cpu
