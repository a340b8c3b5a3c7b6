// The arithmetic of the reference backend. Shapes are checked by the caller. Rows never mix, except
// through the KV cache.
#ifndef BACKENDS_REFERENCE_REFERENCE_OPS_H_
#define BACKENDS_REFERENCE_REFERENCE_OPS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/device/graph.h"

namespace spotinference::reference {

// An activation or a weight, row after row.
struct Matrix {
  int rows = 0;
  int columns = 0;
  std::vector<float> values;

  Matrix() = default;
  Matrix(int rows, int columns)
      : rows(rows), columns(columns), values(static_cast<size_t>(rows) * columns) {}
  float* row(int r) { return values.data() + static_cast<size_t>(r) * columns; }
  const float* row(int r) const { return values.data() + static_cast<size_t>(r) * columns; }
};

// One layer's cache: row b · kBlockTokens + i is token i of block b.
struct KvCache {
  Matrix keys;    // [blocks · kBlockTokens, kv_heads · head_dim]
  Matrix values;  // likewise
};

// The row of the cache that holds `position` of the sequence of token `t`.
int KvRow(const StepInput& input, int t, int position);

void Embed(const Matrix& weight, absl::Span<const int32_t> ids, float scale, Matrix& out);
void RmsNorm(const Matrix& in, const Matrix& weight, float epsilon, Matrix& out);  // `out` may be `in`
void Matmul(const Matrix& in, const Matrix& weight, const Matrix* bias, int threads, Matrix& out);
void Rope(const RopeAttributes& attributes, absl::Span<const int32_t> positions, Matrix& inout);
void StoreKv(const Matrix& keys, const Matrix& values, const StepInput& input, KvCache& kv);
void Attention(const Matrix& queries, const KvCache& kv, const AttentionAttributes& shape,
               const StepInput& input, int threads, Matrix& out);
void Gate(Activation activation, const Matrix& a, const Matrix& b, Matrix& out);
void Add(const Matrix& a, const Matrix& b, Matrix& out);
void GatherRows(const Matrix& in, absl::Span<const int32_t> rows, Matrix& out);

// Replaces each run of 32 values (the last may be shorter) by what int8 keeps of it; see
// ReferenceInt8Backend. A run with a NaN or an infinity in it becomes NaN in its own places or all
// over, never an integer.
void RoundToInt8(Matrix& inout);

}  // namespace spotinference::reference

#endif  // BACKENDS_REFERENCE_REFERENCE_OPS_H_
