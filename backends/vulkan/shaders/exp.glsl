// e^x within 3e-7 relatively, the same bits on every device: no device's own exp is good enough for the tolerances of
// the conformance suite on all of them. NaN stays NaN, below -87 it is 1.6e-38, above 88 infinity.
//
// x = n ln2 + r with |r| <= ln2 / 2, ln2 in two parts (Cody and Waite); e^r by its Taylor series to r^7.
float Exp(float x) {
  precise const float clamped = x < -87.0 ? -87.0 : x > 89.0 ? 89.0 : x;
  precise const float n = floor(clamped * 1.44269504 + 0.5);
  precise float r = fma(n, -0.693359375, clamped);
  r = fma(n, 2.12194440e-4, r);
  precise float p = 1.0 / 5040.0;
  p = fma(p, r, 1.0 / 720.0);
  p = fma(p, r, 1.0 / 120.0);
  p = fma(p, r, 1.0 / 24.0);
  p = fma(p, r, 1.0 / 6.0);
  p = fma(p, r, 0.5);
  p = fma(p, r, 1.0);
  p = fma(p, r, 1.0);
  const int exponent = int(n);
  const int half_exponent = exponent / 2;  // in two steps, as 2^128 is no float
  p *= uintBitsToFloat(uint(half_exponent + 127) << 23);
  p *= uintBitsToFloat(uint(exponent - half_exponent + 127) << 23);
  return isnan(x) ? x : p;
}
