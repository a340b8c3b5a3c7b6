// The kernels, over whichever Simd the including file has chosen. No header of the standard library with inline functions
// is used here: the linker would be free to take their AVX copies for the whole program.
#ifndef BACKENDS_CPU_KERNELS_INL_H_
#define BACKENDS_CPU_KERNELS_INL_H_

#include <cstdint>
#include <cstring>

#include "backends/cpu/kernels.h"
#include "backends/cpu/matmul-inl.h"

namespace {

using spotinference::cpu::AttentionWork;
using spotinference::cpu::kAttentionSplit;
using spotinference::cpu::KvPages;
using spotinference::cpu::kMaxQueries;

// --- Row by row

// e^x by Cody and Waite: x = n·ln 2 + r, a polynomial of degree 6 in r (Taylor; |r| ≤ 0.347, so the first left-out term is
// below 2^-23), scaled by 2^n. Below −87 the result is 0, above 88 it is e^88.
F Exp(F x) {
  const F low = Simd::Set(-87.0f);
  const F clamped = Simd::Max(Simd::Min(x, Simd::Set(88.0f)), low);
  const F round = Simd::Set(12582912.0f);  // 1.5 · 2^23: the sum's low bits are the nearest integer
  const F magic = Simd::Fma(clamped, Simd::Set(1.44269504f), round);
  const F n = Simd::Sub(magic, round);
  F r = Simd::Fma(n, Simd::Set(-0.693359375f), clamped);
  r = Simd::Fma(n, Simd::Set(2.12194440e-4f), r);
  constexpr float kInverseFactorials[] = {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  F p = Simd::Set(1.0f / 720);
  for (const float c : kInverseFactorials) p = Simd::Fma(p, r, Simd::Set(c));
  return Simd::ZeroIfLess(x, low, Simd::ScaleByPower(p, magic));
}

// Runs fn(i, n) over 0 … count in steps of a part; the last one may be short.
template <typename Fn>
void Map(const float* a, const float* b, int n, float* out, Fn fn) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) Simd::Store(out + i, fn(Simd::Load(a + i), Simd::Load(b + i)));
  if (i == n) return;
  float x[kLanes] = {}, y[kLanes] = {};
  memcpy(x, a + i, (n - i) * sizeof(float));
  memcpy(y, b + i, (n - i) * sizeof(float));
  Simd::Store(x, fn(Simd::Load(x), Simd::Load(y)));
  memcpy(out + i, x, (n - i) * sizeof(float));
}

void Add(const float* a, const float* b, int n, float* out) {
  Map(a, b, n, out, [](F x, F y) { return Simd::Add(x, y); });
}

// x / (1 + e^−z) · y
F Gate(F x, F z, F y) {
  return Simd::Mul(Simd::Div(x, Simd::Add(Simd::Set(1), Exp(Simd::Sub(Simd::Zero(), z)))), y);
}

void SiluGate(const float* a, const float* b, int n, float* out) {
  Map(a, b, n, out, [](F x, F y) { return Gate(x, x, y); });
}

// (1 + tanh(u)) / 2 is 1 / (1 + e^−2u), here with 2u = 2·√(2/π) · (x + 0.044715 x³).
void GeluGate(const float* a, const float* b, int n, float* out) {
  Map(a, b, n, out, [](F x, F y) {
    const F factor = Simd::Fma(Simd::Mul(x, x), Simd::Set(1.59576912f * 0.044715f), Simd::Set(1.59576912f));
    return Gate(x, Simd::Mul(x, factor), y);
  });
}

void RmsNorm(const float* x, const float* w, int width, float epsilon, float* out) {
  F squares[kParts];
  for (int p = 0; p < kParts; ++p) squares[p] = Simd::Zero();
  int i = 0;
  for (; i + 16 <= width; i += 16) {
    for (int p = 0; p < kParts; ++p) {
      const F v = Simd::Load(x + i + kLanes * p);
      squares[p] = Simd::Fma(v, v, squares[p]);
    }
  }
  if (i < width) {
    float rest[16] = {};
    memcpy(rest, x + i, (width - i) * sizeof(float));
    for (int p = 0; p < kParts; ++p) {
      const F v = Simd::Load(rest + kLanes * p);
      squares[p] = Simd::Fma(v, v, squares[p]);
    }
  }
  const float mean = Simd::Sum16(squares) / static_cast<float>(width);
  const F inverse = Simd::Set(1.0f / __builtin_sqrtf(mean + epsilon));
  Map(x, w, width, out, [inverse](F a, F b) { return Simd::Mul(Simd::Mul(a, inverse), b); });
}

