// What is wanted of a step's output rows, where the device reads it, and what it found: shaders/{select,weigh}.comp.
#ifndef BACKENDS_VULKAN_SELECTION_BUFFER_H_
#define BACKENDS_VULKAN_SELECTION_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/vulkan/memory.h"
#include "engine/device/selection.h"

namespace spotinference::vulkan {

class SelectionBuffer {
 public:
  // For steps of at most `rows` output rows of `width` logits.
  static absl::StatusOr<std::unique_ptr<SelectionBuffer>> Create(int rows, int width, Memory& memory);

  // `selections` have been checked. No step may be running.
  void Write(absl::Span<const Selection> selections);
  // The same, of row `row` of `rows` alone.
  void Write(int row, int rows, const Selection& selection);
  // What was found last of output row `row`.
  void Read(int row, const Selection& selection, Selected& selected) const;

  uint32_t parts_of_row() const { return parts_of_row_; }
  // As the shader's Push has them.
  VkDeviceAddress selections() const { return wanted_->address(); }
  VkDeviceAddress allowed() const { return wanted_->address() + allowed_at_; }
  VkDeviceAddress asked() const { return wanted_->address() + asked_at_; }
  VkDeviceAddress parts() const { return found_->address(); }
  VkDeviceAddress answers() const { return found_->address() + answers_at_; }
  VkDeviceAddress bounds() const { return wanted_->address() + bounds_at_; }
  VkDeviceAddress sums() const { return found_->address() + sums_at_; }
  const Region& found() const { return *found_; }  // parts, answers and sums

 private:
  SelectionBuffer(uint32_t parts_of_row, size_t mask_words) : parts_of_row_(parts_of_row), mask_words_(mask_words) {}

  void WriteRow(int row, const Selection& selection);
  void ReadLikelier(const Selection& selection, Selected& selected) const;

  const uint32_t parts_of_row_;
  const size_t mask_words_;                                // of a row
  size_t allowed_at_ = 0, asked_at_ = 0, bounds_at_ = 0, answers_at_ = 0, sums_at_ = 0;  // bytes
  std::unique_ptr<Region> wanted_, found_;
};

}  // namespace spotinference::vulkan

#endif  // BACKENDS_VULKAN_SELECTION_BUFFER_H_
