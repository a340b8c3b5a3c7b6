// The cpu backend: AVX-512 with VNNI, AVX2 or plain C++, chosen at run time, all to the same bits.
//
// Inputs of a matmul whose weight is packed as integers (packed.h) are rounded to int8, one scale per 32 values; keys and
// values are kept as halves; everything else is float32.
#ifndef BACKENDS_CPU_CPU_DEVICE_H_
#define BACKENDS_CPU_CPU_DEVICE_H_

#include <memory>

#include "backends/cpu/kernels.h"
#include "engine/device/device.h"

namespace spotinference::cpu {

// `threads` 0: as many as the process may run on.
std::unique_ptr<Device> CreateDevice(const Kernels& kernels, int threads);

}  // namespace spotinference::cpu

namespace spotinference {

Backend CpuBackend();

}  // namespace spotinference

#endif  // BACKENDS_CPU_CPU_DEVICE_H_