void Rope(float* head, const float* cos_sin, int pairs, bool interleaved) {
  const int step = interleaved ? 2 : 1, other = interleaved ? 1 : pairs;
  for (int i = 0; i < pairs; ++i) {
    const float a = head[step * i], b = head[step * i + other];
    const float c = cos_sin[2 * i], s = cos_sin[2 * i + 1];
    head[step * i] = a * c - b * s;
    head[step * i + other] = a * s + b * c;
  }
}

// --- Attention

void StoreKv(const KvPages& pages, int64_t page, int slot, const float* k, const float* v) {
  const int d = pages.head_dim;
  uint16_t* keys = pages.data + page * pages.page_elements();
  uint16_t* values = keys + static_cast<int64_t>(pages.kv_heads) * d * 16;
  uint16_t halves[kLanes];
  for (int h = 0; h < pages.kv_heads; ++h, k += d, v += d, keys += d * 16, values += d * 16) {
    for (int i = 0; i < d; i += kLanes) {
      Simd::StoreHalf(halves, Simd::Load(k + i));
      for (int j = 0; j < kLanes; ++j) keys[(i + j) * 16 + slot] = halves[j];
      Simd::StoreHalf(values + slot * d + i, Simd::Load(v + i));
    }
  }
}

// The queries of one AttentionWork, row-major: query i is head i % heads of row i / heads.
struct Queries {
  int count;
  const float* q[kMaxQueries];
  int first[kMaxQueries];  // it sees the positions from `first` up to `length`; both ascend
  int length[kMaxQueries];
};

// scores[i][t] = q_i · K_t over one page, N queries from `first`. K is [head_dim, 16].
template <int N>
void PageScores(const Queries& queries, int first, const uint16_t* keys, int head_dim, float scale, float* scores) {
  F dot[N][kParts];
  for (int i = 0; i < N; ++i) {
    for (int p = 0; p < kParts; ++p) dot[i][p] = Simd::Zero();
  }
  for (int d = 0; d < head_dim; ++d) {
    for (int p = 0; p < kParts; ++p) {
      const F k = Simd::LoadHalf(keys + d * 16 + kLanes * p);
      for (int i = 0; i < N; ++i) dot[i][p] = Simd::Fma(Simd::Set(queries.q[first + i][d]), k, dot[i][p]);
    }
  }
  for (int i = 0; i < N; ++i) {
    for (int p = 0; p < kParts; ++p) {
      Simd::Store(scores + (first + i) * kAttentionSplit + kLanes * p, Simd::Mul(dot[i][p], Simd::Set(scale)));
    }
  }
}

// Turns the scores first … n into weights e^(s − max), zero beside them in their groups of 16; the sum of the weights is
// a tree of 16 lanes.
void SoftmaxWeights(float* s, int first, int n, float* maximum, float* sum) {
  const int begin = first / 16 * 16;
  for (int i = begin; i < first; ++i) s[i] = -__builtin_inff();
  for (int i = n; i % 16 != 0; ++i) s[i] = -__builtin_inff();
  F largest = Simd::Load(s + begin);
  for (int i = begin + kLanes; i < n; i += kLanes) largest = Simd::Max(Simd::Load(s + i), largest);
  const float m = Simd::LargestLane(largest);
  const F top = Simd::Set(m);
  F total[kParts];
  for (int p = 0; p < kParts; ++p) total[p] = Simd::Zero();
  for (int i = begin; i < n; i += 16) {
    for (int p = 0; p < kParts; ++p) {
      const F weights = Exp(Simd::Sub(Simd::Load(s + i + kLanes * p), top));
      Simd::Store(s + i + kLanes * p, weights);
      total[p] = Simd::Add(total[p], weights);
    }
  }
  *maximum = m;
  *sum = Simd::Sum16(total);
}

