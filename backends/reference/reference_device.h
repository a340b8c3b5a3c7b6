// The oracle: every operation of graph.h as a plain loop over float32, to compare other backends
// with. Not for serving.
//
// Weights are turned into floats when they are loaded, keys and values are kept as floats, and
// every sum runs in double, in one order that depends on neither the number of rows nor of threads.
#ifndef BACKENDS_REFERENCE_REFERENCE_DEVICE_H_
#define BACKENDS_REFERENCE_REFERENCE_DEVICE_H_

#include "engine/device/device.h"

namespace spotinference {

// "reference": the model as its file has it.
Backend ReferenceBackend();

// "reference-int8": as above, but the input row of a kMatmul with a Q4_0, Q4_1, Q5_0, Q8_0 or
// IQ4_NL weight is first rounded to int8 with one scale per 32 values, as backends do that multiply integers:
//   d = max|x| / 127;  q = x / d to the nearest integer, ties to even (0 where d is 0);  x' = q · d
Backend ReferenceInt8Backend();

}  // namespace spotinference

#endif  // BACKENDS_REFERENCE_REFERENCE_DEVICE_H_
