#include "backends/cpu/cpu_device.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "backends/cpu/buffers.h"
#include "backends/cpu/packed.h"
#include "backends/cpu/program.h"
#include "engine/base/processors.h"
#include "engine/base/status.h"
#include "engine/base/thread_pool.h"

namespace spotinference::cpu {
namespace {

class CpuDevice : public Device {
 public:
  CpuDevice(const Kernels& kernels, int threads)
      : kernels_(kernels), pool_(threads > 0 ? threads : UsableThreads()) {
    info_.backend = "cpu";
    info_.name = absl::StrFormat("cpu, %s, %d threads", kernels.name, pool_.size());
    info_.arithmetic = absl::StrCat("int8x", kQuantBlock, "-f32-kv16-split", kAttentionSplit);
    info_.driver = "tiles16";  // packed.h, the same for every set of instructions
    info_.keeps_weights = true;
  }

  const DeviceInfo& info() const override { return info_; }

  absl::StatusOr<std::unique_ptr<Buffer>> LoadWeight(const TensorView& view, WeightUse use,
                                                     CompileCache* cache) override {
    if (static_cast<int64_t>(view.data.size()) < view.rows * RowBytes(view.type, view.columns)) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", view.name, ": fewer bytes than its shape takes"));
    }
    auto weight = std::make_unique<WeightBuffer>(view);
    if (use.matmul) {
      ASSIGN_OR_RETURN(const CachedBytes tiles, Tiles(view, cache));
      weight->tiles = tiles.bytes;
      weight->tiles_owner = tiles.owner;
    }
    if (use.vector) {
      weight->vector.resize(view.columns);
      DequantizeRow(view, 0, absl::MakeSpan(weight->vector));
    }
    if (use.embed && !use.matmul) weight->rows_view = view;
    return weight;
  }

  absl::StatusOr<std::unique_ptr<Buffer>> AllocateKv(const AttentionAttributes& shape, int blocks) override {
    if (shape.head_dim % 16 != 0) {
      return absl::UnimplementedError(
          absl::StrCat("the cpu backend wants a head size that is a multiple of 16, not ", shape.head_dim));
    }
    auto kv = std::make_unique<KvBuffer>(shape.kv_heads, shape.head_dim, blocks);
    if (kv->memory.data() == nullptr) {
      return absl::ResourceExhaustedError(absl::StrCat("no memory for ", kv->size_bytes(), " bytes of KV cache"));
    }
    return kv;
  }

  absl::Status ReadKv(absl::Span<const Buffer* const> layers, int block, absl::Span<std::byte> to) const override {
    const size_t bytes = to.size() / layers.size();
    std::byte* at = to.data();
    for (const Buffer* const kv : layers) {
      std::memcpy(at, static_cast<const KvBuffer*>(kv)->memory.data() + block * bytes, bytes);
      at += bytes;
    }
    return absl::OkStatus();
  }

  absl::Status WriteKv(absl::Span<Buffer* const> layers, int block, absl::Span<const std::byte> from) override {
    const size_t bytes = from.size() / layers.size();
    const std::byte* at = from.data();
    for (Buffer* const kv : layers) {
      std::memcpy(static_cast<KvBuffer*>(kv)->memory.data() + block * bytes, at, bytes);
      at += bytes;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Program>> Compile(const Graph& graph, CompileCache*) override {
    if (std::exchange(packed_, false)) ++compiled_;
    return CompileProgram(graph, kernels_, pool_);
  }

  int64_t compiled() const override { return compiled_; }

 private:
  absl::StatusOr<CachedBytes> Tiles(const TensorView& view, CompileCache* cache) {
    const size_t packed = TileCount(view.rows) * TileBytes(PackingOf(view.type), view.columns);
    if (cache != nullptr) {
      CachedBytes found = cache->Find(view.name);
      if (found.owner != nullptr && found.bytes.size() == packed) return found;
    }
    packed_ = true;
    const auto pages = std::make_shared<Pages>(packed, Pages::Size::kHuge);
    if (pages->data() == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat("tensor ", view.name, ": no memory for ", packed, " bytes of packed weights"));
    }
    pool_.ParallelFor(TileCount(view.rows), 4,
                      [&](int64_t begin, int64_t end) { PackTiles(view, begin, end, pages->data()); });
    CachedBytes tiles{{pages->data(), packed}, pages};
    if (cache != nullptr) cache->Keep(view.name, tiles);
    return tiles;
  }

  const Kernels& kernels_;
  ThreadPool pool_;
  DeviceInfo info_;
  bool packed_ = false;  // a weight, since the last program
  std::atomic<int64_t> compiled_{0};
};

}  // namespace

std::unique_ptr<Device> CreateDevice(const Kernels& kernels, int threads) {
  return std::make_unique<CpuDevice>(kernels, threads);
}

}  // namespace spotinference::cpu

namespace spotinference {

Backend CpuBackend() {
  return {"cpu", [] { return absl::OkStatus(); },
          [](int threads) { return cpu::CreateDevice(cpu::BestKernels(), threads); }};
}

}  // namespace spotinference
