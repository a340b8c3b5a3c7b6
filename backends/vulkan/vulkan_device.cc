#include "backends/vulkan/vulkan_device.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "backends/vulkan/buffers.h"
#include "backends/vulkan/gpu.h"
#include "backends/vulkan/pipelines.h"
#include "backends/vulkan/program.h"
#include "backends/vulkan/tiles.h"
#include "engine/base/status.h"

namespace spotinference {
namespace vulkan {
namespace {

// What a group of the matmul has of `splits` ranges.
absl::Status CheckSplits(const VkPhysicalDeviceLimits& limits, uint32_t splits) {
  const uint64_t invocations = uint64_t{splits} * kTileRows;
  const uint64_t shared_bytes = splits > 1 ? invocations * kMostTileSums * sizeof(float) : 0;
  if (invocations <= limits.maxComputeWorkGroupInvocations && splits <= limits.maxComputeWorkGroupSize[1] &&
      kTileRows <= limits.maxComputeWorkGroupSize[0] && shared_bytes <= limits.maxComputeSharedMemorySize) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(absl::StrCat(
      "groups of ", invocations, " invocations and ", shared_bytes, " shared bytes; the device has groups of ",
      limits.maxComputeWorkGroupInvocations, " and ", limits.maxComputeSharedMemorySize));
}

Tuning TuningFor(const PhysicalDevice& device) {
  // A card wants more invocations than a layer has outputs; on a processor they would only cost.
  uint32_t card_splits = 8;
  while (card_splits > 1 && !CheckSplits(device.properties.limits, card_splits).ok()) card_splits /= 2;
  // A tenth of a second of the slowest card, some seconds of two busy cores; a watchdog waits for two to ten.
  constexpr double kCardWork = 0x1p36, kIntegratedWork = 0x1p33, kProcessorWork = 0x1p32;
  // A processor takes longer to compile the shaders than it would gain.
  if (device.is_software()) {
    return {.splits = 1, .measures_tiles = false, .gates_apart = true, .submission_work = kProcessorWork};
  }
  const bool integrated = device.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
  return {.splits = card_splits,
          .measures_tiles = true,
          .submission_work = integrated ? kIntegratedWork : kCardWork};
}

class VulkanDevice : public Device {
 public:
  VulkanDevice(std::unique_ptr<Gpu> gpu, std::unique_ptr<Pipelines> pipelines, const Tuning& tuning)
      : gpu_(std::move(gpu)), pipelines_(std::move(pipelines)), tuning_(tuning) {
    const VkPhysicalDeviceProperties& p = gpu_->physical().properties;
    info_.backend = "vulkan";
    info_.name = absl::StrFormat("%s, Vulkan %d.%d, %d MB", p.deviceName, VK_API_VERSION_MAJOR(p.apiVersion),
                                 VK_API_VERSION_MINOR(p.apiVersion), gpu_->physical().local_bytes / 1000000);
    info_.driver = absl::StrFormat("%x-%x-%x-", p.vendorID, p.deviceID, p.driverVersion);
    for (const uint8_t byte : p.pipelineCacheUUID) absl::StrAppendFormat(&info_.driver, "%02x", byte);
    // Division, roots and the compiler are the driver's.
    info_.arithmetic = absl::StrCat("f32-splits", tuning.splits, "-kv16-pieces64-ranges256-", info_.driver);
    if (tuning.integers) info_.arithmetic = absl::StrCat("int8x32-", info_.arithmetic);
    info_.batch_invariant = !tuning.sums_subgroups && tuning.many_rows == Shader::kMatmul;
    if (!info_.batch_invariant) info_.arithmetic = absl::StrCat("varying-", info_.arithmetic);
  }

  const DeviceInfo& info() const override { return info_; }

  absl::StatusOr<std::unique_ptr<Buffer>> LoadWeight(const TensorView& view, WeightUse use, CompileCache*) override {
    if (static_cast<int64_t>(view.data.size()) < view.rows * RowBytes(view.type, view.columns)) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", view.name, ": fewer bytes than its shape takes"));
    }
    auto weight = std::make_unique<WeightBuffer>();
    weight->type = view.type;
    weight->rows = view.rows;
    weight->columns = view.columns;
    if (use.matmul || use.embed) RETURN_IF_ERROR(Named(view, LoadTiles(view, *weight)));
    if (use.vector) RETURN_IF_ERROR(Named(view, LoadVector(view, *weight)));
    return weight;
  }