// acc[i][d] += Σ_t weight[i][t] · V_t[d] over tokens t0 … t1 of one page in ascending order, N queries from `first`.
template <int N>
void PageValues(const float* weights, int first, int t0, int t1, const uint16_t* values, int head_dim, float* acc) {
  for (int d = 0; d < head_dim; d += 16) {
    F sum[N][kParts];
    for (int i = 0; i < N; ++i) {
      for (int p = 0; p < kParts; ++p) sum[i][p] = Simd::Load(acc + (first + i) * head_dim + d + kLanes * p);
    }
    for (int t = t0; t < t1; ++t) {
      for (int p = 0; p < kParts; ++p) {
        const F v = Simd::LoadHalf(values + t * head_dim + d + kLanes * p);
        for (int i = 0; i < N; ++i) {
          sum[i][p] = Simd::Fma(Simd::Set(weights[(first + i) * kAttentionSplit + t]), v, sum[i][p]);
        }
      }
    }
    for (int i = 0; i < N; ++i) {
      for (int p = 0; p < kParts; ++p) Simd::Store(acc + (first + i) * head_dim + d + kLanes * p, sum[i][p]);
    }
  }
}

// What query i sees of the page of positions `at` …; apart, since it is rare and the usual path is faster without it.
[[gnu::noinline]] void WindowEdgeValues(const Queries& queries, const float* weights, int i, int at,
                                        const uint16_t* values, int head_dim, float* acc) {
  const int from = queries.first[i] > at ? queries.first[i] - at : 0, to = Smaller(queries.length[i] - at, 16);
  if (to > from) PageValues<1>(weights, i, from, to, values, head_dim, acc);
}

// fn(Int<n>, i) for every four of `count`, which share what they load (every eight, where there are 32 registers), and for
// what is left of them.
template <typename Fn>
inline __attribute__((always_inline)) void InGroups(int count, Fn fn) {
  int i = 0;
  if constexpr (kLanes == 16) {
    for (; i + 8 <= count; i += 8) fn(Int<8>{}, i);
  }
  for (; i + 4 <= count; i += 4) fn(Int<4>{}, i);
  switch (count - i) {
    case 3: return fn(Int<3>{}, i);
    case 2: return fn(Int<2>{}, i);
    case 1: return fn(Int<1>{}, i);
  }
}

// One piece of positions, begin … begin + kAttentionSplit: every query's weights into `scores`, its sum over V into `acc`.
void SplitAttention(const KvPages& pages, const AttentionWork& work, const Queries& queries, int begin, int end,
                    float* scores, float* acc, float* maximum, float* sum) {
  const int d = pages.head_dim;
  const int64_t head_at = static_cast<int64_t>(work.kv_head) * d * 16;
  const int64_t values_at = static_cast<int64_t>(pages.kv_heads) * d * 16;
  const int seen = queries.first[0] > begin ? queries.first[0] / 16 * 16 : begin;  // no query sees what is before
  for (int at = seen; at < end; at += 16) {
    const uint16_t* keys = pages.data + work.block_table[at / 16] * pages.page_elements() + head_at;
    float* page_scores = scores + (at - begin);
    InGroups(queries.count, [&](auto n, int i) { PageScores<n.value>(queries, i, keys, d, work.scale, page_scores); });
  }
  for (int i = 0; i < queries.count; ++i) {
    const int first = queries.first[i] > begin ? queries.first[i] - begin : 0;
    const int n = Smaller(queries.length[i], end) - begin;
    if (n > first) SoftmaxWeights(scores + i * kAttentionSplit, first, n, &maximum[i], &sum[i]);
  }
  memset(acc, 0, sizeof(float) * queries.count * d);
  for (int at = seen; at < end; at += 16) {
    const uint16_t* values =
        pages.data + work.block_table[at / 16] * pages.page_elements() + values_at + head_at;
    const float* weights = scores + (at - begin);
    // A token that a query does not see is never multiplied in: its slot may hold anything, NaN too.
    InGroups(queries.count, [&](auto n, int i) {
      const int after = i + n.value;
      if (queries.first[after - 1] > at) {  // a window begins past the page's beginning
        for (int j = i; j < after; ++j) WindowEdgeValues(queries, weights, j, at, values, d, acc);
        return;
      }
      const int common = Smaller(queries.length[i] - at, 16);  // lengths ascend
      if (common > 0) PageValues<n.value>(weights, i, 0, common, values, d, acc);
      for (int j = i + 1; j < after; ++j) {
        const int from = common > 0 ? common : 0, to = Smaller(queries.length[j] - at, 16);
        if (to > from) PageValues<1>(weights, j, from, to, values, d, acc);
      }
    });
  }
}

