// exp and log made of additions, multiplications and divisions only: the same bits on every
// machine, where the C library's differ by version and by processor. What is sampled must not
// depend on either.
#ifndef ENGINE_SAMPLE_EXP_LOG_H_
#define ENGINE_SAMPLE_EXP_LOG_H_

#include <bit>
#include <cstdint>

namespace spotinference {

// e^x for x <= 0, within 3e-7 of the value, relatively. Below -87, where floats soon end, it stays
// at 1.6e-38: beside a 1, as many of these as fit in memory add up to nothing. Free of branches.
//
// x = n ln2 + r with |r| <= ln2 / 2; e^r by its Taylor series to r^7, whose rest is below
// (ln2 / 2)^8 / 8! = 5.2e-9. ln2 is split (Cody and Waite) so that n times its high part is exact.
inline float ExpOfNegative(float x) {
  const float clamped = x < -87.0f ? -87.0f : x;
  constexpr float kRound = 0x1.8p23f;  // adding it rounds to an integer, in the low bits
  const float shifted = clamped * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // n + 127 becomes the exponent: the low bits of `shifted` are n, in two's complement.
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 127) << 23;
  return p * std::bit_cast<float>(exponent);
}

// Natural logarithm of a normal x > 0, within 4e-16 of it, relatively or absolutely, whichever is
// larger.
//
// x = 2^n m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s), s = (m - 1) / (m + 1), and
// |s| < 0.1716. The rest of the series after s^19 is below 2 s^21 / 21 / (1 - s^2) = 8.5e-18.
inline double Log(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;  // the bits of sqrt(1/2)
  const int64_t n = static_cast<int64_t>(bits - kSqrtHalf) >> 52;
  const double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(n) << 52));
  const double s = (m - 1) / (m + 1);
  const double s2 = s * s;
  double series = 0;
  for (int k = 19; k >= 3; k -= 2) series = (series + 1.0 / k) * s2;
  return static_cast<double>(n) * 0.6931471805599453 + 2 * (s + s * series);
}

}  // namespace spotinference

#endif  // ENGINE_SAMPLE_EXP_LOG_H_