  absl::StatusOr<std::unique_ptr<Buffer>> AllocateKv(const AttentionAttributes& shape, int blocks) override {
    if (shape.head_dim % 2 != 0) {
      return absl::UnimplementedError(absl::StrCat("the Vulkan backend wants an even head size, not ", shape.head_dim));
    }
    auto kv = std::make_unique<KvBuffer>();
    kv->kv_heads = shape.kv_heads;
    kv->head_dim = shape.head_dim;
    kv->blocks = blocks;
    kv->page_bytes = size_t{2} * kBlockTokens * shape.kv_heads * shape.head_dim * sizeof(uint16_t);
    RETURN_IF_ERROR(CheckAddressable(kv->size_bytes(), "a layer's KV cache"));
    ASSIGN_OR_RETURN(kv->pages, gpu_->memory().Allocate(kv->size_bytes(), MemoryUse::kDevice));
    return kv;
  }

  absl::Status ReadKv(absl::Span<const Buffer* const> layers, int block, absl::Span<std::byte> to) const override {
    return gpu_->Read(Pages(layers, block), to.data());
  }

  absl::Status WriteKv(absl::Span<Buffer* const> layers, int block, absl::Span<const std::byte> from) override {
    return gpu_->Write(Pages({layers.data(), layers.size()}, block), from.data());
  }

  absl::StatusOr<std::unique_ptr<Program>> Compile(const Graph& graph, CompileCache* cache) override {
    if (cache != nullptr && !loaded_) {
      pipelines_->cache().Load(*cache);
      tuning_.tiles = TileChoices::Parse(cache->Find(TilesName()).bytes);
      loaded_ = true;
    }
    const std::string known = tuning_.tiles.Serialize();
    ASSIGN_OR_RETURN(std::unique_ptr<Program> program,
                     CompileProgram(graph, /*measure=*/tuning_.measures_tiles && cache != nullptr, tuning_, *gpu_,
                                    *pipelines_));
    pipelines_->cache().Keep(cache);
    const auto tiles = std::make_shared<const std::string>(tuning_.tiles.Serialize());
    if (cache != nullptr && *tiles != known) {
      cache->Keep(TilesName(), {{reinterpret_cast<const std::byte*>(tiles->data()), tiles->size()}, tiles});
    }
    return program;
  }

  int64_t compiled() const override { return pipelines_->cache().compiled(); }

 private:
  static std::string TilesName() { return absl::StrCat("tiles ", ShadersHash()); }

  static std::vector<Gpu::Piece> Pages(absl::Span<const Buffer* const> layers, int block) {
    std::vector<Gpu::Piece> pieces;
    for (const Buffer* const layer : layers) {
      const auto& kv = *static_cast<const KvBuffer*>(layer);
      pieces.push_back({kv.pages.get(), block * kv.page_bytes, kv.page_bytes});
    }
    return pieces;
  }

  static absl::Status Named(const TensorView& view, const absl::Status& status) {
    if (status.ok()) return status;
    return absl::Status(status.code(), absl::StrCat("tensor ", view.name, ": ", status.message()));
  }

  absl::Status LoadTiles(const TensorView& view, WeightBuffer& weight) {
    if (view.columns % 32 != 0) {
      return absl::UnimplementedError(
          absl::StrCat("the Vulkan backend wants a multiple of 32 columns, not ", view.columns));
    }
    weight.layout = LayoutOf(view.type, view.columns);
    const size_t tiles = TileCount(view.rows);
    RETURN_IF_ERROR(CheckAddressable(tiles * weight.layout.tile_bytes(), "packed"));
    ASSIGN_OR_RETURN(weight.tiles, gpu_->memory().Allocate(tiles * weight.layout.tile_bytes(), MemoryUse::kDevice));
    return gpu_->Upload(*weight.tiles, weight.layout.tile_bytes(), tiles,
                        [&](size_t first, size_t count, std::byte* to) { PackTiles(view, first, count, to); });
  }

  absl::Status LoadVector(const TensorView& view, WeightBuffer& weight) {
    std::vector<float> values(view.columns);
    DequantizeRow(view, 0, absl::MakeSpan(values));
    const size_t bytes = values.size() * sizeof(float);
    ASSIGN_OR_RETURN(weight.vector, gpu_->memory().Allocate(bytes, MemoryUse::kDevice));
    const Gpu::Piece all{weight.vector.get(), 0, bytes};
    return gpu_->Write({&all, 1}, reinterpret_cast<const std::byte*>(values.data()));
  }

