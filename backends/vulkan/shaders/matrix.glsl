// Matrices of 16 × 16, as a group of 32 invocations has them together: the card's own instructions
// (VK_NV_cooperative_matrix), or, EMULATED, plain loops, so that all around them runs where there are none.
//
// Factors are halves, in shared memory: FACTORS_X is [rows][stride], FACTORS_W [outputs][stride]. Sums are floats.
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

const uint SIDE = 16;

#ifdef EMULATED

// A lane has half a row.
struct MatrixSum {
  float v[SIDE / 2];
};
#define MatrixX uint
#define MatrixW uint
#define OVER_MATRICES [[dont_unroll]]  // the compilers of processors take minutes else
#define ZERO_SUM(sum) [[dont_unroll]] for (uint i_ = 0; i_ < SIDE / 2; ++i_) sum.v[i_] = 0
#define LOAD_X(m_, shared_, at, stride) m_ = (at) + gl_LocalInvocationID.x / 2 * (stride)
#define LOAD_W(m_, shared_, at, stride) m_ = (at) + gl_LocalInvocationID.x % 2 * (SIDE / 2) * (stride)
#define MULTIPLY_ADD(sum, x_, shared_x, w_, shared_w, stride)                                   \
  [[dont_unroll]] for (uint i_ = 0; i_ < SIDE / 2; ++i_) {                                      \
    [[dont_unroll]] for (uint e_ = 0; e_ < SIDE; ++e_) {                                        \
      sum.v[i_] += float(shared_x[x_ + e_]) * float(shared_w[w_ + i_ * (stride) + e_]);         \
    }                                                                                           \
  }
#define STORE_SUM(sum, shared_, at, stride)                                                     \
  [[dont_unroll]] for (uint i_ = 0; i_ < SIDE / 2; ++i_) {                                      \
    const uint lane_ = gl_LocalInvocationID.x;                                                  \
    shared_[(at) + lane_ / 2 * (stride) + lane_ % 2 * (SIDE / 2) + i_] = sum.v[i_];             \
  }

#else

#extension GL_NV_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require

#define OVER_MATRICES [[unroll]]
#define MatrixX fcoopmatNV<16, gl_ScopeSubgroup, SIDE, SIDE>
#define MatrixW fcoopmatNV<16, gl_ScopeSubgroup, SIDE, SIDE>
#define MatrixSum fcoopmatNV<32, gl_ScopeSubgroup, SIDE, SIDE>
#define ZERO_SUM(sum) sum = MatrixSum(0.0)
#define LOAD_X(m_, shared_, at, stride) coopMatLoadNV(m_, shared_, at, stride, false)
#define LOAD_W(m_, shared_, at, stride) coopMatLoadNV(m_, shared_, at, stride, true)
#define MULTIPLY_ADD(sum, x_, shared_x, w_, shared_w, stride) sum = coopMatMulAddNV(x_, w_, sum)
#define STORE_SUM(sum, shared_, at, stride) coopMatStoreNV(sum, shared_, at, stride, false)

#endif
