// A graph as the Vulkan backend runs it: command buffers, one a bucket of row counts, recorded at the first step that
// needs it and submitted again by every later one.
#ifndef BACKENDS_VULKAN_PROGRAM_H_
#define BACKENDS_VULKAN_PROGRAM_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "backends/vulkan/gpu.h"
#include "backends/vulkan/pipelines.h"
#include "backends/vulkan/tile_choices.h"
#include "engine/device/device.h"

namespace spotinference::vulkan {

// What the arithmetic and the speed of a device's programs depend on.
struct Tuning {
  TileChoices tiles;
  uint32_t splits = 1;  // ranges of a matmul's sums (shaders/matmul.comp)
  bool measures_tiles = false;  // where there is a place to keep them
  bool integers = false;  // inputs of matmuls with quantised weights are rounded to int8 (shaders/matmul.comp)
  // Of --batch_invariant=false: sums by subgroups, and what does the matmuls of 16 rows and more.
  bool sums_subgroups = false;
  Shader many_rows = Shader::kMatmul;
  // Of steps of more than one row: two kinds of matmul less to compile, for a pass more over an activation.
  bool gates_apart = false;
  double submission_work = 0x1p32;  // multiply-adds submitted together, so that no watchdog takes them for a hang
};

// `gpu` and `pipelines` outlive the program. All pipelines it will use are made here, and dispatched once on no rows:
// many drivers compile only then. With `measure`, what tuning.tiles lacks for it is measured first.
absl::StatusOr<std::unique_ptr<Program>> CompileProgram(const Graph& graph, bool measure, Tuning& tuning, Gpu& gpu,
                                                        Pipelines& pipelines);

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_PROGRAM_H_
