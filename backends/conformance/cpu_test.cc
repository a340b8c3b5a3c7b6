#include "backends/conformance/conformance.h"
#include "backends/cpu/cpu_device.h"
#include "backends/reference/reference_device.h"

int main(int argc, char** argv) {
  return spotinference::conformance::RunConformance(
      {.backend = spotinference::CpuBackend(),
       .oracle = spotinference::ReferenceInt8Backend(),
       .rounding = {.kv = 0x1p-11, .activations = true}},
      argc, argv);
}
