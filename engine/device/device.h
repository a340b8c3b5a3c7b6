// What a backend implements: memory for weights and the KV cache, and Programs made of Graphs.
//
// Thread-compatible: one engine thread uses a Device and what it made; a backend may use threads of its own inside a
// call. Everything that a Device made must go before the Device.
//
// A Device keeps the first invariant of ARCHITECTURE.md: an output row depends on its own sequence's tokens alone,
// bit for bit, whatever else is in the step, however the tokens were cut into steps, and on however many threads.
#ifndef ENGINE_DEVICE_DEVICE_H_
#define ENGINE_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/device/compile_cache.h"
#include "engine/device/graph.h"
#include "engine/device/selection.h"
#include "engine/device/tensor.h"

namespace spotinference {

struct DeviceInfo {
  std::string backend;     // "cpu"
  std::string name;        // for people: "AMD EPYC, avx2, 2 threads"
  std::string arithmetic;  // names the order and precision of every sum; part of numerics_id
  std::string driver;      // what a CompileCache holds fits no other: a driver's version, or a layout's name
  bool batch_invariant = true;  // a row has the same bits in any company
  bool keeps_weights = false;  // a CompileCache holds what a model's weights became; else any model's serves all
};

// Memory of a device: a weight as its kernels want it, or one layer's KV cache. Opaque.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual size_t size_bytes() const = 0;  // what it takes on the device
};

// What a Program has beside Run where its device looks through output rows itself, so that the host need not have
// them.
class Selector {
 public:
  virtual ~Selector() = default;

  // As Program::Run, but output rows stay on the device: selected[o] gets what selections[o] wants of row o, and keeps
  // its memory; of kAll nothing.
  virtual absl::Status RunSelecting(const StepInput& input, absl::Span<const Selection> selections /* [O] */,
                                    absl::Span<Selected> selected /* [O] */) = 0;

  // Looks through an output row of the last run again, if that was a RunSelecting. From any thread, between runs.
  virtual absl::Status Look(int row, const Selection& selection, Selected& selected) = 0;

  // Such a row, whole. From any thread, between runs. UNAVAILABLE: the device is lost.
  virtual absl::Status ReadRow(int row, absl::Span<float> out /* [width] */) = 0;
};

class Program {
 public:
  virtual ~Program() = default;

  // Runs one step and writes the output tensor's rows. out: [O, width] floats. Blocks until done.
  // INVALID_ARGUMENT: an index or a size in `input` is out of the graph's range. UNAVAILABLE: the device is lost.
  virtual absl::Status Run(const StepInput& input, absl::Span<float> out) = 0;

  // Null: rows lie where the host samples from them. The program's own.
  virtual Selector* selector() { return nullptr; }
};

// What a weight is read for; a tied embedding is both.
struct WeightUse {
  bool embed = false;   // by rows, kEmbed
  bool matmul = false;  // kMatmul
  bool vector = false;  // kRmsNorm, or a kMatmul's bias: one row
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceInfo& info() const = 0;

  // Copies or packs `view`, or takes what `cache` (null: none) kept under view.name. With `use.embed` the buffer may
  // go on reading view.data, which must outlive it. UNIMPLEMENTED: a type this backend lacks, named.
  // RESOURCE_EXHAUSTED: no memory.
  virtual absl::StatusOr<std::unique_ptr<Buffer>> LoadWeight(const TensorView& view, WeightUse use,
                                                             CompileCache* cache) = 0;

  // One layer's cache of `blocks` pages of kBlockTokens. The layout inside a page is the device's own.
  virtual absl::StatusOr<std::unique_ptr<Buffer>> AllocateKv(const AttentionAttributes& shape, int blocks) = 0;

  // Copies block `block` of several layers' caches of one shape out or in, one layer after the other: of each its
  // size_bytes() / blocks bytes, equal for equal tokens on every device of one arithmetic. From any thread, while no
  // program that runs writes (ReadKv) or touches (WriteKv) that block.
  virtual absl::Status ReadKv(absl::Span<const Buffer* const> layers, int block, absl::Span<std::byte> to) const = 0;
  virtual absl::Status WriteKv(absl::Span<Buffer* const> layers, int block, absl::Span<const std::byte> from) = 0;

  // `graph` names buffers of this device; the program keeps pointing at them. What it takes to run may come from
  // `cache` (null: none).
  virtual absl::StatusOr<std::unique_ptr<Program>> Compile(const Graph& graph, CompileCache* cache) = 0;

  // What it had to compile so far, since no cache had it: shaders, or programs for which weights were packed. Any
  // thread.
  virtual int64_t compiled() const = 0;
};

// A backend as the engine finds it. Only mains and tests link concrete ones and put them in a list.
struct Backend {
  std::string name;  // "cpu", as --backend has it
  // Why it cannot be used on this machine, or OK.
  std::function<absl::Status()> probe;
  // `threads` 0: as many as the process may use.
  std::function<absl::StatusOr<std::unique_ptr<Device>>(int threads)> create;
  // Why --backend=auto passes it over although it may be usable, or OK; null: it never does.
  std::function<absl::Status()> passed_over = nullptr;
  // It has memory of its own: where a model does not fit, or has what it cannot do, --backend=auto goes on to the next.
  bool own_memory = false;
};

}  // namespace spotinference

#endif  // ENGINE_DEVICE_DEVICE_H_
