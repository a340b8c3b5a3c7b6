// A graph as the cpu backend runs it: stages with a barrier between them, each spread over the threads.
//
// Operations that treat every row by itself run one after another on a row while it is in cache (a norm and the rounding to
// int8 that follows it, say); matmuls that share an input are one stage; attention is one.
#ifndef BACKENDS_CPU_PROGRAM_H_
#define BACKENDS_CPU_PROGRAM_H_

#include <memory>

#include "absl/status/statusor.h"
#include "backends/cpu/kernels.h"
#include "engine/base/thread_pool.h"
#include "engine/device/device.h"

namespace spotinference::cpu {

// `kernels` and `pool` outlive the program.
absl::StatusOr<std::unique_ptr<Program>> CompileProgram(const Graph& graph, const Kernels& kernels, ThreadPool& pool);

}  // namespace spotinference::cpu

#endif  // BACKENDS_CPU_PROGRAM_H_
