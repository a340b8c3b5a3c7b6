#include "backends/reference/reference_ops.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

namespace spotinference::reference {
namespace {

// Calls body(i) for i in [0, count), a contiguous share on each thread.
template <typename Body>
void ParallelFor(int count, int threads, const Body& body) {
  const auto share = [&](int k) {
    for (int64_t i = int64_t{count} * k / threads; i < int64_t{count} * (k + 1) / threads; ++i)
      body(static_cast<int>(i));
  };
  std::vector<std::thread> others;
  for (int k = 1; k < threads; ++k) others.emplace_back(share, k);
  share(0);
  for (std::thread& other : others) other.join();
}

// Eight partial sums, so that the compiler may use vectors; their order is part of
// info().arithmetic.
template <typename T>
[[gnu::always_inline]] inline double Dot(const T* a, const T* b, int count) {
  double sums[8] = {};
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int j = 0; j < 8; ++j) sums[j] += static_cast<double>(a[i + j]) * b[i + j];
  }
  for (; i < count; ++i) sums[i % 8] += static_cast<double>(a[i]) * b[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

// The same additions in the same order; AVX2 only makes them twice as fast.
[[gnu::target_clones("avx2", "default")]] double DotOfDoubles(const double* a, const double* b,
                                                              int count) {
  return Dot(a, b, count);
}

}  // namespace

int KvRow(const StepInput& input, int t, int position) {
  const int64_t entry =
      int64_t{input.sequences[t]} * input.blocks_per_sequence + position / kBlockTokens;
  return input.block_tables[entry] * kBlockTokens + position % kBlockTokens;
}

void Embed(const Matrix& weight, absl::Span<const int32_t> ids, float scale, Matrix& out) {
  for (int t = 0; t < out.rows; ++t) {
    for (int i = 0; i < out.columns; ++i) out.row(t)[i] = weight.row(ids[t])[i] * scale;
  }
}

void RmsNorm(const Matrix& in, const Matrix& weight, float epsilon, Matrix& out) {
  const int width = weight.columns;
  for (size_t at = 0; at < in.values.size(); at += width) {
    const float* const x = &in.values[at];
    const double mean_square = Dot(x, x, width) / width;
    const double scale = 1 / std::sqrt(mean_square + epsilon);
    for (int i = 0; i < width; ++i)
      out.values[at + i] = static_cast<float>(x[i] * scale * weight.row(0)[i]);
  }
}

void Matmul(const Matrix& in, const Matrix& weight, const Matrix* bias, int threads, Matrix& out) {
  constexpr int kTile = 32;  // rows of `in` that stay in the cache while the weight goes by
  const std::vector<double> x(in.values.begin(), in.values.end());
  for (int begin = 0; begin < in.rows; begin += kTile) {
    ParallelFor(weight.rows, threads, [&](int o) {
      const std::vector<double> w(weight.row(o), weight.row(o) + weight.columns);
      for (int t = begin; t < std::min(begin + kTile, in.rows); ++t) {
        const double sum =
            DotOfDoubles(&x[static_cast<size_t>(t) * in.columns], w.data(), in.columns);
        out.row(t)[o] = static_cast<float>(bias == nullptr ? sum : sum + bias->row(0)[o]);
      }
    });
  }
}

void Rope(const RopeAttributes& attributes, absl::Span<const int32_t> positions, Matrix& inout) {
  for (int i = 0; i < attributes.pairs(); ++i) {
    const double frequency = attributes.frequencies[i];
    const int first = attributes.interleaved ? 2 * i : i;
    const int second = attributes.interleaved ? 2 * i + 1 : i + attributes.pairs();
    for (int t = 0; t < inout.rows; ++t) {
      const double cosine = std::cos(positions[t] * frequency) * attributes.magnitude;
      const double sine = std::sin(positions[t] * frequency) * attributes.magnitude;
      for (float* head = inout.row(t); head < inout.row(t) + inout.columns;
           head += attributes.head_dim) {
        const double x = head[first], y = head[second];
        head[first] = static_cast<float>(x * cosine - y * sine);
        head[second] = static_cast<float>(x * sine + y * cosine);
      }
    }
  }
}

void StoreKv(const Matrix& keys, const Matrix& values, const StepInput& input, KvCache& kv) {
  for (int t = 0; t < keys.rows; ++t) {
    const int row = KvRow(input, t, input.positions[t]);
    std::copy_n(keys.row(t), keys.columns, kv.keys.row(row));
    std::copy_n(values.row(t), values.columns, kv.values.row(row));
  }
}

void Attention(const Matrix& queries, const KvCache& kv, const AttentionAttributes& shape,
               const StepInput& input, int threads, Matrix& out) {
  ParallelFor(queries.rows * shape.heads, threads, [&](int index) {
    const int t = index / shape.heads, head = index % shape.heads;
    const int kv_offset = head / (shape.heads / shape.kv_heads) * shape.head_dim;
    const float* const query = queries.row(t) + head * shape.head_dim;
    const int length = input.positions[t] + 1;
    const int first = shape.window > 0 ? std::max(0, length - shape.window) : 0;

    std::vector<double> weights(length);
    double largest = -std::numeric_limits<double>::infinity();
    for (int p = first; p < length; ++p) {
      weights[p] =
          shape.scale * Dot(query, kv.keys.row(KvRow(input, t, p)) + kv_offset, shape.head_dim);
      largest = std::max(largest, weights[p]);
    }
    double total = 0;
    std::vector<double> mix(shape.head_dim);
    for (int p = first; p < length; ++p) {
      const double weight = std::exp(weights[p] - largest);
      const float* const value = kv.values.row(KvRow(input, t, p)) + kv_offset;
      total += weight;
      for (int i = 0; i < shape.head_dim; ++i) mix[i] += weight * value[i];
    }
    float* const to = out.row(t) + head * shape.head_dim;
    for (int i = 0; i < shape.head_dim; ++i) to[i] = static_cast<float>(mix[i] / total);
  });
}

void Gate(Activation activation, const Matrix& a, const Matrix& b, Matrix& out) {
  for (size_t i = 0; i < a.values.size(); ++i) {
    const double x = a.values[i];
    double active = 0;
    switch (activation) {
      case Activation::kSilu:
        active = x / (1 + std::exp(-x));
        break;
      case Activation::kGeluTanh:
        active = x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
        break;
    }
    out.values[i] = static_cast<float>(active * b.values[i]);
  }
}

void Add(const Matrix& a, const Matrix& b, Matrix& out) {
  for (size_t i = 0; i < a.values.size(); ++i) out.values[i] = a.values[i] + b.values[i];
}

void GatherRows(const Matrix& in, absl::Span<const int32_t> rows, Matrix& out) {
  for (int i = 0; i < out.rows; ++i) std::copy_n(in.row(rows[i]), in.columns, out.row(i));
}

void RoundToInt8(Matrix& inout) {
  for (int t = 0; t < inout.rows; ++t) {
    for (int begin = 0; begin < inout.columns; begin += 32) {
      const auto run = absl::MakeSpan(inout.row(t) + begin, std::min(32, inout.columns - begin));
      float largest = 0;
      for (float x : run) largest = std::max(largest, std::abs(x));
      const float d = largest / 127;
      for (float& x : run) {
        const float q = d == 0 ? x * 0 : std::clamp(std::nearbyint(x / d), -127.0f, 127.0f);
        x = q * d;
      }
    }
  }
}

}  // namespace spotinference::reference