  const std::unique_ptr<Gpu> gpu_;
  const std::unique_ptr<Pipelines> pipelines_;
  Tuning tuning_;
  DeviceInfo info_;
  bool loaded_ = false;  // what earlier boots kept
};

// 2^24 · 2^-24 + 1 · 0.5 on the device: a driver that lists a device need not be able to run anything on it, or may flush
// halves as small as the scales of many a block, which Vulkan lets it do.
absl::Status Smoke(std::unique_ptr<Device> device) {
  constexpr int kColumns = 32;
  const uint16_t weights[kColumns] = {0x0001, 0x3c00};
  const float x[kColumns] = {0x1p24f, 0.5f};
  const TensorView view{.name = "smoke",
                        .type = DType::kF16,
                        .rows = 1,
                        .columns = kColumns,
                        .data = absl::MakeConstSpan(reinterpret_cast<const std::byte*>(weights), sizeof weights)};
  ASSIGN_OR_RETURN(std::unique_ptr<Buffer> weight, device->LoadWeight(view, {.matmul = true}, nullptr));
  const Graph graph{.tensors = {{kColumns}, {1}},
                    .ops = {{.kind = OpKind::kMatmul, .out = 1, .a = 0, .weight = weight.get()}},
                    .inputs = {0},
                    .output = 1,
                    .max_tokens = 1,
                    .max_outputs = 1};
  absl::StatusOr<std::unique_ptr<Program>> program = device->Compile(graph, nullptr);
  const int32_t zero = 0;
  const absl::Span<const float> input(x);
  float out = 0;
  absl::Status ran = program.status();
  if (ran.ok()) {
    ran = (*program)->Run({.positions = {&zero, 1}, .sequences = {&zero, 1}, .inputs = {&input, 1}}, {&out, 1});
  }
  RETURN_IF_ERROR(ran);
  if (out == 1.5f) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("'", device->info().name, "' says that 2^24 · 2^-24 + 1 · 0.5 is ", out));
}

}  // namespace
}  // namespace vulkan

absl::StatusOr<std::unique_ptr<Device>> CreateVulkanDevice(const VulkanOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<vulkan::Instance> instance,
                   vulkan::Instance::Create(options.validated, options.intercept));
  ASSIGN_OR_RETURN(const vulkan::PhysicalDevice physical, instance->BestDevice());
  ASSIGN_OR_RETURN(std::unique_ptr<vulkan::Gpu> gpu,
                   vulkan::Gpu::Create(std::move(instance), physical, options.staged));
  ASSIGN_OR_RETURN(std::unique_ptr<vulkan::Pipelines> pipelines, vulkan::Pipelines::Create(*gpu));
  vulkan::Tuning tuning = vulkan::TuningFor(physical);
  if (options.splits > 0) tuning.splits = options.splits;
  RETURN_IF_ERROR(vulkan::CheckSplits(physical.properties.limits, tuning.splits));
  tuning.measures_tiles |= options.measures_tiles;
  tuning.gates_apart &= !options.gates_together;
  if (options.batch_invariant) {
    tuning.integers = physical.has_fast_dots || (options.integers && physical.has_dots);
  } else {
    tuning.sums_subgroups = physical.sums_subgroups;
    if (physical.has_matrices) tuning.many_rows = vulkan::Shader::kMatmulMatrix;
    else if (options.emulates_matrices && physical.has_halves) tuning.many_rows = vulkan::Shader::kMatmulMatrixEmulated;
  }
  if (options.submission_work > 0) tuning.submission_work = options.submission_work;
  return std::make_unique<vulkan::VulkanDevice>(std::move(gpu), std::move(pipelines), tuning);
}

Backend VulkanBackend(const VulkanOptions& options) {
  return {"vulkan",
          [options]() -> absl::Status {
            ASSIGN_OR_RETURN(std::unique_ptr<Device> device, CreateVulkanDevice(options));
            return vulkan::Smoke(std::move(device));
          },
          [options](int) { return CreateVulkanDevice(options); },
          [options]() -> absl::Status {
            ASSIGN_OR_RETURN(const std::unique_ptr<vulkan::Instance> instance,
                             vulkan::Instance::Create(options.validated, options.intercept));
            ASSIGN_OR_RETURN(const vulkan::PhysicalDevice device, instance->BestDevice());
            if (!device.is_software()) return absl::OkStatus();
            return absl::FailedPreconditionError(absl::StrCat(
                "'", device.properties.deviceName,
                "' is this machine's processor, which the cpu backend makes better use of; only its name chooses it"));
          },
          /*own_memory=*/true};
}

}  // namespace spotinference