// Softmax over pieces, merged in ascending order (the online normaliser of Milakov and Gimelshein, 2018).
void Attention(const KvPages& pages, const AttentionWork& work, float* scratch) {
  const int d = pages.head_dim;
  Queries queries;
  queries.count = work.rows * work.heads;
  for (int i = 0; i < queries.count; ++i) {
    queries.q[i] = work.q + (i / work.heads) * work.stride + static_cast<int64_t>(work.first_head + i % work.heads) * d;
    queries.length[i] = work.first_position + i / work.heads + 1;
    queries.first[i] = work.window > 0 && work.window < queries.length[i] ? queries.length[i] - work.window : 0;
  }
  float* scores = scratch;
  float* acc = scores + kMaxQueries * kAttentionSplit;
  float* total = acc + kMaxQueries * d;
  float* maximum = total + kMaxQueries * d;
  float* sum = maximum + kMaxQueries;
  float piece_maximum[kMaxQueries], piece_sum[kMaxQueries];
  const int longest = queries.length[queries.count - 1];
  const int earliest = queries.first[0] / kAttentionSplit * kAttentionSplit;
  for (int begin = earliest; begin < longest; begin += kAttentionSplit) {
    const int end = Smaller(begin + kAttentionSplit, longest);
    SplitAttention(pages, work, queries, begin, end, scores, acc, piece_maximum, piece_sum);
    for (int i = 0; i < queries.count; ++i) {
      float* mine = total + i * d;
      if (queries.first[i] >= end || queries.length[i] <= begin) continue;
      if (queries.first[i] >= begin) {
        memcpy(mine, acc + i * d, sizeof(float) * d);
        maximum[i] = piece_maximum[i];
        sum[i] = piece_sum[i];
      } else {
        const float m = maximum[i] > piece_maximum[i] ? maximum[i] : piece_maximum[i];
        float factor[kLanes];
        Simd::Store(factor, Exp(Simd::Set(maximum[i] - m)));
        const float keep = factor[0];
        Simd::Store(factor, Exp(Simd::Set(piece_maximum[i] - m)));
        const float take = factor[0];
        maximum[i] = m;
        sum[i] = sum[i] * keep + piece_sum[i] * take;
        Map(mine, acc + i * d, d, mine, [keep, take](F a, F b) {
          return Simd::Fma(b, Simd::Set(take), Simd::Mul(a, Simd::Set(keep)));
        });
      }
    }
  }
  for (int i = 0; i < queries.count; ++i) {
    float* out = work.out + (queries.q[i] - work.q);
    const F inverse = Simd::Set(1.0f / sum[i]);
    Map(total + i * d, total + i * d, d, out, [inverse](F a, F) { return Simd::Mul(a, inverse); });
  }
}

constexpr spotinference::cpu::Kernels MakeKernels(const char* name) {
  return {name,
          Quantize,
          {FloatMatmul<F32Weight>, FloatMatmul<F16Weight>, FloatMatmul<Bf16Weight>, QuantizedMatmul<Q4_1>,
           QuantizedMatmul<Q5_1>, QuantizedMatmul<Q8_0>, QuantizedMatmul<IQ4_NL>, QuantizedMatmul<Q2_K>,
           QuantizedMatmul<Q3_K>, QuantizedMatmul<Q4_K>, QuantizedMatmul<Q5_K>, QuantizedMatmul<Q6_K>,
           QuantizedMatmul<IQ4_XS>},
          RmsNorm,
          Rope,
          Add,
          SiluGate,
          GeluGate,
          StoreKv,
          Attention};
}

}  // namespace

#endif  // BACKENDS_CPU_KERNELS_INL_H_
